//! Weeks of sessions in virtual time, each judged by the real [`Judge`](transport_core::judge::Judge) of either side.
//!
//! Networks, links, dials and people are models (`weather`, `dialing`, `session`); the judgement is
//! the shipped code, fed through the events and obeyed through the actions that the negotiator's driver uses. A session
//! depends on the seed and its own number only, so the result does not depend on threads.
//!
//! `beach-simulate` runs it and writes `docs/perf/simulator.md`; `tests/simulator.rs` runs a day.

mod book;
mod calendar;
mod dialing;
pub mod plot;
mod population;
pub mod report;
mod session;
mod tally;
mod track;
mod uplink;
mod weather;

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::{calendar::Calendar, session::Session};
pub use self::{
    population::{Kind, Reach},
    session::Sampling,
    tally::{Day, KindTally, Spread, Tally},
};

/// How much to simulate.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// Virtual days.
    pub days: u64,
    /// Sessions that begin on each of them.
    pub sessions: u64,
    /// Makes the run repeatable.
    pub seed: u64,
    /// How often links are sampled.
    pub sampling: Sampling,
}

impl Plan {
    /// Plans `days` of `sessions` each.
    pub fn new(days: u64, sessions: u64, seed: u64) -> Self {
        Self { days, sessions, seed, sampling: Sampling::WhenItMatters }
    }
}

/// Runs the plan on every core and calls `progress` with the number of sessions since the last call.
pub fn simulate(plan: &Plan, progress: impl Fn(u64) + Sync) -> Tally {
    let calendar = Calendar::draw(plan.days, plan.seed);
    let next_day = AtomicU64::new(0);
    let tallies: Mutex<Vec<(u64, Tally)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let day = next_day.fetch_add(1, Ordering::Relaxed);
                    if day >= plan.days {
                        return;
                    }
                    let tally = simulate_day(plan, &calendar, day, &progress);
                    // A poisoned lock still holds whole days; the panic is reported by the scope.
                    tallies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((day, tally));
                }
            });
        }
    });
    let mut tallies = tallies.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tallies.sort_by_key(|(day, _)| *day);
    let mut total = Tally::new();
    for (_, tally) in &tallies {
        total.absorb(tally);
    }
    total
}

fn simulate_day(plan: &Plan, calendar: &Calendar, day: u64, progress: &(impl Fn(u64) + Sync)) -> Tally {
    let mut tally = Tally::new();
    tally.begin_day(day);
    for number in 0..plan.sessions {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        rng.set_stream(1 + day * plan.sessions + number);
        let kind = Kind::draw(&mut rng);
        let begins = calendar::DAY.mul_f64(day as f64 + rng.random::<f64>());
        Session::draw(kind, begins, calendar, plan.sampling, rng).run(&mut tally);
        if number % 100 == 99 {
            progress(100);
        }
    }
    progress(plan.sessions % 100);
    tally
}
