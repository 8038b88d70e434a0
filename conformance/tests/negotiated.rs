//! The negotiated session, judged from outside: over the third-party example as a rung of its own, and
//! through a death of WebRTC beneath ICE. Every history whole.

#[path = "subjects/conversation.rs"]
mod conversation;
#[path = "../examples/tcp_transport.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod tcp_transport;

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use conformance::history::{Stream, Verdict};
use conversation::{read, write};
use negotiator::{Host, HostConfig, Membership, Negotiator, NetworkConfig, Rendezvous, Role, Session, Way};
use tcp_transport::TcpConnector;
use tokio::{sync::watch, time::timeout};
use transport_core::{
    Connector, TransportId,
    signaling::{MemoryRoom, Signaling, SignalingError},
};
use transport_webrtc::{WebRtcConfig, WebRtcConnector, impair::ImpairedUdp};

/// Signaling in memory, WebRTC when there is a UDP path, plain TCP as the third party's rung.
#[derive(Debug, Clone)]
struct Meeting {
    room: MemoryRoom,
    udp: Option<ImpairedUdp>,
}

#[async_trait]
impl Rendezvous for Meeting {
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        Ok(Arc::new(self.room.join(membership.local)))
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        let tcp: Arc<dyn Connector> = Arc::new(TcpConnector::new(Ipv4Addr::LOCALHOST.into()));
        let Some(udp) = &self.udp else { return Ok(vec![Way::direct(tcp)]) };
        let mut config = WebRtcConfig::default();
        config.loopback = true;
        // One end's socket is enough: it drops both directions.
        if membership.role == Role::Viewer {
            config.udp = Some(Arc::new(udp.clone()));
        }
        let webrtc = WebRtcConnector::new(config).map_err(|error| error.to_string())?;
        Ok(vec![Way::direct(Arc::new(webrtc)), Way::fallback(tcp)])
    }
}

async fn meet(udp: Option<ImpairedUdp>) -> (Host, Session, Session) {
    let meeting = Arc::new(Meeting { room: MemoryRoom::default(), udp });
    let config = HostConfig::new("http://signaling.invalid");
    let host = Host::meeting_at(config, meeting.clone()).await.expect("a room in memory");
    let viewer = Negotiator::meeting_at(host.link().clone(), NetworkConfig::default(), meeting);
    let (viewer, hosted) = tokio::join!(viewer.connect(), host.accept());
    (host, viewer.expect("a path"), hosted.expect("a viewer"))
}

/// Lets both sides talk while `during` happens, and judges both directions.
async fn judged(viewer: &Session, hosted: &Session, during: impl Future<Output = ()>) -> Verdict {
    let stream = |stream| Stream { key: 1, session: 1, stream };
    let (stop, stopped) = watch::channel(false);
    let up = tokio::spawn(write(viewer.clone(), stream(0), SIZES, stopped.clone()));
    let down = tokio::spawn(write(hosted.clone(), stream(1), SIZES, stopped));
    let (above, below) =
        (tokio::spawn(read(hosted.clone(), stream(0))), tokio::spawn(read(viewer.clone(), stream(1))));
    during.await;
    stop.send_replace(true);
    let everything = async {
        let (up, down) = (up.await.expect("a writer"), down.await.expect("a writer"));
        let (above, below) = (above.await.expect("a reader"), below.await.expect("a reader"));
        above.verdict(up).and(below.verdict(down))
    };
    timeout(Duration::from_secs(60), everything).await.expect("what was written arrives")
}

async fn until_on(session: &Session, path: &TransportId) {
    while session.status().path.as_ref() != Some(path) {
        session.changed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_party_transport_carries_a_negotiated_session() {
    let (_host, viewer, hosted) = meet(None).await;
    assert_eq!(viewer.status().path, Some(tcp_transport::ID));
    let verdict = judged(&viewer, &hosted, tokio::time::sleep(Duration::from_secs(1))).await;
    println!("over {}: {verdict}", tcp_transport::ID);
    assert!(verdict.is_whole() && verdict.delivered > 100, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_leaves_a_dead_webrtc_path_for_the_third_party_rung_and_loses_nothing() {
    let udp = ImpairedUdp::seeded(1);
    let (_host, viewer, hosted) = meet(Some(udp.clone())).await;
    assert_eq!(viewer.status().path, Some(transport_webrtc::ID), "{}", viewer.explain());
    let verdict = judged(&viewer, &hosted, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        udp.cut();
        let cut = Instant::now();
        let moved = timeout(Duration::from_secs(30), until_on(&viewer, &tcp_transport::ID)).await;
        assert!(moved.is_ok(), "still not moved: {}", viewer.explain());
        println!("moved {:.1?} after the cut", cut.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    println!("webrtc, cut, {}: {verdict}", tcp_transport::ID);
    assert!(verdict.is_whole() && verdict.delivered > 200, "{verdict}");
}

/// A key, a line, a screen.
const SIZES: [usize; 3] = [40, 900, 30_000];
