//! A small version of the simulated weeks in `docs/perf/simulator.md`.

use std::sync::atomic::{AtomicU64, Ordering};

use conformance::simulator::{Kind, Plan, Sampling, report, simulate};

const SEED: u64 = 7;

#[test]
fn a_day_of_sessions_keeps_the_promises() {
    let plan = Plan::new(1, 1_500, SEED);
    let counted = AtomicU64::new(0);
    let tally = simulate(&plan, |sessions| {
        counted.fetch_add(sessions, Ordering::Relaxed);
    });
    assert_eq!(counted.into_inner(), 1_500, "the bar reaches its end");
    assert_eq!(tally.sum(|_| true).sessions, 1_500);
    // A dozen outages of UDP more or less decide the rate of so few; the weeks of the report do not care.
    assert!(tally.activation_where_it_works() < 0.015, "{}", tally.activation_where_it_works());
    for promise in report::promises(&tally).iter().skip(1) {
        assert!(promise.kept, "{}: {}", promise.text, promise.found);
    }
    for (kind, of) in &tally.kinds {
        assert_eq!((of.wrong, of.missed), (0, 0), "{kind:?}");
    }
    assert!(tally.sum(|kind| kind == Kind::UdpBlocked).reached > 50, "the day holds what it must");
}

#[test]
fn the_same_seed_gives_the_same_tally_and_another_seed_another() {
    let run = |seed| simulate(&Plan::new(2, 100, seed), |_| ());
    assert_eq!(run(SEED), run(SEED));
    assert_ne!(run(SEED), run(SEED + 1));
}

#[test]
fn samples_that_could_only_say_all_is_well_change_nothing_that_is_promised() {
    let mut plan = Plan::new(1, 150, SEED);
    let sparse = simulate(&plan, |_| ());
    plan.sampling = Sampling::Always;
    let full = simulate(&plan, |_| ());
    for (kind, of) in &full.kinds {
        let other = &sparse.kinds[kind];
        assert_eq!((of.sessions, of.wrong, of.missed), (other.sessions, 0, 0), "{kind:?}");
        assert_eq!(of.activated, other.activated, "{kind:?}");
    }
}
