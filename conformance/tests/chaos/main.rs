//! Sessions over a relay that is reset, cut off, killed, frozen and starved: all of them resume, and each history is
//! whole.
//!
//! `CHAOS_DISCONNECTS` says how many disconnects there must be at least (default 12, a minute at most;
//! `scripts/nightly` asks for 500), `CHAOS_SEED` repeats a run.

mod relay;
mod session;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use conformance::history::Verdict;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use relay::{Blow, Relay};
use session::Pair;
use tokio::time::sleep;

/// Sessions at one time.
const SESSIONS: usize = 8;
/// Within this time after the cause is gone everybody must be back.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_session_resumes_and_no_message_is_lost() {
    let wanted = number("CHAOS_DISCONNECTS").unwrap_or(12);
    let seed = number("CHAOS_SEED").unwrap_or_else(rand::random);
    println!("CHAOS_SEED={seed} CHAOS_DISCONNECTS={wanted}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut relay = Relay::start().await;
    let mut pairs = Vec::new();
    for number in 0..SESSIONS as u64 {
        pairs.push(Pair::start(relay.proxy.addr(), seed, number).await);
    }
    let (mut resumed, mut blows, mut disconnects) = (Vec::new(), BTreeMap::<Blow, u64>::new(), 0);
    let began = Instant::now();
    while disconnects < wanted {
        sleep(Duration::from_millis(dice.random_range(500..1_500))).await;
        let blow = *Blow::ALL.choose(&mut dice).expect("some");
        relay.suffer(blow, &mut dice).await;
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
