//! The last look before the fallback is taken: was it the direct path that failed, or everything?
//!
//! When the whole network was down, the failures gathered meanwhile say nothing about the direct path, and the
//! fallback connects at the moment the network is back. So a fallback waits in reserve, while every primary
//! is dialled once more, when one of these holds:
//!
//! - it took long to connect, or was not reached before;
//! - a primary answered just now.

use crate::time::Instant;

use crate::ids::Generation;

use super::{Action, FallbackPolicy, dials::Dial, paths::Reserve, rung::Class};

impl FallbackPolicy {
    /// Says whether the evidence against the primaries may have been a dead network.
    pub(super) fn doubts_verdict(&self, now: Instant, fallback: &Dial) -> bool {
        let Some(search) = self.search.as_ref().filter(|_| self.is_searching()) else { return false };
        if self.verdict.stands() || !self.permission.is_auto() {
            return false;
        }
        let hopeful = |rung: &usize| !search.spares(*rung) && !self.ladder.rung(*rung).is_condemned(now);
        let recent = |at: Instant| now.saturating_duration_since(at) < self.config.dial.confirm;
        // One that answered long ago and never connected passes probes and nothing else.
        let first_answer = |rung: &usize| self.dials.on(*rung).filter_map(|(_, dial)| dial.answered()).min();
        let answering = self.primaries(now).iter().filter_map(first_answer).any(recent);
        let slow = now.saturating_duration_since(fallback.began()) >= self.config.dial.slow_fallback;
        self.primaries(now).iter().any(hopeful) && (answering || slow || search.fallback_failed())
    }

    /// Keeps the fallback ready and dials every primary once more.
    pub(super) fn put_in_reserve(&mut self, now: Instant, generation: Generation, rung: usize) {
        let until = now + self.config.dial.confirm;
        self.paths.keep_in_reserve(Reserve { generation, rung, began: now, until });
        for rung in self.primaries(now) {
            if self.dials.on(rung).any(|(_, dial)| dial.answered().is_some()) {
                continue;
            }
            // Whatever is open was sent into a dead network; a fresh one finds the way sooner.
            let oldest = self.dials.on(rung).map(|(generation, _)| generation).next();
            if let Some(generation) = oldest.filter(|_| !self.has_room(rung)) {
                self.dials.close(generation);
                self.ask(Action::CancelDial { generation });
            }
            self.ladder.rung_mut(rung).plan(now);
        }
    }

    /// Takes the fallback when the primaries had their time. One that answers gets a little more.
    pub(super) fn confirm_reserve(&mut self, now: Instant) {
        let Some(reserve) = self.paths.reserve().filter(|reserve| reserve.until <= now) else { return };
        if self.ladder.class(reserve.rung) == Class::Primary {
            if let Some(reserve) = self.paths.take_reserve() {
                self.take_fresh(now, &reserve);
            }
            return;
        }
        let extended = reserve.began + self.config.dial.silence;
        let lively = |at: Instant| now.saturating_duration_since(at) < self.config.dial.answered_stagger;
        let answers = |dial: &Dial| {
            self.ladder.class(dial.rung()) == Class::Primary && dial.answered().is_some_and(lively)
        };
        if now < extended && self.dials.iter().any(|(_, dial)| answers(dial)) {
            self.paths.extend_reserve(extended);
        } else if let Some(reserve) = self.paths.take_reserve() {
            self.adopt(now, reserve.generation, reserve.rung, Vec::new());
        }
    }

    pub(super) fn drop_reserve(&mut self) {
        if let Some(reserve) = self.paths.take_reserve() {
            self.ask(Action::Drain { generation: reserve.generation });
        }
    }
}
