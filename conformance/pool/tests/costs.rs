//! What a pool costs beside one node: Redis commands and CPU of a token and of an admission, and the commands of a whole session.
//!
//! The commands are counted and held. CPU is measured when `POOL_COSTS` says how many members come in each of seven turns
//! (`scripts/measure costs` has 2,000), and `POOL_STAY` how many seconds ten sessions are watched while nothing happens (620).

use std::{net::SocketAddr, time::Duration};

use futures::{StreamExt, stream};
use pool::{
    crowd::{Ends, relayed},
    member::Member,
    monitor::{Asked, Monitor},
    report::{median, number},
    service::{Node, Plan, Service},
};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_an_admission_ask_redis_little_and_so_does_a_session() {
    let service = Service::start(of(3, true)).await;
    let planes: Vec<_> = service.planes.iter().map(Node::address).collect();
    println!("| what | commands | run by scripts beside them | which, of all |\n|---|---|---|---|");

    let ((), asked) = watched(&service, async {
        for _ in 0..FEW {
            Member::pair(planes[0]).await;
        }
    })
    .await;
    row("a session is registered", &asked, FEW);

    let mut members = Vec::new();
    for _ in 0..FEW / 2 {
        members.extend(Member::pair(planes[1]).await);
    }
    let (tokens, asked) = watched(&service, tokens(&members, &planes)).await;
    row("a token", &asked, FEW);
    assert!(asked.each(FEW) <= MOST, "{asked}");

    let (inside, asked) = watched(&service, async {
        let mut inside = Vec::new();
        for (member, token) in members.iter().zip(tokens) {
            inside.push(member.enter(service.address(), token).await);
        }
        inside
    })
    .await;
    row("an admission", &asked, FEW);
    assert!(asked.each(FEW) <= MOST, "{asked}");
    drop(inside);

    let (ends, asked) = watched(&service, async {
        let url = service.url();
        let mut ends = Vec::new();
        for _ in 0..SESSIONS {
            ends.push(Ends::meet(&url, relayed()).await);
        }
        for ends in &ends {
            ends.talk("a word").await;
        }
        ends
    })
    .await;
    row("a session of two, until both have had a word over the relay", &asked, SESSIONS);
    if let Some(seconds) = number("POOL_STAY") {
        let ((), asked) = watched(&service, sleep(Duration::from_secs(seconds))).await;
        row(&format!("the same session, {seconds} s later"), &asked, SESSIONS);
        println!(
            "\nFor themselves, 3 relays and 2 control planes: {} commands a second",
            asked.of_nodes / seconds
        );
    }
    let ((), asked) = watched(&service, async {
        for ends in ends {
            ends.end().await;
        }
    })
    .await;
    row("its end", &asked, SESSIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn ownership_costs_little_cpu() {
    let Some(members) = number("POOL_COSTS") else { return };
    // Both have one Redis and one relay; the third has three relays behind nginx, so that two of three members are passed on.
    let services = [of(1, false), of(1, true), of(3, true)];
    let services: Vec<_> = stream::iter(services).then(Service::start).collect().await;
    let mut turns = Vec::new();
    for turn in 0..=TURNS {
        let mut costs = Vec::new();
        for service in &services {
            costs.push(turn_of(service, members).await);
        }
        // The first warms caches up: scripts, connections, pages.
        if turn > 0 {
            turns.push(costs);
        }
    }
    println!(
        "| CPU of all nodes for | one relay that owns nothing | one of a pool | ratio | three behind one address | ratio |\n|---|---|---|---|---|---|"
    );
    for (what, of) in [
        ("a token", (|cost| cost.0) as fn(&(Duration, Duration)) -> Duration),
        ("an admission", |cost| cost.1),
    ] {
        let micros = |place: usize| median(turns.iter().map(|costs| of(&costs[place]).as_secs_f64() * 1e6));
        let ratio = |place: usize| {
            median(turns.iter().map(|costs| of(&costs[place]).as_secs_f64() / of(&costs[0]).as_secs_f64()))
        };
        println!(
            "| {what} | {:.0} µs | {:.0} µs | {:.2} | {:.0} µs | {:.2} |",
            micros(0),
            micros(1),
            ratio(1),
            micros(2),
            ratio(2)
        );
    }
}

/// What one token and one admission cost all nodes.
async fn turn_of(service: &Service, members: u64) -> (Duration, Duration) {
    let planes: Vec<_> = service.planes.iter().map(Node::address).collect();
    let coming = (0..members / 2).map(|n| Member::pair(planes[n as usize % planes.len()]));
    let pairs: Vec<_> = stream::iter(coming).buffer_unordered(AT_ONCE).collect().await;
    let members: Vec<_> = pairs.into_iter().flatten().collect();
    let before = Node::cpu_of(&service.planes);
    let tokens = tokens(&members, &planes).await;
    let minted = Node::cpu_of(&service.planes) - before;

    let before = Node::cpu_of(&service.relays);
    let (address, mut inside) = (service.address(), Vec::new());
    let entering = members.iter().zip(tokens).map(|(member, token)| member.enter(address, token));
    let mut entering = stream::iter(entering).buffer_unordered(AT_ONCE);
    while let Some(one) = entering.next().await {
        inside.push(one);
    }
    let admitted = Node::cpu_of(&service.relays) - before;
    drop(inside);
    service.is_left_with(0).await;
    let many = members.len() as u32;
    (minted / many, admitted / many)
}

async fn tokens(members: &[Member], planes: &[SocketAddr]) -> Vec<beach_lifeguard_client::FallbackToken> {
    let asking = members.iter().enumerate().map(|(n, member)| member.token(planes[n % planes.len()]));
    stream::iter(asking).buffered(AT_ONCE).collect().await
}

async fn watched<T>(service: &Service, doing: impl Future<Output = T>) -> (T, Asked) {
    let monitor = Monitor::begin(service.store.master()).await;
    let done = doing.await;
    (done, monitor.end().await)
}

fn row(what: &str, asked: &Asked, many: u64) {
    println!("| {what} | {:.1} | {:.1} | {asked} of {many} |", asked.each(many), asked.inside_each(many));
}

fn of(relays: usize, pooled: bool) -> Plan {
    let mut plan = Plan::default();
    (plan.relays, plan.pooled) = (relays, pooled);
    plan
}

/// Members whose commands are counted: not what is measured, so few are enough.
const FEW: u64 = 40;
const SESSIONS: u64 = 10;
/// T22.
const MOST: f64 = 6.0;
const TURNS: usize = 7;
const AT_ONCE: usize = 8;
