//! Three relays and two control planes, each a process of its own, behind Debian's nginx as `lifeguard-relay/deploy/nginx` sets
//! it up: one address, round robin, and sessions meet whichever nodes their members come to.

#[path = "../../../lifeguard-relay/tests/control_support/redis.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "another test's support")]
mod redis;
mod service;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use negotiator::{FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received, Session};
use service::Service;
use tokio::time::timeout;

/// A host, a viewer, and the session as each of them has it.
struct Pair {
    host: Host,
    viewer: Session,
    hosted: Session,
}

impl Pair {
    async fn meet(service: &Service, mode: FallbackMode) -> Self {
        let network = || {
            let mut network = NetworkConfig::default();
            network.mode = mode;
            network.webrtc.loopback = true;
            network
        };
        let mut config = HostConfig::new(service.url());
        config.network = network();
        let host = Host::share(config).await.expect("a host");
        let viewer = Negotiator::new(host.link().clone(), network());
        let both = async { tokio::join!(viewer.connect(), host.accept()) };
        let (viewer, hosted) = timeout(PATIENCE, both).await.expect("they meet");
        Self { host, viewer: viewer.expect("a session"), hosted: hosted.expect("a session") }
    }

    /// A word in each direction.
    async fn talk(&self, word: &'static str) {
        for (from, to) in [(&self.hosted, &self.viewer), (&self.viewer, &self.hosted)] {
            from.send(word.into()).await.expect("the session lives");
            let heard = timeout(PATIENCE, to.recv()).await;
            let heard = heard.unwrap_or_else(|_| panic!("silent: {} | {}", from.explain(), to.explain()));
            assert_eq!(heard.expect("the session lives"), Received::Message(word.into()));
        }
    }

    async fn end(self) {
        self.viewer.close().await;
        self.host.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_and_viewer_meet_through_any_two_nodes_and_the_owners_death_moves_them() {
    let mut service = Service::start().await;
    // Direct: signaling alone, through two control planes.
    for _ in 0..4 {
        let pair = Pair::meet(&service, FallbackMode::DirectOnly).await;
        pair.talk("direct").await;
        pair.end().await;
    }
    // Over the relay. Other requests move the round robin on meanwhile, so that each combination has its turn.
    let mut seen = BTreeSet::new();
    let (mut last, mut sessions, mut slowest) = (None, 0, Duration::ZERO);
    let began = Instant::now();
    while seen.len() < COMBINATIONS {
        assert!(began.elapsed() < Duration::from_secs(120), "met through {seen:?} only");
        let before = service.nodes().await;
        let since = Instant::now();
        let pair = tokio::select! {
            pair = Pair::meet(&service, FallbackMode::RelayOnly) => pair,
            () = service.others_come() => unreachable!("others come without an end"),
        };
        pair.talk("relayed").await;
        let met = since.elapsed();
        let combination = service::combination(&before, &service.nodes().await);
        let owner = combination.owner;
        sessions += 1;
        slowest = slowest.max(met);
        seen.insert(combination.entries);
        if let Some((_, former)) = last.replace((owner, pair)) {
            former.end().await;
            service.is_quiet(1).await;
        }
    }
    println!("{sessions} sessions over the relay met, the slowest after {slowest:.1?}");
    // The owner is killed: both come back, and meet on another node.
    let (owner, pair) = last.expect("at least one");
    service.kill(owner);
    let killed = Instant::now();
    pair.talk("again").await;
    println!("owner killed, heard in both directions after {:.1?}", killed.elapsed());
    let nodes = service.nodes().await;
    assert_eq!(nodes.iter().map(|node| node.peers).sum::<u64>(), 2, "{nodes:?}");
    assert!(nodes.iter().any(|node| node.peers == 2 && node.name != owner), "{nodes:?}");
    // New sessions do not notice.
    let fresh = Pair::meet(&service, FallbackMode::RelayOnly).await;
    fresh.talk("fresh").await;
    fresh.end().await;
    pair.end().await;
}

/// Two of three nodes, in either order, or the same one twice.
const COMBINATIONS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(45);
