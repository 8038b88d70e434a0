//! What a run is told, and the table it prints.

use std::{fmt, time::Duration};

use conformance::history::Verdict;

use crate::fault::Fault;

/// What the environment says of a run: a whole number, or nothing.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The median of the turns of a measurement.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one kind of fault did, over all its rounds.
#[derive(Debug)]
pub struct Row {
    /// Which.
    pub fault: Fault,
    /// How often.
    pub rounds: usize,
    /// The longest silence of each direction of each session that lost its way.
    pub silences: Vec<Duration>,
    /// The longest silence of any direction.
    pub longest: Duration,
    /// How long it took from the blow until a new session stood, in the worst round.
    pub newcomer: Duration,
    /// All histories.
    pub verdict: Verdict,
}

impl Row {
    /// What stands above.
    pub const HEAD: &str = "| what befalls | rounds | sessions moved | silence p50 | p99 | worst | worst of all sessions | a new session stands after | messages | lost | doubled | reordered |\n\
                            |---|---|---|---|---|---|---|---|---|---|---|---|";

    /// The silence that this share of the directions, 0 to 100 of a hundred, did not exceed.
    pub fn percentile(&self, share: usize) -> Option<Duration> {
        let mut silences = self.silences.clone();
        silences.sort_unstable();
        let rank = (silences.len() * share).div_ceil(100).max(1);
        silences.get(rank - 1).copied()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Option<Duration>| {
            time.map_or_else(|| "–".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
        };
        let Self { fault, rounds, verdict, .. } = self;
        let (p50, p99, worst) = (self.percentile(50), self.percentile(99), self.percentile(100));
        write!(
            f,
            "| {fault} | {rounds} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.silences.len() / 2,
            seconds(p50),
            seconds(p99),
            seconds(worst),
            seconds(Some(self.longest)),
            seconds(Some(self.newcomer)),
            verdict.delivered,
            verdict.lost,
            verdict.doubled,
            verdict.reordered
        )
    }
}
