//! The verdict: whether a quorum stands, whether the gates are open, and what to do about it.

use super::{
    Action, FallbackPolicy,
    campaign::Purpose,
    event::{Standing, TransitionKind},
    gate::Override,
    ladder::{Class, Trouble},
    reason::Reason,
    snapshot::TokenState,
};
use crate::time::Instant;

impl FallbackPolicy {
    /// Says whether a quorum of failures stands on a rung: proven impossible or unable to sustain,
    /// or enough failures inside the window; once a live link died, one failure since is enough.
    pub(super) fn quorum_on(&self, rung: usize, now: Instant) -> bool {
        let state = &self.ladder.rungs[rung];
        let bereaved =
            self.death.is_some() && self.campaign.as_ref().is_some_and(|c| c.purpose == Purpose::Live);
        // While the session flaps, a failure counts for as long as its moves do: otherwise each rung would
        // be tried afresh, at a move each.
        let flapping = self.flap.is_nearly_spent(now, &self.config.restore);
        let memory = if flapping { self.config.restore.flap_window } else { self.config.window };
        state.is_condemned(now)
            || state.failures.count(now, self.config.window) >= self.config.attempts
            || (bereaved && state.failures.count(now, memory).min(state.since_death) >= 1)
    }

    /// Says whether the session should be on the fallback, gates aside.
    pub(super) fn wants_fallback(&self, now: Instant) -> bool {
        let Some(campaign) = &self.campaign else { return false };
        match campaign.purpose {
            Purpose::Verify => false,
            Purpose::First | Purpose::Forced | Purpose::Live => {
                self.is_forced()
                    || self.tenure
                    || self.primaries(now).into_iter().all(|rung| self.quorum_on(rung, now))
            }
        }
    }

    /// Names what keeps the session from the fallback, if anything does.
    fn obstacle(&self) -> Option<Reason> {
        match self.mode {
            Override::DirectOnly => return Some(Reason::PolicyDirectOnly),
            Override::NoRelay => return Some(Reason::PolicyNoRelay),
            Override::Auto | Override::ForceFallback | Override::RelayOnly => {}
        }
        if let Some(gate) = self.gates.closed().next() {
            return Some(gate.reason());
        }
        let mut worst = Reason::NoFallback;
        for rung in self.ladder.fallbacks() {
            match self.ladder.rungs[rung].trouble {
                Trouble::None => return None,
                Trouble::Misused | Trouble::Refused => worst = Reason::FallbackRefused,
                Trouble::Unreachable => worst = Reason::FallbackUnreachable,
            }
        }
        Some(worst)
    }

    /// Says whether the fallback may be dialled at this moment.
    pub(super) fn permits_fallback(&self, now: Instant) -> bool {
        let allowed = !matches!(self.mode, Override::DirectOnly | Override::NoRelay);
        // After a wake the fallback is dialled afresh without a new verdict: the old one stands.
        let verifying = self.tenure
            && self.active.as_ref().is_some_and(|link| self.class(link.rung) == Class::Fallback)
            && self.campaign.as_ref().is_some_and(|campaign| campaign.purpose == Purpose::Verify);
        allowed && self.gates.closed().next().is_none() && (verifying || self.wants_fallback(now))
    }

    /// Draws the conclusion from the evidence.
    pub(super) fn judge(&mut self, now: Instant) {
        self.begin_forced(now);
        if self.wants_fallback(now) {
            match self.obstacle() {
                Some(why) => self.hold(now, why),
                None => self.consider(now),
            }
        } else if self.is_refused_everywhere(now) {
            self.hold(now, Reason::PrimaryRefused);
        }
    }

    /// Somebody wants the fallback although a primary works.
    fn begin_forced(&mut self, now: Instant) {
        let on_primary = self.active.as_ref().is_some_and(|link| self.class(link.rung) == Class::Primary);
        if self.is_forced() && on_primary && self.campaign.is_none() {
            self.begin_campaign(now, Purpose::Forced, Reason::Override);
        }
    }

    fn consider(&mut self, now: Instant) {
        if self.standing == Standing::Considering {
            return;
        }
        self.verdict = self.grounds(now);
        self.transition(now, TransitionKind::FallbackConsidered, self.verdict, Standing::Considering);
        // Primaries go on in case the verdict is wrong, but one that was condemned without a dial, because
        // it keeps dying, gives the fallback a head start.
        if self.campaign.as_ref().is_some_and(|campaign| !campaign.urgent) {
            for rung in self.primaries(now) {
                let state = &mut self.ladder.rungs[rung];
                if state.round == 0 {
                    state.next_dial = Some(now + self.config.dial.attempt);
                }
            }
        }
    }

    fn hold(&mut self, now: Instant, why: Reason) {
        if self.standing == (Standing::Held { why }) {
            return;
        }
        self.transition(now, TransitionKind::FallbackHeld, why, Standing::Held { why });
        self.actions.push_back(Action::Hold { why });
        for rung in self.primaries(now) {
            if self.dials.values().any(|dial| dial.rung == rung) {
                continue;
            }
            let state = &mut self.ladder.rungs[rung];
            let pause = match state.trouble {
                Trouble::Misused | Trouble::Refused => self.config.dial.refused,
                Trouble::None | Trouble::Unreachable => {
                    state.backoff.next(&self.config.backoff, &mut self.rng)
                }
            };
            let at = now + pause;
            state.next_dial = Some(state.next_dial.map_or(at, |planned| planned.min(at)));
        }
    }

    /// Says why the fallback is considered.
    fn grounds(&self, now: Instant) -> Reason {
        let degraded = self.active.as_ref().and_then(|link| link.degraded);
        let silent = self.campaign.as_ref().is_some_and(|campaign| campaign.silent);
        let primaries = self.primaries(now);
        let condemned = |rung: &usize| self.ladder.rungs[*rung].is_condemned(now);
        match degraded {
            _ if self.is_forced() => Reason::Override,
            _ if self.tenure => Reason::RelayLost,
            Some(why) if why != Reason::PathDead => why,
            _ if primaries.iter().all(condemned) => Reason::PrimariesImpossible,
            _ if self.campaign.as_ref().is_some_and(|c| c.purpose == Purpose::Live) => Reason::RedialFailed,
            _ if silent => Reason::PrimariesSilent,
            _ => Reason::PrimariesFailed,
        }
    }

    /// A refusal is no evidence about the network, so it never wakes the fallback; say so instead.
    fn is_refused_everywhere(&self, now: Instant) -> bool {
        let searching =
            self.campaign.as_ref().is_some_and(|c| matches!(c.purpose, Purpose::First | Purpose::Live));
        let primaries = self.primaries(now);
        let refused =
            |rung: &usize| matches!(self.ladder.rungs[*rung].trouble, Trouble::Misused | Trouble::Refused);
        let settled = !matches!(self.standing, Standing::Held { .. } | Standing::Considering);
        // Where there is no primary to refuse, the fallback is wanted already.
        searching && settled && self.dials.is_empty() && primaries.iter().all(refused)
    }

    pub(super) fn dial_fallback(&mut self, now: Instant) {
        if self.fallback_is_open() {
            return;
        }
        if !self.permits_fallback(now) {
            // A retry whose time came while it was not allowed happens as soon as it is.
            for rung in self.ladder.fallbacks().collect::<Vec<_>>() {
                self.ladder.rungs[rung].next_dial.take_if(|at| *at <= now);
            }
            return;
        }
        let due = |rung: &usize| self.ladder.rungs[*rung].next_dial.is_none_or(|at| at <= now);
        let Some(rung) = self.ladder.fallbacks().find(due) else { return };
        self.ladder.rungs[rung].next_dial = None;
        let verifying = self.campaign.as_ref().is_some_and(|c| c.purpose == Purpose::Verify);
        let why = if verifying { Reason::Woke } else { self.verdict };
        self.open_dial(now, rung, why, None, self.config.restore.dwell);
    }

    pub(super) fn fallback_is_open(&self) -> bool {
        self.reserve.is_some() || self.dials.values().any(|dial| self.class(dial.rung) == Class::Fallback)
    }

    /// Fetches the token when the quorum is one failure away, so that the verdict finds it ready.
    pub(super) fn prefetch(&mut self, now: Instant) {
        let fresh = |at: Instant| now.saturating_duration_since(at) < self.config.dial.token;
        let allowed = matches!(self.mode, Override::Auto) && self.gates.closed().next().is_none();
        if !allowed || self.tenure || self.prefetched.is_some_and(fresh) || self.fallback_is_open() {
            return;
        }
        let Some(fallback) = self.ladder.fallbacks().next() else { return };
        if self.is_one_failure_away(now) {
            (self.prefetched, self.token) = (Some(now), TokenState::Asked);
            let transport = self.ladder.rungs[fallback].rung.transport.clone();
            self.actions.push_back(Action::PrefetchToken { transport });
        }
    }

    fn is_one_failure_away(&self, now: Instant) -> bool {
        match self.campaign.as_ref().map(|campaign| campaign.purpose) {
            Some(Purpose::Live) => true,
            Some(Purpose::First) => self.primaries(now).into_iter().all(|rung| {
                let open =
                    |dial: &&super::Dial| dial.rung == rung && !dial.counted && dial.answered.is_none();
                let pending = self.dials.values().filter(open).count() as u32;
                let failed = self.ladder.rungs[rung].failures.count(now, self.config.window);
                self.quorum_on(rung, now) || failed + pending >= self.config.attempts
            }),
            _ => self
                .active
                .as_ref()
                .is_some_and(|link| link.suspect && self.class(link.rung) == Class::Primary),
        }
    }

    pub(super) fn consider_giving_up(&mut self, now: Instant) {
        let Some(campaign) = &self.campaign else { return };
        if self.active.is_some() {
            return;
        }
        if self.config.give_up_after.is_some_and(|patience| campaign.began + patience <= now) {
            return self.give_up(now, Reason::DeadlinePassed);
        }
        let mut tried = self.primaries(now);
        if !matches!(self.mode, Override::DirectOnly | Override::NoRelay) {
            tried.extend(self.ladder.fallbacks());
        }
        let misused = |rung: &usize| self.ladder.rungs[*rung].trouble == Trouble::Misused;
        if self.dials.is_empty() && !tried.is_empty() && tried.iter().all(misused) {
            self.give_up(now, Reason::Misconfigured);
        }
    }
}
