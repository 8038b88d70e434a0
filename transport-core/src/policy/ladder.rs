//! The rungs in their order, the network they are on, and since when the path is lost.

use std::collections::BTreeMap;

use crate::time::{Duration, Instant};

use super::{
    gate::Override,
    record::Record,
    rung::{Class, NetworkId, Rung},
};

/// The record of every rung, and the memory of networks.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    records: Vec<Record>,
    network: NetworkId,
    memory: BTreeMap<NetworkId, Memory>,
    keep: Duration,
    /// Since when no primary has lasted; `None` while nothing is known to have been lost.
    lost_since: Option<Instant>,
}

/// What happened on one network.
#[derive(Debug, Clone)]
struct Memory {
    touched: Instant,
    winner: Option<usize>,
    failed: BTreeMap<usize, Instant>,
}

impl Ladder {
    pub(super) fn new(rungs: Vec<Rung>, keep: Duration) -> Self {
        Self {
            records: rungs.into_iter().map(Record::new).collect(),
            network: NetworkId::default(),
            memory: BTreeMap::new(),
            keep,
            lost_since: None,
        }
    }

    /// The device is on this network.
    pub(super) fn enter(&mut self, network: NetworkId) {
        self.network = network;
    }

    /// A search begins: every rung's schedule starts over.
    pub(super) fn begin_search(&mut self) {
        self.records.iter_mut().for_each(Record::begin_search);
    }

    /// A search is over: no dial is planned any more.
    pub(super) fn end_search(&mut self) {
        self.records.iter_mut().for_each(Record::unplan);
    }

    /// Lets every fallback be dialled at once, whatever it said before.
    pub(super) fn excuse_fallbacks(&mut self) {
        self.records.iter_mut().filter(|record| record.class() == Class::Fallback).for_each(Record::excuse);
    }

    /// Forgets all evidence, and counts failures from here as after a loss.
    pub(super) fn forget(&mut self, now: Instant) {
        self.records.iter_mut().for_each(Record::forget);
        self.count_from_loss(now);
    }

    /// A live link was lost. Failures are counted from here unless they are counted from an earlier loss.
    pub(super) fn note_loss(&mut self, now: Instant) {
        if self.lost_since.is_none() {
            self.count_from_loss(now);
        }
    }

    /// Counts failures from here, whatever was lost before.
    pub(super) fn count_from_loss(&mut self, now: Instant) {
        self.lost_since = Some(now);
        self.records.iter_mut().for_each(Record::count_from_loss);
    }

    /// A primary lasted, or nothing is known to have been lost before it.
    pub(super) fn forgive_loss(&mut self) {
        self.lost_since = None;
    }

    /// Remembers that a rung carried a session on this network.
    pub(super) fn remember_success(&mut self, rung: usize, now: Instant) {
        let memory = self.memory_here(now);
        memory.winner = Some(rung);
        memory.failed.remove(&rung);
    }

    /// Remembers that a rung reached its quorum of failures on this network.
    pub(super) fn remember_failure(&mut self, rung: usize, now: Instant) {
        self.memory_here(now).failed.insert(rung, now);
    }

    pub(super) fn rung(&self, rung: usize) -> &Record {
        &self.records[rung]
    }

    pub(super) fn rung_mut(&mut self, rung: usize) -> &mut Record {
        &mut self.records[rung]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Record)> {
        self.records.iter().enumerate()
    }

    pub(super) fn end_waits(&mut self, now: Instant) {
        self.records.iter_mut().for_each(|record| record.end_wait(now));
    }

    pub(super) fn lost_since(&self) -> Option<Instant> {
        self.lost_since
    }

    pub(super) fn class(&self, rung: usize) -> Class {
        self.records[rung].class()
    }

    /// Lists the primaries to dial, best first: the last winner on this network, then the ladder's
    /// order, then those that failed here a short while ago. A fallback never becomes a primary by memory.
    pub(super) fn primaries(&self, mode: Override, now: Instant) -> Vec<usize> {
        let memory = self.memory.get(&self.network);
        let recent = |at: Instant| now.saturating_duration_since(at) < self.keep;
        let failed = |rung: &usize| memory.and_then(|m| m.failed.get(rung)).is_some_and(|at| recent(*at));
        let won = |rung: &usize| {
            memory.is_some_and(|memory| recent(memory.touched) && memory.winner == Some(*rung))
        };
        let allowed = |rung: &usize| self.records[*rung].rung().is_allowed_primary(mode);
        let mut order: Vec<usize> = (0..self.records.len()).filter(allowed).collect();
        order.sort_by_key(|rung| (failed(rung), !won(rung), *rung));
        order
    }

    /// Lists the fallbacks in the ladder's order, whatever the override.
    pub(super) fn fallbacks(&self) -> Vec<usize> {
        (0..self.records.len()).filter(|rung| self.class(*rung) == Class::Fallback).collect()
    }

    fn memory_here(&mut self, now: Instant) -> &mut Memory {
        let network = self.network;
        if !self.memory.contains_key(&network)
            && self.memory.len() >= MOST_NETWORKS
            && let Some(oldest) = self.memory.iter().min_by_key(|(_, m)| m.touched).map(|(id, _)| *id)
        {
            self.memory.remove(&oldest);
        }
        let fresh = Memory { touched: now, winner: None, failed: BTreeMap::new() };
        let memory = self.memory.entry(network).or_insert(fresh);
        memory.touched = now;
        memory
    }
}

/// Networks remembered: home, work, phone, and a day of travelling.
const MOST_NETWORKS: usize = 16;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
mod tests {
    use super::*;
    use crate::ids::TransportId;

    const HOME: NetworkId = NetworkId(1);
    const KEEP: Duration = Duration::from_secs(600);

    #[test]
    fn the_last_winner_starts_first_and_a_fresh_loser_last_and_both_are_forgotten() {
        let (mut ladder, start) = (ladder(), Instant::now());
        assert_eq!(order(&ladder, start), [0, 1]);
        ladder.remember_success(1, start);
        assert_eq!(order(&ladder, start), [1, 0]);
        ladder.remember_failure(1, start);
        assert_eq!(order(&ladder, start + KEEP - Duration::from_nanos(1)), [0, 1]);
        assert_eq!(order(&ladder, start + KEEP), [0, 1]);
        ladder.enter(NetworkId(2));
        assert_eq!(order(&ladder, start), [0, 1]);
    }

    #[test]
    fn a_winner_is_remembered_for_ten_minutes_and_not_a_moment_longer() {
        let (mut ladder, start) = (ladder(), Instant::now());
        ladder.remember_success(1, start);
        assert_eq!(order(&ladder, start + KEEP - Duration::from_nanos(1)), [1, 0]);
        assert_eq!(order(&ladder, start + KEEP), [0, 1]);
        ladder.remember_failure(0, start + KEEP);
        assert_eq!(order(&ladder, start + KEEP * 2 - Duration::from_nanos(1)), [1, 0]);
        assert_eq!(order(&ladder, start + KEEP * 2), [0, 1]);
    }

    #[test]
    fn memory_never_moves_a_rung_across_a_gate() {
        let (mut ladder, start) = (ladder(), Instant::now());
        ladder.remember_success(2, start);
        assert_eq!(order(&ladder, start), [0, 1]);
        assert_eq!(ladder.fallbacks(), [2]);
    }

    #[test]
    fn overrides_choose_among_the_primaries() {
        let (ladder, start) = (ladder(), Instant::now());
        assert_eq!(ladder.primaries(Override::DirectOnly, start), [0]);
        assert_eq!(ladder.primaries(Override::NoRelay, start), [0, 1]);
        assert!(ladder.primaries(Override::RelayOnly, start).is_empty());
    }

    #[test]
    fn the_memory_of_networks_is_bounded() {
        let (mut ladder, start) = (ladder(), Instant::now());
        for network in 0..100 {
            ladder.enter(NetworkId(network));
            ladder.remember_success(1, start + Duration::from_secs(network));
        }
        assert_eq!(ladder.memory.len(), MOST_NETWORKS);
    }

    fn ladder() -> Ladder {
        let name = TransportId::from_static;
        let rungs = vec![
            Rung::direct(name("webrtc")),
            Rung::turn(name("webrtc-turn")),
            Rung::fallback(name("ws-fallback")),
        ];
        let mut ladder = Ladder::new(rungs, KEEP);
        ladder.enter(HOME);
        ladder
    }

    fn order(ladder: &Ladder, now: Instant) -> Vec<usize> {
        ladder.primaries(Override::Auto, now)
    }
}
