//! Dials that fail: at which stage, by whose fault, and what they leave behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use support::{Peers, Side, connector, impaired, plain};
use tokio::time::timeout;
use transport_core::{ConnectErrorKind, Connector};
use transport_webrtc::{
    IceServer, WebRtcConnector,
    impair::ImpairedUdp,
    wire::{UdpConn, UdpWire},
};

#[tokio::test]
async fn a_peer_that_never_answers_is_a_timeout_at_signaling() {
    let peers = Peers::new();
    for (generation, side) in [(1, Side::Offerer), (2, Side::Answerer)] {
        let mut config = plain();
        config.deadlines.signaling = Duration::from_millis(300);
        let start = Instant::now();
        let error = connector(config).connect(&peers.target(side, generation)).await.unwrap_err();
        assert_eq!((error.stage, error.kind), ("signaling", ConnectErrorKind::TimedOut), "{}", error.chain());
        assert!((250..800).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn the_whole_dial_has_a_deadline_too() {
    let peers = Peers::new();
    let mut config = plain();
    config.deadlines.total = Duration::from_millis(300);
    let error = connector(config).connect(&peers.target(Side::Offerer, 1)).await;
    assert_eq!(error.unwrap_err().kind, ConnectErrorKind::TimedOut);
}

#[tokio::test]
async fn other_labels_are_incompatible_on_both_sides_at_once() {
    let peers = Peers::new();
    let (mut ctrl, mut term) = (plain(), plain());
    ctrl.labels.ctrl = "beach/ctrl/2".into();
    term.labels.term = "beach/term/2".into();
    for (generation, other) in [(1, ctrl), (2, term)] {
        let start = Instant::now();
        let (a, b) = peers.dial(generation, plain(), other).await;
        for error in [a.unwrap_err(), b.unwrap_err()] {
            assert_eq!((error.stage, error.kind), ("signaling", ConnectErrorKind::Incompatible));
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_path_that_never_answers_is_a_timeout_at_the_checks() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(1));
    udp.cut();
    let mut config = impaired(&udp);
    config.deadlines.checks = Duration::from_secs(1);
    let start = Instant::now();
    let (a, b) = peers.dial(1, config, plain()).await;
    let error = a.unwrap_err();
    assert_eq!((error.stage, error.kind), ("checks", ConnectErrorKind::TimedOut), "{}", error.chain());
    // The other side is told, and need not wait for its own deadline.
    let error = b.unwrap_err();
    assert_eq!((error.stage, error.kind), ("checks", ConnectErrorKind::Unreachable), "{}", error.chain());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(udp.dropped() > 0);
}

#[tokio::test]
async fn a_machine_without_udp_ends_the_rung_at_once_on_both_sides() {
    let peers = Peers::new();
    let mut config = plain();
    config.udp = Some(Arc::new(NoUdp));
    for (generation, offerer, answerer) in [(1, config.clone(), plain()), (2, plain(), config)] {
        let start = Instant::now();
        let (a, b) = peers.dial(generation, offerer, answerer).await;
        let (a, b) = (a.unwrap_err(), b.unwrap_err());
        println!("{}\n{}", a.chain(), b.chain());
        assert_eq!((a.kind, b.kind), (ConnectErrorKind::Incompatible, ConnectErrorKind::Incompatible));
        assert!([a.stage, b.stage].contains(&"gathering"));
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_machine_without_descriptors_is_told_from_a_network_without_udp_on_both_sides() {
    let peers = Peers::new();
    let mut config = plain();
    config.udp = Some(Arc::new(NoDescriptors));
    for (generation, offerer, answerer) in [(1, config.clone(), plain()), (2, plain(), config)] {
        let (a, b) = peers.dial(generation, offerer, answerer).await;
        let (a, b) = (a.unwrap_err(), b.unwrap_err());
        assert_eq!((a.kind, b.kind), (ConnectErrorKind::Unreachable, ConnectErrorKind::Unreachable));
        for error in [a.chain(), b.chain()] {
            assert!(error.contains("file descriptor") && !error.contains("UDP"), "{error}");
        }
    }
}

#[derive(Debug)]
struct NoDescriptors;

#[async_trait]
impl UdpWire for NoDescriptors {
    async fn bind(&self, _local: SocketAddr) -> io::Result<Box<dyn UdpConn>> {
        Err(io::Error::from_raw_os_error(24))
    }
}

#[derive(Debug)]
struct NoUdp;

#[async_trait]
impl UdpWire for NoUdp {
    async fn bind(&self, _local: SocketAddr) -> io::Result<Box<dyn UdpConn>> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[tokio::test]
async fn a_turn_server_that_is_not_there_fails_at_gathering_and_may_be_retried() {
    let peers = Peers::new();
    // A port that is bound and never answers.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("turn:{}", silent.local_addr().unwrap());
    let server = IceServer::new([url.parse().unwrap()]).with_credentials("user", "secret");
    let mut config = plain();
    config.ice_servers = vec![server];
    config.deadlines.gathering = Duration::from_secs(1);
    let (a, _b) = peers.dial(1, config.clone().relayed(), config.relayed()).await;
    let error = a.unwrap_err();
    assert_eq!((error.stage, error.kind), ("gathering", ConnectErrorKind::TimedOut), "{}", error.chain());
    assert_eq!(error.transport, transport_webrtc::TURN_ID);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_before_any_dial() {
    let error = WebRtcConnector::new(plain().relayed()).unwrap_err();
    assert_eq!(error.to_string(), "policy: relay-only needs a TURN server");
}

#[tokio::test]
async fn candidates_keep_to_the_ports_and_the_public_address() {
    let peers = Peers::new();
    let mut config = plain();
    config.ports = Some(41_000..=41_400);
    config.public_host = Some("203.0.113.7".to_owned());
    let link = peers.link(Side::Answerer, 1);
    let (connector, target) = (connector(config), peers.target(Side::Offerer, 1));
    let candidate = async {
        loop {
            let message: serde_json::Value = serde_json::from_str(&link.recv().await.unwrap()).unwrap();
            // The public address stands for those of its own family only.
            if let Some(candidate) = message["candidate"].as_str().filter(|line| !line.contains("::")) {
                return candidate.to_owned();
            }
        }
    };
    let candidate = tokio::select! {
        _ = connector.connect(&target) => panic!("nobody answers"),
        candidate = timeout(Duration::from_secs(5), candidate) => candidate.unwrap(),
    };
    let words: Vec<&str> = candidate.split(' ').collect();
    assert_eq!(words[4], "203.0.113.7", "{candidate}");
    assert!((41_000..=41_400).contains(&words[5].parse::<u16>().unwrap()), "{candidate}");
}
