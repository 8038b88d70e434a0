//! What happens to a session: each scene plays it once and says how long the parts took.

use std::time::{Duration, Instant, SystemTime};

use negotiator::{NetworkConfig, TransitionKind};
use transport_webrtc::ID;

use super::{RELAY, Stage, blocked, flow::Flow, on, through, wire};

/// UDP is blocked from the start: from `connect` to a session that carries messages.
pub async fn udp_blocked(stage: &Stage) -> Duration {
    let (pair, took) = stage.join(through(blocked())).await;
    assert_eq!(pair.viewer.status().path, Some(RELAY), "{}", pair.viewer.explain());
    pair.talk().await;
    pair.viewer.close().await;
    took
}

/// A direct path that dies while data is pending, and heals.
#[derive(Debug)]
pub struct Death {
    /// From the cut until the path was judged dead.
    pub detected: Duration,
    /// From the cut until the relay carried the session.
    pub rescued: Duration,
    /// From healing until the direct path carried it again.
    pub returned: Duration,
    /// Every decision after the cut, with its time.
    pub story: Vec<String>,
}

/// Plays it with traffic both ways, of which nothing may be lost, doubled or out of order.
pub async fn path_dies(stage: &Stage, settings: impl Fn(NetworkConfig) -> NetworkConfig) -> Death {
    let udp = wire();
    let (mut pair, _) = stage.join(settings(through(udp.clone()))).await;
    pair.on(&ID).await;
    let flows = [(&pair.viewer, &pair.hosted), (&pair.hosted, &pair.viewer)];
    let flows = flows.map(|(from, to)| Flow::start(from, to));
    tokio::time::sleep(Duration::from_secs(1)).await;

    udp.cut();
    let (cut, cut_at) = (Instant::now(), SystemTime::now());
    let judged = |kind| matches!(kind, TransitionKind::Lost | TransitionKind::FallbackConsidered);
    let (event, detected) = pair.decision(cut_at, |event| judged(event.name)).await;
    let mut story = vec![format!("{detected:?} {event}")];
    pair.on(&RELAY).await;
    let rescued = cut.elapsed();

    udp.restore();
    let healed = Instant::now();
    on(&pair.viewer, &ID).await;
    let returned = healed.elapsed();
    for flow in flows {
        flow.finish().await;
    }
    while let Some(event) = pair.events.try_next() {
        story.push(format!("{:?} {event}", event.at.duration_since(cut_at).unwrap_or_default()));
    }
    pair.viewer.close().await;
    Death { detected, rescued, returned, story }
}
