//! What the clock leads to, and how the socket ends.

use transport_core::{CloseCode, Closed, Initiator, rhythm::Life};

use super::Links;
use crate::{
    entry::Entry,
    heartbeat::Beat,
    link::Key,
    outcome::{Outgoing, Tick},
    runtime::{Duration, Instant},
};

impl Links {
    /// Looks at the clock.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        if let Some((closed, _)) = &self.end {
            return Tick::End(closed.clone());
        }
        if self.leave_at.is_some_and(|at| at <= now) {
            return Tick::End(drained());
        }
        let overdue = self.overdue();
        if overdue.is_some_and(|at| at <= now) {
            return Tick::End(Closed::local(CloseCode::NORMAL, "nobody uses it any more"));
        }
        let late: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, entry)| entry.flush_until().is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        let mut write = false;
        for key in late {
            write |= self.mark_ready(key);
        }
        for key in self.early.expire(now) {
            self.abandon(key, "nobody here opened this link");
        }
        let beat = loop {
            match self.heartbeat.poll(now) {
                Beat::Ask => self.urge(Outgoing::Ping),
                Beat::Send => self.urge(Outgoing::heartbeat()),
                Beat::Wait(until) => break until,
                Beat::Dead(silence) => {
                    let silent = silence.as_secs_f32();
                    let why = format!("no sign of life from the relay for {silent:.1} s");
                    return Tick::End(Closed::network(why));
                }
            }
        };
        let flush = self.open.values().filter_map(Entry::flush_until).filter(|at| now < *at).min();
        let others = [self.leave_at, self.early.next_expiry(), overdue, flush];
        let until = others.into_iter().flatten().fold(beat, Instant::min);
        Tick::Wait { until, write: write || !self.urgent.is_empty() }
    }

    /// Ends the socket and every link on it; the first end wins.
    pub(crate) fn end(&mut self, closed: Closed, now: Instant) {
        if self.end.is_some() {
            return;
        }
        for entry in self.open.values() {
            entry.link.end(closed.clone());
        }
        self.open.clear();
        self.ready.clear();
        self.end = Some((closed, now));
    }

    /// How and when the socket ended, if it has.
    pub(crate) fn ended(&self) -> Option<&(Closed, Instant)> {
        self.end.as_ref()
    }

    /// Asks whether the socket is alive: something happened that may have cost it.
    pub(crate) fn doubt(&mut self, now: Instant) {
        if self.end.is_none() && self.heartbeat.doubt(now) {
            self.urge(Outgoing::Ping);
        }
    }

    /// Asks whether a silent socket is alive, before it is used again.
    pub(crate) fn doubt_silence(&mut self, now: Instant) {
        if self.end.is_none() && self.heartbeat.doubt_silence(now) {
            self.urge(Outgoing::Ping);
        }
    }

    /// Whether it was asked and has neither answered nor ended.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.end.is_none() && self.heartbeat.is_in_doubt()
    }

    /// How the socket ended, for the next one's heartbeat.
    pub(crate) fn life(&self) -> Option<Life> {
        self.end.as_ref().map(|(closed, at)| Life {
            cut: closed.initiator == Initiator::Network,
            idle: self.heartbeat.idle(*at),
            lived: at.saturating_duration_since(self.heartbeat.born()),
        })
    }

    /// Leaves a draining relay now instead of at the drawn moment: a new dial must not wait.
    pub(crate) fn leave_if_draining(&mut self, now: Instant) {
        if self.leave_at.is_some() {
            self.end(drained(), now);
        }
    }

    /// When a socket that nobody uses must be gone, though the path takes nothing.
    pub(super) fn overdue(&self) -> Option<Instant> {
        if let Some(at) = self.retired_at {
            return Some(at + CLOSING);
        }
        let endings = self.open.values().map(Entry::flush_until);
        let last = endings.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        (self.dials == 0).then_some(last + CLOSING)
    }
}

pub(super) fn drained() -> Closed {
    Closed::peer(CloseCode::DRAIN, "the relay drains")
}

/// How long saying goodbye may take.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);
