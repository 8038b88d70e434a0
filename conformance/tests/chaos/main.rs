//! Sessions over a service that is reset, cut off, killed, frozen and starved, down to its Redis: all of them resume,
//! and each history is whole. Half of the sessions are two `beach-link pipe` processes.
//!
//! `CHAOS_DISCONNECTS` says how many disconnects there must be at least (default 12, a minute at most;
//! `scripts/nightly` asks for 500), `CHAOS_SECONDS` how long it lasts at least, `CHAOS_SEED` repeats a run.

mod library;
mod pair;
mod program;
#[path = "../../../lifeguard-relay/tests/control_support/redis.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "another test's support")]
mod redis;
mod service;
mod talk;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use conformance::history::Verdict;
use pair::Pair;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use service::{Blow, Service};
use tokio::time::sleep;

/// Sessions at one time.
const SESSIONS: usize = 8;
/// Within this time after the cause is gone everybody must be back.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_session_resumes_and_no_message_is_lost() {
    let wanted = number("CHAOS_DISCONNECTS").unwrap_or(12);
    let seed = number("CHAOS_SEED").unwrap_or_else(rand::random);
    let least = Duration::from_secs(number("CHAOS_SECONDS").unwrap_or(0));
    println!("CHAOS_SEED={seed} CHAOS_DISCONNECTS={wanted} CHAOS_SECONDS={}", least.as_secs());
    let mut dice = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut service = Service::start(folder.path()).await;
    let mut pairs = Vec::new();
    for number in 0..SESSIONS as u64 {
        pairs.push(Pair::start(service.url(), folder.path(), seed, number).await);
    }
    let (mut resumed, mut blows, mut disconnects) = (Vec::new(), BTreeMap::<Blow, u64>::new(), 0);
    let began = Instant::now();
    while disconnects < wanted || began.elapsed() < least {
        sleep(Duration::from_millis(dice.random_range(500..1_500))).await;
        let blow = *Blow::ALL.choose(&mut dice).expect("some");
        service.suffer(blow, &mut dice).await;
        let healed = Instant::now();
        let marks: Vec<_> = pairs.iter().map(Pair::mark).collect();
        for (pair, mark) in pairs.iter().zip(marks) {
            while !pair.is_past(&mark) {
                assert!(healed.elapsed() < PATIENCE, "after {blow:?}: {}", pair.explain());
                sleep(Duration::from_millis(10)).await;
            }
            resumed.push(healed.elapsed());
        }
        *blows.entry(blow).or_default() += 1;
        disconnects = pairs.iter().map(Pair::disconnects).sum();
    }
    let took = began.elapsed();
    let mut verdict = Verdict::default();
    for pair in pairs {
        verdict = verdict.and(pair.end().await);
    }
    resumed.sort_unstable();
    let at = |share: usize| resumed[(resumed.len() * share / 100).min(resumed.len() - 1)];
    println!(
        "{disconnects} disconnects of {SESSIONS} sessions by {blows:?} in {took:?}: all resumed, median {:?}, p99 {:?}, \
         worst {:?} after the cause was gone; {verdict:?}",
        at(50),
        at(99),
        at(100)
    );
    assert!(verdict.is_whole() && verdict.delivered > 0, "{verdict:?}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
