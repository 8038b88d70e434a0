//! The open dials and their numbers.

use std::collections::BTreeMap;

use crate::{
    ids::Generation,
    time::{Duration, Instant},
};

/// Open dials, oldest first. Numbers are given once and only rise.
#[derive(Debug, Clone)]
pub(super) struct Dials {
    open: BTreeMap<Generation, Dial>,
    numbered: Generation,
}

/// One open dial.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    rung: usize,
    began: Instant,
    deadline: Instant,
    /// When it counts as failed although it stays open; `None` once it was counted, or never.
    counts_at: Option<Instant>,
    counted: bool,
    answered: Option<Instant>,
    dwell: Duration,
}

impl Dials {
    pub(super) fn new() -> Self {
        Self { open: BTreeMap::new(), numbered: Generation(0) }
    }

    /// Numbers a dial and opens it; `None` when no number is left.
    pub(super) fn open(&mut self, dial: Dial) -> Option<Generation> {
        let generation = self.numbered.next()?;
        self.numbered = generation;
        self.open.insert(generation, dial);
        Some(generation)
    }

    /// Takes a dial out: it succeeded, failed or was cancelled.
    pub(super) fn close(&mut self, generation: Generation) -> Option<Dial> {
        self.open.remove(&generation)
    }

    /// Takes out every dial of a kind and returns their numbers.
    pub(super) fn close_where(&mut self, which: impl Fn(&Dial) -> bool) -> Vec<Generation> {
        let closed = self.numbers_where(which);
        self.open.retain(|generation, _| !closed.contains(generation));
        closed
    }

    /// Notes the first answer.
    pub(super) fn note_answer(&mut self, generation: Generation, now: Instant) {
        if let Some(dial) = self.open.get_mut(&generation) {
            dial.answered.get_or_insert(now);
        }
    }

    /// Makes a dial count as failed at a time, although it stays open.
    pub(super) fn count_at(&mut self, generation: Generation, at: Option<Instant>) {
        if let Some(dial) = self.open.get_mut(&generation) {
            dial.counts_at = at;
        }
    }

    /// Counts an open dial as failed; returns its rung unless it was counted before.
    pub(super) fn count(&mut self, generation: Generation) -> Option<usize> {
        let dial = self.open.get_mut(&generation)?;
        dial.counts_at = None;
        (!std::mem::replace(&mut dial.counted, true)).then_some(dial.rung)
    }

    pub(super) fn rung_of(&self, generation: Generation) -> Option<usize> {
        self.open.get(&generation).map(|dial| dial.rung)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Generation, &Dial)> {
        self.open.iter().map(|(generation, dial)| (*generation, dial))
    }

    pub(super) fn on(&self, rung: usize) -> impl Iterator<Item = (Generation, &Dial)> {
        self.iter().filter(move |(_, dial)| dial.rung == rung)
    }

    pub(super) fn is_dialling(&self, rung: usize) -> bool {
        self.on(rung).next().is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Lists the dials whose whole time is over.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Generation> {
        self.numbers_where(|dial| dial.deadline <= now)
    }

    /// Lists the dials that count as failed by now.
    pub(super) fn due_to_count(&self, now: Instant) -> Vec<Generation> {
        self.numbers_where(|dial| dial.counts_at.is_some_and(|at| at <= now))
    }

    /// Lists every time at which a dial needs attention.
    pub(super) fn timers(&self) -> impl Iterator<Item = Instant> {
        self.open.values().flat_map(|dial| [Some(dial.deadline), dial.counts_at]).flatten()
    }

    fn numbers_where(&self, which: impl Fn(&Dial) -> bool) -> Vec<Generation> {
        self.iter().filter(|(_, dial)| which(dial)).map(|(generation, _)| generation).collect()
    }
}

impl Dial {
    /// Describes a dial that begins `now`. A session on the fallback moves to its link after the dwell.
    pub(super) fn new(
        now: Instant,
        rung: usize,
        deadline: Instant,
        counts_at: Option<Instant>,
        dwell: Duration,
    ) -> Self {
        Self { rung, began: now, deadline, counts_at, counted: false, answered: None, dwell }
    }

    pub(super) fn rung(&self) -> usize {
        self.rung
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn dwell(&self) -> Duration {
        self.dwell
    }

    /// Returns when something first came back.
    pub(super) fn answered(&self) -> Option<Instant> {
        self.answered
    }

    /// Says whether its failure is recorded already.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }
}
