//! A wake, another network, another mode: what was known before says little.

use crate::time::Instant;

use super::{
    FallbackPolicy, Reason, Standing, TransitionKind,
    gate::Override,
    rung::{Class, NetworkId},
    search::Purpose,
};

impl FallbackPolicy {
    /// The device slept: everything open is probably dead, and nothing is known any more.
    pub(super) fn wake(&mut self, now: Instant) {
        self.start_over(now, Reason::Woke);
        if self.search.is_some() {
            self.hurry(now);
        }
    }

    pub(super) fn change_network(&mut self, now: Instant, network: NetworkId) {
        self.ladder.enter(network);
        self.returns.forget_failed();
        // The fallback's link may have ended with the old address: who loses it must not wait for a new quorum. The
        // primaries are looked at from now on, and the verdict falls as soon as one of them takes over.
        if self.is_on(Class::Fallback) {
            self.verdict.carry_over();
        } else {
            self.verdict.overturn();
        }
        if self.rests_on_fallback() {
            self.forget_evidence(now);
            self.end_search();
            self.returns.plan_look(now);
        } else {
            self.start_over(now, Reason::NetworkChanged);
        }
    }

    fn forget_evidence(&mut self, now: Instant) {
        self.cancel_dials(|_| true);
        self.drop_standby();
        self.returns.forget_looks();
        self.ladder.forget(now);
    }

    fn start_over(&mut self, now: Instant, why: Reason) {
        if *self.status.standing() == Standing::Idle {
            return;
        }
        self.forget_evidence(now);
        if let Some(link) = self.paths.active_mut() {
            link.unsettle();
        }
        if self.has_healthy_link() {
            self.plan_look(now);
            return self.begin_search(now, Purpose::Verify, why);
        }
        let to = self.search_anew(now, why);
        if *self.status.standing() != to && !self.verdict.stands_here() {
            self.transition(now, TransitionKind::Connecting, why, to);
        }
    }

    pub(super) fn set_mode(&mut self, now: Instant, mode: Override) {
        if !self.permission.set_mode(mode) || *self.status.standing() == Standing::Idle {
            return;
        }
        self.cancel_dials(|_| true);
        self.ladder.excuse_fallbacks();
        if !self.permission.has_fallback() {
            self.verdict.overturn();
        }
        self.search = None;
        self.drop_standby();
        let forbidden = self.paths.active().is_some_and(|link| !self.is_allowed(link.rung(), now));
        if forbidden {
            self.leave_path();
            self.ladder.count_from_loss(now);
            self.begin_search(now, Purpose::Live, Reason::Override);
            self.move_to(now, TransitionKind::Lost, Standing::Recovering);
        } else if self.has_healthy_link() {
            self.plan_look(now);
            if mode == Override::Auto && self.rests_on_fallback() {
                self.returns.plan_look(now);
            }
        } else {
            let to = self.search_anew(now, Reason::Override);
            self.move_to(now, TransitionKind::Connecting, to);
        }
    }

    /// Changes the standing by hand, unless the session stands there already.
    fn move_to(&mut self, now: Instant, kind: TransitionKind, to: Standing) {
        if *self.status.standing() != to {
            self.transition(now, kind, Reason::Override, to);
        }
    }

    pub(super) fn has_healthy_link(&self) -> bool {
        self.paths.active().is_some_and(|link| link.degraded().is_none())
    }

    fn is_allowed(&self, rung: usize, now: Instant) -> bool {
        match self.ladder.class(rung) {
            Class::Fallback => self.permission.has_fallback(),
            Class::Primary => self.primaries(now).contains(&rung),
        }
    }
}
