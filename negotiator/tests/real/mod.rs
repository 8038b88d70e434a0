//! The real stack on this machine: a relay and control plane, a host and a viewer with kernel sockets on
//! loopback, and between them a UDP path that tests cut beneath ICE.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each program uses its part; helpers may fail"
)]

pub mod coturn;
pub mod fence;
pub mod flow;
pub mod scenes;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{
    EventStream, Host, HostConfig, NegotiationEvent, Negotiator, NetworkConfig, Session, TransportId,
};
use tokio::time::timeout;
use transport_webrtc::{WebRtcConfig, impair::ImpairedUdp, wire::UdpWire};

/// The last resort's name.
pub const RELAY: TransportId = TransportId::from_static("ws-fallback");

/// Settings for one machine: its only common network is loopback.
pub fn network() -> NetworkConfig {
    let mut config = NetworkConfig::default();
    config.webrtc = WebRtcConfig::default();
    config.webrtc.loopback = true;
    config
}

/// The same, with UDP through `wire`.
pub fn through(wire: impl UdpWire) -> NetworkConfig {
    let mut config = network();
    config.webrtc.udp = Some(Arc::new(wire));
    config
}

/// A service, and a host that shares through it.
pub struct Stage {
    pub dev: Dev,
    pub host: Host,
}

impl Stage {
    pub async fn set(config: DevConfig, mut network: NetworkConfig) -> Self {
        let dev = Dev::start(config).await.unwrap();
        network.connect_timeout = PATIENCE;
        let mut shared = HostConfig::new(dev.public_url());
        shared.network = network;
        let host = Host::share(shared).await.unwrap();
        Self { dev, host }
    }

    /// Joins, and says how long it took until the session was usable.
    pub async fn join(&self, mut config: NetworkConfig) -> (Pair, Duration) {
        config.connect_timeout = PATIENCE;
        let start = Instant::now();
        let joining = async {
            let viewer = Negotiator::new(self.host.link().clone(), config).connect().await;
            (viewer, start.elapsed())
        };
        let ((viewer, took), hosted) = tokio::join!(joining, timeout(PATIENCE, self.host.accept()));
        let viewer = viewer.unwrap_or_else(|error| panic!("{error}"));
        let events = viewer.events();
        (Pair { viewer, hosted: hosted.unwrap().unwrap(), events }, took)
    }

    pub async fn end(self) {
        self.host.close().await;
        self.dev.shutdown().await;
    }
}

/// Both ends of one session.
pub struct Pair {
    pub viewer: Session,
    pub hosted: Session,
    /// What the viewer's side decides after it was usable.
    pub events: EventStream,
}

impl Pair {
    /// Sends a message each way and expects both.
    pub async fn talk(&self) {
        for (from, to) in [(&self.viewer, &self.hosted), (&self.hosted, &self.viewer)] {
            from.send("hello".into()).await.unwrap();
            let heard = timeout(PATIENCE, to.recv()).await.unwrap().unwrap();
            assert_eq!(heard, negotiator::Received::Message("hello".into()));
        }
    }

    /// Waits until the viewer's session is on `path`.
    pub async fn on(&self, path: &TransportId) {
        on(&self.viewer, path).await;
    }

    /// The next decision that `wanted` accepts, and how long after `since` it was made.
    pub async fn decision(
        &mut self,
        since: SystemTime,
        wanted: impl Fn(&NegotiationEvent) -> bool,
    ) -> (NegotiationEvent, Duration) {
        loop {
            let event = self.events.next().await.expect("the session lives");
            if wanted(&event) {
                let after = event.at.duration_since(since).unwrap_or_default();
                return (event, after);
            }
        }
    }
}

pub async fn on(session: &Session, path: &TransportId) {
    let wait = async {
        loop {
            let changed = session.changed();
            if session.status().path.as_ref() == Some(path) {
                return;
            }
            changed.await;
        }
    };
    if timeout(PATIENCE, wait).await.is_err() {
        panic!("not on {path}: {}", session.explain());
    }
}

/// A path without impairments.
pub fn wire() -> ImpairedUdp {
    ImpairedUdp::seeded(1)
}

/// A path that lets nothing through from the start.
pub fn blocked() -> ImpairedUdp {
    let udp = wire();
    udp.cut();
    udp
}

/// The number in an environment variable, for runs longer than a test should take.
pub fn amount(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How long a test waits for anything at all: a machine that builds something else meanwhile is slow.
pub const PATIENCE: Duration = Duration::from_secs(90);
