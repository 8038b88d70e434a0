//! What a person feels on a lossy WebRTC path: the time from a key to its echo.
//!
//! `KEYS=200 LOSS=0.2` types more at one rate; `--nocapture` prints the figures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use conformance::history::{Author, Judge, Stream};
use negotiator::{
    Host, HostConfig, Membership, Negotiator, NetworkConfig, Received, Rendezvous, Role, Session, Way,
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use transport_core::signaling::{MemoryRoom, Signaling, SignalingError};
use transport_webrtc::{WebRtcConfig, WebRtcConnector, impair::ImpairedUdp};

/// Signaling in memory, and WebRTC as the only way.
#[derive(Debug)]
struct Meeting {
    room: MemoryRoom,
    udp: ImpairedUdp,
}

#[async_trait]
impl Rendezvous for Meeting {
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        Ok(Arc::new(self.room.join(membership.local)))
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        let mut config = WebRtcConfig::default();
        config.loopback = true;
        if membership.role == Role::Viewer {
            config.udp = Some(Arc::new(self.udp.clone()));
        }
        let webrtc = WebRtcConnector::new(config).map_err(|error| error.to_string())?;
        Ok(vec![Way::direct(Arc::new(webrtc))])
    }
}

/// A session on a path with a round trip of 40 ms that loses nothing yet.
async fn meet() -> (ImpairedUdp, Host, Session, Session) {
    let udp = ImpairedUdp::seeded(5);
    udp.set_delay(Duration::from_millis(20));
    let meeting = Arc::new(Meeting { room: MemoryRoom::default(), udp: udp.clone() });
    let host = Host::meeting_at(HostConfig::new("http://signaling.invalid"), meeting.clone())
        .await
        .expect("a room in memory");
    let viewer = Negotiator::meeting_at(host.link().clone(), NetworkConfig::default(), meeting);
    let (viewer, hosted) = tokio::join!(viewer.connect(), host.accept());
    (udp, host, viewer.expect("joined"), hosted.expect("accepted"))
}

/// Types `keys` at eight a second while `loss` of the packets are lost each way; the host echoes. Returns how long each
/// echo took, in order of length.
async fn type_keys(
    udp: &ImpairedUdp,
    hosted: &Session,
    viewer: &Session,
    loss: f64,
    keys: u64,
) -> Vec<Duration> {
    let stream = Stream { key: 7, session: 0, stream: 0 };
    // An idle session is as it is after a while of typing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    udp.set_loss(loss);
    let mut echo = Judge::new(stream);
    let (sender, mut typed) = tokio::sync::mpsc::channel(keys as usize);
    let typing = async {
        let (mut author, mut due) = (Author::new(stream), interval(BETWEEN_KEYS));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..keys {
            due.tick().await;
            let _ = sender.send(Instant::now()).await;
            viewer.send(author.write(KEY)).await.expect("the session lives");
        }
        author.written()
    };
    let echoing = async {
        for _ in 0..keys {
            let key = timeout(PATIENCE, hosted.recv()).await.expect("in time").expect("the session lives");
            let Received::Message(key) = key else { panic!("nobody sent {key:?}") };
            hosted.send(key).await.expect("the session lives");
        }
    };
    let reading = async {
        let mut took = Vec::new();
        for _ in 0..keys {
            let key = timeout(PATIENCE, viewer.recv()).await.expect("in time").expect("the session lives");
            let Received::Message(key) = key else { panic!("nobody sent {key:?}") };
            echo.delivered(&key);
            took.push(typed.recv().await.expect("typed before it was echoed").elapsed());
        }
        took
    };
    let (written, (), mut took) = tokio::join!(typing, echoing, reading);
    udp.set_loss(0.0);
    let verdict = echo.verdict(written);
    assert!(verdict.is_whole() && verdict.delivered == keys, "{verdict:?}");
    took.sort_unstable();
    took
}

fn at(took: &[Duration], percent: usize) -> Duration {
    took[(took.len() * percent / 100).min(took.len() - 1)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_packet_does_not_cost_a_key_the_timer_of_sctp() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<f64>().expect("a number"));
    let keys = number("KEYS").map_or(60, |keys| keys as u64);
    let rates = number("LOSS").map_or(vec![0.05, 0.2], |loss| vec![loss]);
    for loss in rates {
        let (udp, host, viewer, hosted) = meet().await;
        let took = type_keys(&udp, &hosted, &viewer, loss, keys).await;
        let [p50, p95, worst] = [50, 95, 100].map(|percent| at(&took, percent));
        println!(
            "{keys} keys, {} % lost, round trip 40 ms: p50 {p50:?}, p95 {p95:?}, worst {worst:?}",
            loss * 100.0
        );
        viewer.close().await;
        host.close().await;
    }
}

/// Bytes of a key with what a terminal adds.
const KEY: usize = 48;

const BETWEEN_KEYS: Duration = Duration::from_millis(125);

const PATIENCE: Duration = Duration::from_secs(60);
