//! What the internal hop between two relays costs a message, beside none, and what a pool costs one that needs no hop.
//!
//! `POOL_MESSAGES` says how many messages there are in each of seven turns (200; `scripts/measure costs` has 20,000).

use std::time::{Duration, Instant};

use pool::{
    member::{Inside, Member},
    report::{median, number},
    service::{Node, Plan, Service, Stats},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_carries_every_message_and_costs_what_is_said() {
    let messages = number("POOL_MESSAGES").unwrap_or(200) as usize;
    let (mut alone, mut pooled) = (Plan::default(), Plan::default());
    (alone.relays, alone.pooled, pooled.relays) = (1, false, 2);
    let services = [Service::start(alone).await, Service::start(pooled).await];
    let mut cases = Vec::new();
    for (service, hop) in [(&services[0], false), (&services[1], false), (&services[1], true)] {
        cases.push((service, pair(service, hop).await));
    }
    assert_eq!(services[1].stats().await.iter().map(|(_, stats)| stats.passed_on).sum::<u64>(), 1);
    let mut turns = Vec::new();
    for turn in 0..=TURNS {
        let mut costs = Vec::new();
        for (service, ends) in &mut cases {
            let before = Node::cpu_of(&service.relays);
            let (rate, wait) = echoes(ends, messages).await;
            let micros = (Node::cpu_of(&service.relays) - before).as_secs_f64() * 1e6 / (2 * messages) as f64;
            costs.push([micros, rate, wait.as_secs_f64() * 1e6]);
        }
        if turn > 0 {
            turns.push(costs);
        }
    }
    println!(
        "| messages of {SIZE} bytes | CPU of all relays for one | ratio | one in flight: there and back | {IN_FLIGHT} in flight: a second |\n|---|---|---|---|---|"
    );
    for (case, what) in
        ["one relay that owns nothing", "at the owner, in a pool", "one end behind another relay"]
            .iter()
            .enumerate()
    {
        let of = |figure: usize| median(turns.iter().map(|costs| costs[case][figure]));
        let ratio = median(turns.iter().map(|costs| costs[case][0] / costs[0][0]));
        println!("| {what} | {:.1} µs | {ratio:.2} | {:.0} µs | {:.0} |", of(0), of(2), of(1));
    }
}

/// Host and viewer of a session: both at its owner, or the viewer at another relay.
async fn pair(service: &Service, hop: bool) -> [Inside; 2] {
    let plane = service.planes[0].address();
    let [host, viewer] = Member::pair(plane).await;
    let before = service.stats().await;
    let is_passed_on = |now: &[(usize, Stats)]| {
        now.iter().zip(&before).any(|((_, now), (_, before))| now.passed_on != before.passed_on)
    };
    // By the load balancer, until it sends the host straight to the owner.
    let host = loop {
        let inside = host.enter(service.address(), host.token(plane).await).await;
        if !is_passed_on(&service.stats().await) {
            break inside;
        }
        drop(inside);
        while is_passed_on(&service.stats().await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let now = service.stats().await;
    let owner = now
        .iter()
        .zip(&before)
        .position(|((_, now), (_, before))| now.peers > before.peers)
        .expect("it is somewhere");
    let place = if hop { 1 - owner } else { owner };
    let viewer = viewer.enter(service.relays[place].address(), viewer.token(plane).await).await;
    [host, viewer]
}

/// The host says everything back. Returns messages a second with some in flight, and the median of one in flight.
async fn echoes([host, viewer]: &mut [Inside; 2], messages: usize) -> (f64, Duration) {
    let (to, back) = (host.address(), viewer.address());
    let echo = async {
        for _ in 0..messages {
            let payload = host.hear().await;
            host.say(back, &payload).await;
        }
    };
    let ask = async {
        let payload = |number: usize| [&number.to_be_bytes()[..], &vec![7; SIZE - 8]].concat();
        let mut waits = Vec::new();
        for number in 0..messages / 2 {
            let began = Instant::now();
            viewer.say(to, &payload(number)).await;
            assert_eq!(viewer.hear().await, payload(number));
            waits.push(began.elapsed());
        }
        waits.sort_unstable();
        let (began, rest) = (Instant::now(), messages - messages / 2);
        for number in 0..rest + IN_FLIGHT {
            if number < rest {
                viewer.say(to, &payload(number)).await;
            }
            if let Some(first) = number.checked_sub(IN_FLIGHT) {
                assert_eq!(viewer.hear().await, payload(first));
            }
        }
        (rest as f64 / began.elapsed().as_secs_f64(), waits[waits.len() / 2])
    };
    tokio::join!(ask, echo).0
}

const SIZE: usize = 4_096;
const IN_FLIGHT: usize = 8;
const TURNS: usize = 7;
