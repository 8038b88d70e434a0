//! The way back: looking for the direct path while on the fallback, and moving to it in good time.

use rand::Rng;

use crate::{ids::Generation, time::Instant};

use super::{
    Action, FallbackPolicy, Reason, TransitionKind, dials::Dial, health::HealthSample, paths::Standby,
    rung::Class,
};

impl FallbackPolicy {
    /// Says whether the session is on the fallback and content with it.
    pub(super) fn rests_on_fallback(&self) -> bool {
        self.is_on(Class::Fallback) && self.paths.active().is_some_and(|link| link.degraded().is_none())
    }

    pub(super) fn looks_for_return(&self) -> bool {
        self.rests_on_fallback() && self.permission.is_auto()
    }

    pub(super) fn plan_look(&mut self, now: Instant) {
        if self.looks_for_return() {
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
        let affordable = self.returns.affords_return(now, &self.config.restore);
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

    /// Dials the primaries to see whether one works again.
    fn look(&mut self, now: Instant) {
        self.returns.note_look();
        self.plan_look(now);
        let dwell = self.config.restore.dwell_after(self.returns.failed());
        for rung in self.primaries(now) {
            if self.has_room(rung) {
                self.open_dial(now, rung, Reason::ReturnProbe, None, dwell);
            }
        }
    }

    /// Stays on the fallback until the budget affords a return, and says so once.
    fn rest(&mut self, now: Instant) {
        self.returns.plan_affordable(now, &self.config.restore);
        if !self.status.rests() {
            let here = self.status.standing().clone();
            self.transition(now, TransitionKind::FallbackHeld, Reason::FlapBudget, here);
        }
    }

    /// A primary connected while the session rests on the fallback: it stands by for its dwell.
    pub(super) fn primary_answers(&mut self, now: Instant, generation: Generation, dial: &Dial) {
        let (rung, dwell) = (dial.rung(), dial.dwell());
        let surplus = self.paths.standby().is_some() || !self.permission.is_auto();
        if surplus || !self.paths.may_follow(generation) {
            self.ask(Action::Drain { generation });
            // It was late, so the direct path works: dial it again under a number that may follow.
            let newer = self.dials.on(rung).any(|(generation, _)| self.paths.may_follow(generation));
            if !surplus && !newer && self.returns.affords_return(now, &self.config.restore) {
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
        let wanting = self.verdict.stands();
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
