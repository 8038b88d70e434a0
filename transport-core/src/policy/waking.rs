//! Dialling the fallback, and fetching its token ahead of need.

use crate::time::Instant;

use super::{Action, FallbackPolicy, GateState, Reason, gate::Gate, rung::Class, search::Purpose};

impl FallbackPolicy {
    pub(super) fn set_gate(&mut self, gate: Gate, state: GateState) {
        self.permission.set_gate(gate, state);
        match state {
            GateState::Closed => self.cancel_fallback_dials(),
            GateState::Open => self.ladder.excuse_fallbacks(),
        }
    }

    /// Dials the first fallback whose time has come, if the fallback is permitted.
    pub(super) fn dial_fallback(&mut self, now: Instant) {
        if self.is_fallback_open() {
            return;
        }
        let due = |at: Instant| at <= now;
        let fallbacks = self.ladder.fallbacks();
        if !self.permits_fallback(now) {
            // A retry whose time came while it was not allowed happens as soon as it is.
            for rung in fallbacks {
                if self.ladder.rung(rung).next_dial().is_some_and(due) {
                    self.ladder.rung_mut(rung).unplan();
                }
            }
            return;
        }
        let is_due = |rung: &usize| self.ladder.rung(*rung).next_dial().is_none_or(due);
        let Some(rung) = fallbacks.into_iter().find(is_due) else { return };
        self.ladder.rung_mut(rung).unplan();
        let why = if self.is_verifying() { Reason::Woke } else { self.verdict.grounds() };
        self.open_dial(now, rung, why, None, self.config.restore.dwell);
    }

    /// Says whether a fallback is dialled, or waits in reserve.
    pub(super) fn is_fallback_open(&self) -> bool {
        let dialled = |rung: usize| self.dials.is_dialling(rung);
        self.paths.reserve().is_some() || self.ladder.fallbacks().into_iter().any(dialled)
    }

    /// Fetches the token when the quorum is one failure away, so that the verdict finds it ready.
    pub(super) fn prefetch(&mut self, now: Instant) {
        let allowed = self.permission.is_auto() && self.permission.allows_fallback();
        let needless = self.verdict.stands()
            || self.token.is_fresh(now, self.config.dial.token)
            || self.is_fallback_open();
        if !allowed || needless {
            return;
        }
        let Some(fallback) = self.ladder.fallbacks().first().copied() else { return };
        if self.is_one_failure_away(now) {
            self.token.ask(now);
            let transport = self.ladder.rung(fallback).transport();
            self.ask(Action::PrefetchToken { transport });
        }
    }

    fn is_one_failure_away(&self, now: Instant) -> bool {
        match self.purpose() {
            Some(Purpose::Live) => true,
            Some(Purpose::First) => self.primaries(now).into_iter().all(|rung| {
                let open =
                    self.dials.on(rung).filter(|(_, dial)| !dial.is_counted() && dial.answered().is_none());
                let failed = self.ladder.rung(rung).failures(now, self.config.window);
                self.quorum_on(rung, now) || failed + open.count() as u32 >= self.config.attempts
            }),
            Some(Purpose::Verify) | None => {
                let suspect = self.paths.active().is_some_and(|link| link.is_suspect());
                suspect && self.is_on(Class::Primary)
            }
        }
    }
}
