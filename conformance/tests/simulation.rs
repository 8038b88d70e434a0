//! Sessions in simulated weather: every history whole, every fate repeatable.
//!
//! `SIM_SEEDS` sets how many (600), `SIM_FIRST` where to start (0). A seed that ever failed is kept in
//! [`REGRESSIONS`] for ever.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use conformance::{history::Verdict, session_sim};

/// Seeds that failed once.
const REGRESSIONS: &[u64] = &[];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

#[test]
fn every_seed_is_whole() {
    let (first, seeds) = (number("SIM_FIRST", 0), number("SIM_SEEDS", 600));
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let all: Vec<u64> = REGRESSIONS.iter().copied().chain(first..first + seeds).collect();
    let fates: Vec<_> = std::thread::scope(|scope| {
        let worker = || {
            let mut fates = Vec::new();
            while let Some(&seed) = all.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                let fate = session_sim::run(seed).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
                fates.push(fate);
            }
            fates
        };
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        workers.into_iter().flat_map(|worker| worker.join().expect("a seed failed")).collect()
    });
    assert_eq!(fates.len() as u64, seeds + REGRESSIONS.len() as u64, "a run that ran less must not pass");
    let verdict = fates.iter().fold(Verdict::default(), |sum, fate| sum.and(fate.verdict));
    let sum = |count: fn(&session_sim::Fate) -> u64| fates.iter().map(count).sum::<u64>();
    println!(
        "{} seeds from {first}: {} sessions, {} disconnects, {} switches, {} s of virtual time in {:.1?}: {verdict}",
        fates.len(),
        sum(|fate| fate.sessions),
        sum(|fate| fate.disconnects),
        sum(|fate| fate.switches),
        sum(|fate| fate.virtual_ms) / 1000,
        started.elapsed(),
    );
    assert!(verdict.is_whole());
}

#[test]
fn the_same_seed_meets_the_same_fate() {
    for seed in [1, 7, 42, 1_000_003] {
        let (once, twice) = (session_sim::run(seed).expect("whole"), session_sim::run(seed).expect("whole"));
        println!("seed {seed}: trace {:016x}", once.trace);
        assert_eq!(once, twice, "seed {seed} is not repeatable");
    }
    let (one, other) = (session_sim::run(1).expect("whole"), session_sim::run(2).expect("whole"));
    assert_ne!(one.trace, other.trace);
}
