//! What follows from the evidence: the fallback is considered, the session is held, or it is given up.

use crate::time::Instant;

use super::{
    FallbackPolicy, Reason, Standing, TransitionKind,
    active::Active,
    record::Trouble,
    rung::Class,
    search::{Purpose, Search},
};

impl FallbackPolicy {
    /// Says whether a quorum of failures stands on a rung. Any of these makes one:
    ///
    /// - it is proven impossible, or unable to sustain a session;
    /// - enough dials failed inside the window;
    /// - a live link was lost and one dial failed since.
    pub(super) fn quorum_on(&self, rung: usize, now: Instant) -> bool {
        let record = self.ladder.rung(rung);
        let lost = self.ladder.lost_since().is_some() && self.purpose() == Some(Purpose::Live);
        // While the session flaps, a failure counts for as long as a move does. Otherwise each rung would be
        // tried afresh, at a move each.
        let flapping = self.returns.is_nearly_spent(now, &self.config.restore);
        let window = if flapping { self.config.restore.flap_window } else { self.config.window };
        record.is_condemned(now)
            || record.failures(now, self.config.window) >= self.config.attempts
            || (lost && record.failures_since_lost(now, window) >= 1)
    }

    /// Says whether the session should be on the fallback, gates aside.
    pub(super) fn wants_fallback(&self, now: Instant) -> bool {
        let decided = || self.primaries(now).into_iter().all(|rung| self.quorum_on(rung, now));
        self.is_searching() && (self.permission.is_relay_only() || self.verdict.stands() || decided())
    }

    /// Names what keeps the session from the fallback, if anything does.
    fn obstacle(&self) -> Option<Reason> {
        if let Some(why) = self.permission.objection() {
            return Some(why);
        }
        let mut worst = Reason::NoFallback;
        for rung in self.ladder.fallbacks() {
            match self.ladder.rung(rung).trouble() {
                Trouble::None => return None,
                Trouble::Misused | Trouble::Refused => worst = Reason::FallbackRefused,
                Trouble::Unreachable => worst = Reason::FallbackUnreachable,
            }
        }
        Some(worst)
    }

    /// Says whether the fallback may be dialled at this moment.
    pub(super) fn permits_fallback(&self, now: Instant) -> bool {
        // A fallback in doubt is dialled afresh under the verdict that led there.
        let verifying = self.verdict.stands() && self.is_verifying() && self.is_on(Class::Fallback);
        self.permission.allows_fallback() && (verifying || self.wants_fallback(now))
    }

    /// Draws the conclusion from the evidence.
    pub(super) fn conclude(&mut self, now: Instant) {
        if self.wants_fallback(now) {
            match self.obstacle() {
                Some(why) => self.hold(now, why),
                None => self.consider_fallback(now),
            }
        } else if self.is_refused_everywhere(now) {
            self.hold(now, Reason::PrimaryRefused);
        }
    }

    fn consider_fallback(&mut self, now: Instant) {
        if *self.status.standing() == Standing::Considering {
            return;
        }
        let grounds = self.grounds(now);
        self.verdict.consider(grounds);
        self.transition(now, TransitionKind::FallbackConsidered, grounds, Standing::Considering);
        // Primaries go on in case the verdict is wrong. One that was condemned without a dial, because it keeps
        // dying, gives the fallback a head start.
        if self.search.as_ref().is_some_and(|search| !search.is_urgent()) {
            for rung in self.primaries(now) {
                let record = self.ladder.rung_mut(rung);
                if record.attempts() == 0 {
                    record.plan(now + self.config.dial.attempt);
                }
            }
        }
    }

    fn hold(&mut self, now: Instant, why: Reason) {
        if *self.status.standing() == (Standing::Held { why }) {
            return;
        }
        self.transition(now, TransitionKind::FallbackHeld, why, Standing::Held { why });
        let backoff = self.backoff(now);
        for rung in self.primaries(now) {
            if self.dials.is_dialling(rung) {
                continue;
            }
            let record = self.ladder.rung_mut(rung);
            let pause = if record.was_refused() {
                self.config.dial.refused
            } else {
                record.draw_pause(&backoff, &mut self.rng)
            };
            record.plan_by(now + pause);
        }
    }

    /// Says why the fallback is considered.
    fn grounds(&self, now: Instant) -> Reason {
        let primaries = self.primaries(now);
        let condemned = |rung: &usize| self.ladder.rung(*rung).is_condemned(now);
        match self.paths.active().and_then(Active::degraded) {
            _ if self.permission.is_relay_only() => Reason::Override,
            _ if self.verdict.stands() => Reason::RelayLost,
            Some(why) if why != Reason::PathDead => why,
            _ if primaries.is_empty() => Reason::NoPrimary,
            _ if primaries.iter().all(condemned) => Reason::PrimariesImpossible,
            _ if self.purpose() == Some(Purpose::Live) => Reason::RedialFailed,
            _ if self.search.as_ref().is_some_and(Search::was_silent) => Reason::PrimariesSilent,
            _ => Reason::PrimariesFailed,
        }
    }

    /// Says whether every primary refused. A refusal is no evidence about the network and never wakes the
    /// fallback, so the session is held with that reason.
    fn is_refused_everywhere(&self, now: Instant) -> bool {
        let concluded = matches!(self.status.standing(), Standing::Held { .. } | Standing::Considering);
        let refused = |rung: &usize| self.ladder.rung(*rung).was_refused();
        // Where there is no primary to refuse, the fallback is wanted already.
        self.is_searching() && !concluded && self.dials.is_empty() && self.primaries(now).iter().all(refused)
    }

    /// Gives up when the application's patience is over, or when no rung is configured correctly.
    pub(super) fn consider_giving_up(&mut self, now: Instant) {
        let Some(search) = &self.search else { return };
        if self.paths.active().is_some() {
            return;
        }
        if self.config.give_up_after.is_some_and(|patience| search.began() + patience <= now) {
            return self.give_up(now, Reason::DeadlinePassed);
        }
        let mut tried = self.primaries(now);
        if self.permission.has_fallback() {
            tried.extend(self.ladder.fallbacks());
        }
        let misused = |rung: &usize| self.ladder.rung(*rung).trouble() == Trouble::Misused;
        if self.dials.is_empty() && !tried.is_empty() && tried.iter().all(misused) {
            self.give_up(now, Reason::Misconfigured);
        }
    }
}
