//! The way back: looking for a better path while on the fallback or on TURN, and moving to it in good time.

use rand::Rng;

use crate::{ids::Generation, time::Instant};

use super::{
    Action, FallbackPolicy, Reason, TransitionKind,
    dials::Dial,
    health::HealthSample,
    paths::Standby,
    rung::{Class, Reach, Rung},
};

impl FallbackPolicy {
    /// Says whether the session is on the fallback and content with it.
    pub(super) fn rests_on_fallback(&self) -> bool {
        self.is_on(Class::Fallback) && self.has_healthy_link()
    }

    /// Says whether the session is on a primary through somebody's relay and content with it, and the ladder has one without.
    fn rests_on_detour(&self) -> bool {
        let detour = |rung: &Rung| rung.class == Class::Primary && rung.reach == Reach::Relayed;
        let on_detour = self.paths.active().is_some_and(|link| detour(self.ladder.rung(link.rung()).rung()));
        on_detour
            && self.has_healthy_link()
            && self.ladder.iter().any(|(_, record)| record.rung().is_direct())
    }

    /// Says whether a link on this rung would be better than the one that the session rests on. On TURN a running search
    /// decides by its own rules.
    pub(super) fn leads_back(&self, rung: usize) -> bool {
        let rung = self.ladder.rung(rung).rung();
        let from_fallback = rung.class == Class::Primary && self.rests_on_fallback();
        from_fallback || (rung.is_direct() && self.search.is_none() && self.rests_on_detour())
    }

    fn wants_to_return(&self) -> bool {
        let has_primary = self.ladder.iter().any(|(_, record)| record.class() == Class::Primary);
        has_primary
            && !self.permission.is_relay_only()
            && (self.rests_on_fallback() || self.rests_on_detour())
    }

    pub(super) fn looks_for_return(&self) -> bool {
        self.wants_to_return() && (self.is_on(Class::Fallback) || self.search.is_none())
    }

    pub(super) fn plan_look(&mut self, now: Instant) {
        if self.wants_to_return() {
            let wait = self.returns.cadence(&self.config.restore);
            self.returns.plan_look(now + wait.mul_f64(self.rng.random_range(0.8..=1.0)));
        } else {
            self.returns.plan_none();
        }
    }

    /// Moves to the standby, lets it go, or looks for one, as the time calls for.
    pub(super) fn restore(&mut self, now: Instant) {
        if !self.looks_for_return() {
            return;
        }
        let affordable = self.affords_return(now);
        if let Some(standby) = self.paths.standby() {
            let rung = standby.rung;
            if standby.healthy_at <= now && affordable {
                self.take_standby(now);
            } else if standby.healthy_at <= now {
                self.drop_standby();
                self.rest(now);
            } else if standby.give_up_at <= now {
                self.drop_standby();
                self.record_failure(now, rung);
            }
        } else if self.returns.next_look().is_some_and(|at| at <= now) {
            if affordable {
                self.look(now);
            } else {
                self.rest(now);
            }
        }
    }

    /// Dials what leads back, to see whether it works.
    fn look(&mut self, now: Instant) {
        self.returns.note_look();
        self.plan_look(now);
        let dwell = self.config.restore.dwell_after(self.returns.failed());
        let better = |rung: &usize| self.leads_back(*rung) && self.has_room(*rung);
        for rung in self.primaries(now).into_iter().filter(better).collect::<Vec<_>>() {
            self.open_dial(now, rung, Reason::ReturnProbe, None, dwell);
        }
    }

    /// Says whether the flap budget has room for a return and all that may follow from it.
    fn affords_return(&self, now: Instant) -> bool {
        self.returns.affords(self.moves_of_return(), now, &self.config.restore)
    }

    /// A return may be followed by a fall that cannot be refused. One from TURN may be followed by a fall to TURN, and must
    /// not leave the next loss with no rest but the fallback.
    fn moves_of_return(&self) -> u32 {
        if self.is_on(Class::Fallback) { 2 } else { 3 }
    }

    /// Stays until the budget affords a return. On the fallback that is said, once; on TURN nothing is amiss.
    fn rest(&mut self, now: Instant) {
        self.returns.plan_affordable(self.moves_of_return(), now, &self.config.restore);
        if self.is_on(Class::Fallback) && !self.status.rests() {
            let here = self.status.standing().clone();
            self.transition(now, TransitionKind::FallbackHeld, Reason::FlapBudget, here);
        }
    }

    /// A better path than the one that the session rests on has connected: it stands by for its dwell.
    pub(super) fn primary_answers(&mut self, now: Instant, generation: Generation, dial: &Dial) {
        let (rung, dwell) = (dial.rung(), dial.dwell());
        let surplus = self.paths.standby().is_some() || self.permission.is_relay_only();
        if surplus || !self.paths.may_follow(generation) {
            self.ask(Action::Drain { generation });
            // It was late, so the direct path works: dial it again under a number that may follow.
            let newer = self.dials.on(rung).any(|(generation, _)| self.paths.may_follow(generation));
            if !surplus && !newer && self.affords_return(now) {
                self.open_dial(now, rung, Reason::LatePrimary, None, dwell);
            }
            return;
        }
        self.paths.stand_by(Standby {
            generation,
            rung,
            rivals: self.rivals_of(rung, now),
            dwell,
            since: now,
            healthy_at: now + dwell,
            give_up_at: now + self.config.restore.patience,
        });
        let fallbacks = self.ladder.fallbacks();
        self.cancel_dials(|dial| !fallbacks.contains(&dial.rung()));
    }

    /// Says whether a standby must first show how much it loses. Some pings tell; a transport that never says is believed
    /// in the end. One that only connected late was not found wanting before.
    pub(super) fn is_unmeasured(&self, now: Instant, sample: &HealthSample) -> bool {
        let restore = &self.config.restore;
        let young = |standby: &Standby| {
            standby.dwell >= restore.dwell && now.saturating_duration_since(standby.since) < restore.measured
        };
        // Nothing is known against the path of another network.
        let wanting = self.verdict.stands_here() || self.is_on(Class::Primary);
        wanting && sample.loss.is_none() && self.paths.standby().is_some_and(young)
    }

    /// Moves the session to the standby.
    pub(super) fn take_standby(&mut self, now: Instant) {
        let Some(standby) = self.paths.take_standby() else { return };
        self.adopt(now, standby.generation, standby.rung, standby.rivals);
    }

    pub(super) fn drop_standby(&mut self) {
        if let Some(standby) = self.paths.take_standby() {
            self.ask(Action::Drain { generation: standby.generation });
        }
    }
}
