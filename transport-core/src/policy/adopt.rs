//! A dial succeeded: the link is taken into use, stands by, waits in reserve, or is drained.

use crate::time::Instant;

use crate::ids::Generation;

use super::{
    Action, FallbackPolicy, Reason, Standing, TransitionKind,
    active::Active,
    rung::Class,
    search::{Purpose, Search},
};

impl FallbackPolicy {
    pub(super) fn dial_succeeded(&mut self, now: Instant, generation: Generation) {
        let Some(dial) = self.dials.close(generation) else {
            // Cancelled in the same moment; nobody waits for it.
            return self.ask(Action::Drain { generation });
        };
        let rung = dial.rung();
        let class = self.ladder.class(rung);
        self.ladder.rung_mut(rung).succeed();
        if self.leads_back(rung) {
            self.primary_answers(now, generation, &dial);
        } else if self.search.is_none() {
            self.ask(Action::Drain { generation });
        } else if !self.paths.may_follow(generation) {
            // Numbers only rise, so that either side can fence by them: dial the rung again.
            self.ask(Action::Drain { generation });
            self.ladder.rung_mut(rung).plan(now);
        } else if class == Class::Primary && self.doubts_path() {
            self.wait_for_silence(now, generation, rung);
        } else if class == Class::Fallback && self.doubts_verdict(now, &dial) {
            self.put_in_reserve(now, generation, rung);
        } else {
            let rivals = self.rivals_of(rung, now);
            self.adopt(now, generation, rung, rivals);
        }
    }

    /// Lists the other primaries that are being dialled: what a link on this rung wins against.
    pub(super) fn rivals_of(&self, rung: usize, now: Instant) -> Vec<usize> {
        let rival = |other: &usize| *other != rung && self.dials.is_dialling(*other);
        self.primaries(now).into_iter().filter(rival).collect()
    }

    /// Puts the session on an open link. Make before break: what it was on drains afterwards.
    pub(super) fn adopt(&mut self, now: Instant, generation: Generation, rung: usize, rivals: Vec<usize>) {
        let (class, purpose) = (self.ladder.class(rung), self.purpose());
        let (kind, why) = self.occasion(class, purpose);
        self.ask(Action::Switch { generation, why });
        let returned = class == Class::Primary && (self.verdict.stands_here() || why == Reason::DirectFound);
        let link = Active::new(now, generation, rung, returned, rivals);
        let (old, last_rung) = self.paths.adopt(link);
        if let Some(old) = old {
            self.ask(Action::Drain { generation: old.generation() });
        }
        match class {
            // Dials that are open may be late: the fastest way back.
            Class::Fallback => {
                self.cancel_fallback_dials();
                if self.paths.standby().is_some_and(|standby| !self.paths.may_follow(standby.generation)) {
                    self.drop_standby();
                }
            }
            Class::Primary => {
                self.cancel_dials(|_| true);
                self.drop_standby();
            }
        }
        self.end_search();
        self.account_for_move(now, last_rung, rung, purpose);
        if last_rung != Some(rung) {
            self.returns.forget_looks();
        }
        match class {
            Class::Fallback => {
                self.verdict.uphold();
                self.ladder.note_loss(now);
            }
            Class::Primary => {
                self.verdict.overturn();
                if matches!(purpose, Some(Purpose::First | Purpose::Verify)) {
                    // Nothing is known to have been lost before it.
                    self.ladder.forgive_loss();
                }
                self.ladder.remember_success(rung, now);
            }
        }
        self.plan_look(now);
        let standing = self.standing_on(generation, rung);
        self.transition(now, kind, why, standing);
    }

    /// Names the event and the reason of taking a link into use.
    fn occasion(&self, class: Class, purpose: Option<Purpose>) -> (TransitionKind, Reason) {
        let why = self.search.as_ref().map_or(Reason::PrimaryHealed, Search::why);
        match (class, purpose) {
            (_, Some(Purpose::Verify)) => (TransitionKind::Recovered, why),
            (Class::Fallback, _) => (TransitionKind::FallbackActivated, self.verdict.grounds()),
            (Class::Primary, None) if matches!(self.status.standing(), Standing::Primary { .. }) => {
                (TransitionKind::Restored, Reason::DirectFound)
            }
            (Class::Primary, None) => (TransitionKind::Restored, Reason::PrimaryHealed),
            (Class::Primary, _) if self.verdict.stands_here() => {
                (TransitionKind::Restored, Reason::PrimaryHealed)
            }
            (Class::Primary, Some(Purpose::First)) if *self.status.standing() == Standing::Connecting => {
                (TransitionKind::Connected, Reason::PrimaryConnected)
            }
            (Class::Primary, Some(Purpose::First)) => (TransitionKind::Connected, Reason::LatePrimary),
            (Class::Primary, Some(Purpose::Live)) => (TransitionKind::Recovered, Reason::RedialSucceeded),
        }
    }

    /// Counts a move from one path to another. One fallback link after another is no move, nor is what follows
    /// a wake or a change of network.
    fn account_for_move(
        &mut self,
        now: Instant,
        before: Option<usize>,
        rung: usize,
        purpose: Option<Purpose>,
    ) {
        let is_primary = |rung: usize| self.ladder.class(rung) == Class::Primary;
        let moved = before.is_some_and(|before| is_primary(before) || is_primary(rung));
        if moved && purpose != Some(Purpose::Verify) {
            self.returns.note_move(now, &self.config.restore);
        }
    }

    /// Returns the standing of a session on a link.
    pub(super) fn standing_on(&self, generation: Generation, rung: usize) -> Standing {
        let transport = self.ladder.rung(rung).transport();
        match self.ladder.class(rung) {
            Class::Fallback => Standing::Fallback { transport, generation },
            Class::Primary => Standing::Primary { transport, generation },
        }
    }

    /// Says whether a link of this class is in use.
    pub(super) fn is_on(&self, class: Class) -> bool {
        self.paths.active().is_some_and(|link| self.ladder.class(link.rung()) == class)
    }
}
