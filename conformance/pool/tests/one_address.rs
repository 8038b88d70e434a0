//! Three relays and two control planes, each a process of its own, behind Debian's nginx or HAProxy as `lifeguard-relay/deploy` sets
//! them up: one address, round robin, and sessions meet whichever nodes their members come to.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use negotiator::{FallbackMode, NetworkConfig};
use pool::{
    crowd::{Ends, relayed},
    service::{Balancer, Plan, Service, Stats, request},
};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_all_meet_through_any_two_nodes_and_the_owners_death_moves_them() {
    all_meet(Balancer::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_all_meet_through_any_two_nodes_and_the_owners_death_moves_them() {
    all_meet(Balancer::Haproxy).await;
}

async fn all_meet(balancer: Balancer) {
    let mut plan = Plan::default();
    plan.balancer = balancer;
    let mut service = Service::start(plan).await;
    // Direct: signaling alone, through two control planes.
    for _ in 0..4 {
        let pair = Ends::meet(&service.url(), direct()).await;
        pair.talk("direct").await;
        pair.end().await;
    }
    // Other requests move the round robin on meanwhile, so that each combination has its turn.
    let mut seen = BTreeSet::new();
    let (mut last, mut sessions, mut slowest) = (None, 0, Duration::ZERO);
    let began = Instant::now();
    while seen.len() < COMBINATIONS {
        assert!(began.elapsed() < Duration::from_secs(180), "met through {seen:?} only");
        let before = service.stats().await;
        let (since, url) = (Instant::now(), service.url());
        let pair = tokio::select! {
            pair = Ends::meet(&url, relayed()) => pair,
            () = others_come(&service) => unreachable!("others come without an end"),
        };
        pair.talk("relayed").await;
        slowest = slowest.max(since.elapsed());
        let Combination { entries, owner } = combination(&before, &service.stats().await);
        sessions += 1;
        seen.insert(entries);
        if let Some((_, former)) = last.replace((owner, pair)) {
            Ends::end(former).await;
            service.is_left_with(2).await;
        }
    }
    println!("{sessions} sessions over the relay met, the slowest after {slowest:.1?}");
    // The owner is killed: both come back, and meet on another node.
    let (owner, pair) = last.expect("at least one");
    service.relays[owner].kill();
    let killed = Instant::now();
    pair.talk("again").await;
    println!("owner killed, heard in both directions after {:.1?}", killed.elapsed());
    service.is_left_with(2).await;
    let nodes = service.stats().await;
    assert!(nodes.iter().any(|(name, stats)| stats.peers == 2 && *name != owner), "{nodes:?}");
    // New sessions do not notice.
    let fresh = Ends::meet(&service.url(), relayed()).await;
    fresh.talk("fresh").await;
    fresh.end().await;
    pair.end().await;
}

/// A network on which sessions meet from end to end or not at all.
fn direct() -> NetworkConfig {
    let mut network = NetworkConfig::default();
    network.mode = FallbackMode::DirectOnly;
    network.webrtc.loopback = true;
    network
}

/// By which nodes the two members of a session came, and who owns it.
struct Combination {
    entries: [usize; 2],
    owner: usize,
}

/// What a session of two changed.
fn combination(before: &[(usize, Stats)], after: &[(usize, Stats)]) -> Combination {
    let changes = || after.iter().zip(before).map(|((name, after), (_, before))| (*name, after, before));
    let owner = changes().find(|(_, after, before)| after.peers == before.peers + 2);
    let (owner, ..) = owner.unwrap_or_else(|| panic!("nobody owns it: {before:?} {after:?}"));
    let mut entries = Vec::new();
    for (name, after, before) in changes() {
        entries.extend(std::iter::repeat_n(name, (after.passed_on - before.passed_on) as usize));
    }
    entries.resize(2, owner);
    entries.sort_unstable();
    Combination { entries: [entries[0], entries[1]], owner }
}

/// Others ask relays something, several at a time, for as long as this is waited for.
async fn others_come(service: &Service) {
    let others = (0..OTHERS).map(async |_| {
        loop {
            let answer = request(service.address(), "GET", "/v2/ws", "").await.expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
            sleep(Duration::from_micros(rand::random_range(0..1_000))).await;
        }
    });
    futures::future::join_all(others).await;
}

/// So many that one of them often comes between the two members of a session.
const OTHERS: usize = 4;
/// Two of three nodes, in either order, or the same one twice.
const COMBINATIONS: usize = 6;
