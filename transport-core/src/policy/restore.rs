//! The way back: looking for the direct path while on the fallback, and moving to it in good time.

use rand::Rng;

use crate::{
    ids::Generation,
    time::{Duration, Instant},
};

use super::{
    Action, FallbackPolicy,
    campaign::Dial,
    event::{Standing, TransitionKind},
    gate::Override,
    ladder::Class,
    reason::Reason,
};

/// When to look next.
#[derive(Debug, Clone, Default)]
pub(super) struct Returns {
    pub(super) next: Option<Instant>,
    /// Looks since the fallback woke or the network changed.
    pub(super) looks: u32,
    /// Returns in a row that did not last.
    pub(super) failed: u32,
}

/// An open primary beside a session on the fallback.
#[derive(Debug, Clone)]
pub(super) struct Standby {
    /// Primaries whose attempts were cancelled for its sake.
    rivals: Vec<usize>,
    pub(super) generation: Generation,
    pub(super) rung: usize,
    pub(super) dwell: Duration,
    /// When it will have been healthy for its dwell, if no bad sample comes.
    pub(super) healthy_at: Instant,
    /// When patience with it ends.
    pub(super) give_up_at: Instant,
}

impl FallbackPolicy {
    /// The session is on the fallback and content with it.
    pub(super) fn rests_on_fallback(&self) -> bool {
        self.active
            .as_ref()
            .is_some_and(|link| link.degraded.is_none() && self.class(link.rung) == Class::Fallback)
    }

    pub(super) fn looks_for_return(&self) -> bool {
        self.rests_on_fallback() && self.mode == Override::Auto
    }

    pub(super) fn plan_return(&mut self, now: Instant) {
        self.returns.next = if self.looks_for_return() {
            let wait = self.config.restore.cadence_after(self.returns.looks);
            Some(now + wait.mul_f64(self.rng.random_range(0.8..=1.0)))
        } else {
            None
        };
    }

    pub(super) fn restore(&mut self, now: Instant) {
        if !self.looks_for_return() {
            return;
        }
        if let Some(standby) = &self.standby {
            let rung = standby.rung;
            if standby.healthy_at <= now {
                if self.flap.affords_return(now, &self.config.restore) {
                    self.take_standby(now);
                } else {
                    self.drop_standby();
                    self.rest(now);
                }
            } else if standby.give_up_at <= now {
                self.drop_standby();
                self.record_failure(now, rung);
            }
        } else if self.returns.next.is_some_and(|at| at <= now) {
            if self.flap.affords_return(now, &self.config.restore) {
                self.look(now);
            } else {
                self.rest(now);
            }
        }
    }

    /// Dials the primaries to see whether one works again.
    fn look(&mut self, now: Instant) {
        self.returns.looks = self.returns.looks.saturating_add(1);
        self.plan_return(now);
        let dwell = self.config.restore.dwell_after(self.returns.failed);
        for rung in self.primaries(now) {
            if self.has_room(rung) {
                self.open_dial(now, rung, Reason::ReturnProbe, None, dwell);
            }
        }
    }

    /// Stays on the fallback until the budget affords a return, and says so once.
    fn rest(&mut self, now: Instant) {
        self.returns.next = Some(self.flap.affordable_at(now, &self.config.restore));
        if self.resting.is_none() {
            let here = self.standing.clone();
            self.transition(now, TransitionKind::FallbackHeld, Reason::FlapBudget, here);
            self.resting = Some(Reason::FlapBudget);
            self.actions.push_back(Action::Hold { why: Reason::FlapBudget });
        }
    }

    /// A primary connected while the session rests on the fallback.
    pub(super) fn primary_answers(&mut self, now: Instant, generation: Generation, dial: &Dial) {
        let surplus = self.standby.is_some() || self.mode != Override::Auto;
        if surplus || generation < self.adopted {
            self.actions.push_back(Action::Drain { generation });
            // It was late, so the direct path works: dial it again under a number that may follow.
            let newer =
                |(number, open): (&Generation, &Dial)| open.rung == dial.rung && *number > self.adopted;
            let affordable = self.flap.affords_return(now, &self.config.restore);
            if !surplus && affordable && !self.dials.iter().any(newer) {
                self.open_dial(now, dial.rung, Reason::LatePrimary, None, dial.dwell);
            }
            return;
        }
        let raced =
            |other: &usize| *other != dial.rung && self.dials.values().any(|open| open.rung == *other);
        let rivals = self.primaries(now).into_iter().filter(raced).collect();
        self.standby = Some(Standby {
            rivals,
            generation,
            rung: dial.rung,
            dwell: dial.dwell,
            healthy_at: now + dial.dwell,
            give_up_at: now + self.config.restore.patience,
        });
        let fallbacks: Vec<usize> = self.ladder.fallbacks().collect();
        self.cancel_dials(|dial| !fallbacks.contains(&dial.rung));
        debug_assert!(matches!(self.standing, Standing::Fallback { .. }));
    }

    /// Moves the session to the link that stands by.
    pub(super) fn take_standby(&mut self, now: Instant) {
        let Some(standby) = self.standby.take() else { return };
        self.adopt(now, standby.generation, standby.rung);
        if let Some(link) = &mut self.active {
            link.rivals = standby.rivals;
        }
    }

    pub(super) fn drop_standby(&mut self) {
        if let Some(standby) = self.standby.take() {
            self.actions.push_back(Action::Drain { generation: standby.generation });
        }
    }
}
