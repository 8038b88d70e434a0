//! Relayed links through a real coturn: over UDP, and over TCP and TLS through the shim.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::{Duration, Instant};

use beach_outbound::Outbound;
use bytes::Bytes;
use support::{
    Peers,
    coturn::{Coturn, Reach},
    eventually, impaired, through,
};
use tokio::time::timeout;
use transport_core::{Carriage, ConnectErrorKind, Initiator, Lane, Transport};
use transport_webrtc::{IceServer, impair::ImpairedUdp};

/// Connects both peers through `server` and echoes on both lanes.
async fn relayed(coturn: &Coturn, server: IceServer) {
    let peers = Peers::new();
    let config = through(server, coturn);
    let start = Instant::now();
    let (a, b) = peers.connect(config.clone(), config).await;
    let open = start.elapsed();
    assert_eq!(a.profile().transport, transport_webrtc::TURN_ID);
    assert_eq!(a.profile().path, "through a TURN server");
    for (from, to) in [(&a, &b), (&b, &a)] {
        assert_eq!(from.profile().datagram.carriage, Carriage::Native);
        for lane in Lane::ALL {
            // Odd sizes need padding on a stream.
            for size in [1, 2, 3, 1001, 16_383] {
                from.try_send(lane, Bytes::from(vec![7; size])).unwrap();
                let inbound = timeout(Duration::from_secs(5), to.recv()).await.unwrap().unwrap();
                assert_eq!((inbound.lane, inbound.payload.len()), (lane, size));
            }
        }
    }
    assert!(eventually(Duration::from_secs(3), || a.stats().rtt.is_some()).await);
    println!("open {open:?}, rtt {:?}", a.stats().rtt);
}

#[tokio::test]
async fn over_udp() {
    let coturn = Coturn::start(Reach::Everything);
    relayed(&coturn, coturn.udp()).await;
}

#[tokio::test]
async fn over_tcp_where_no_udp_is_let_through() {
    let coturn = Coturn::start(Reach::StreamsOnly);
    relayed(&coturn, coturn.tcp()).await;
}

#[tokio::test]
async fn over_tls_where_no_udp_is_let_through() {
    let coturn = Coturn::start(Reach::StreamsOnly);
    relayed(&coturn, coturn.tls()).await;
}

#[tokio::test]
async fn one_side_relayed_over_tls_meets_the_other_relayed_over_udp() {
    let coturn = Coturn::start(Reach::Everything);
    let peers = Peers::new();
    let (a, b) = peers.connect(through(coturn.tls(), &coturn), through(coturn.udp(), &coturn)).await;
    a.try_send(Lane::Reliable, Bytes::from_static(b"hello")).unwrap();
    assert_eq!(timeout(Duration::from_secs(5), b.recv()).await.unwrap().unwrap().payload, "hello");
}

#[tokio::test]
async fn a_relayed_path_is_cut_at_the_same_wire_as_a_direct_one() {
    let (coturn, udp) = (Coturn::start(Reach::Everything), ImpairedUdp::seeded(1));
    let peers = Peers::new();
    let mut config = impaired(&udp);
    config.ice_servers = vec![coturn.udp()];
    let (a, b) = peers.connect(config.relayed(), through(coturn.udp(), &coturn)).await;
    assert!(udp.passed() > 0);
    udp.cut();
    let start = Instant::now();
    for end in [&a, &b] {
        let closed = timeout(Duration::from_secs(6), end.closed()).await.expect("detected in time");
        assert_eq!(closed.initiator, Initiator::Network);
    }
    println!("detected after {:?}", start.elapsed());
    drop((a, b));
    assert!(eventually(Duration::from_secs(20), || udp.open_sockets() == 0).await);
}

#[tokio::test]
async fn wrong_credentials_and_an_unknown_certificate_fail_at_gathering() {
    let coturn = Coturn::start(Reach::Everything);
    let mut wrong = through(coturn.udp(), &coturn);
    wrong.ice_servers[0] = coturn.udp().with_credentials("user", "wrong");
    let mut distrusted = through(coturn.tls(), &coturn);
    distrusted.outbound = Outbound::default();
    for config in [wrong, distrusted] {
        let peers = Peers::new();
        let (a, _b) = peers.dial(1, config.clone(), config).await;
        let error = a.unwrap_err();
        println!("{}", error.chain());
        assert_eq!(error.stage, "gathering");
        assert!(matches!(error.kind, ConnectErrorKind::Unreachable | ConnectErrorKind::TimedOut));
    }
}
