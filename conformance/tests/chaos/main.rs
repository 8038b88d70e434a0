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
    let (mut resumed, mut disconnects) = (BTreeMap::<Blow, Vec<Duration>>::new(), 0);
    let began = Instant::now();
    while disconnects < wanted || began.elapsed() < least {
        sleep(Duration::from_millis(dice.random_range(500..1_500))).await;
        let blow = *Blow::ALL.choose(&mut dice).expect("some");
        service.suffer(blow, &mut dice).await;
        let healed = Instant::now();
        let marks: Vec<_> = pairs.iter().map(Pair::mark).collect();
        let mut away: Vec<_> = pairs.iter().zip(marks).collect();
        while let Some((pair, _)) = away.first() {
            assert!(healed.elapsed() < PATIENCE, "after {blow:?}: {}", pair.explain());
            sleep(Duration::from_millis(10)).await;
            let before = away.len();
            away.retain(|(pair, mark)| !pair.is_past(mark));
            let back = std::iter::repeat_n(healed.elapsed(), before - away.len());
            resumed.entry(blow).or_default().extend(back);
        }
        disconnects = pairs.iter().map(Pair::disconnects).sum();
    }
    let took = began.elapsed();
    let mut verdict = Verdict::default();
    for pair in pairs {
        verdict = verdict.and(pair.end().await);
    }
    println!("{disconnects} disconnects of {SESSIONS} sessions in {took:?}: all resumed; {verdict:?}");
    println!("after the cause was gone | blows | median | p99 | worst | within 5 s");
    for (blow, times) in &resumed {
        summary(&format!("{blow:?}"), times);
    }
    summary("all", &resumed.into_values().flatten().collect::<Vec<_>>());
    assert!(verdict.is_whole() && verdict.delivered > 0, "{verdict:?}");
}

fn summary(name: &str, times: &[Duration]) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64();
    let quick = times.iter().filter(|time| time.as_secs() < 5).count() as f64 / times.len() as f64;
    println!(
        "{name} | {} | {:.1} s | {:.1} s | {:.1} s | {:.2} %",
        times.len() / SESSIONS,
        at(50),
        at(99),
        at(100),
        100.0 * quick
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
