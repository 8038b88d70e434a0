//! Losing a link: what it says about its rung, and what is searched for next.

use crate::time::Instant;

use crate::ids::Generation;

use super::{
    Action, FallbackPolicy, LossCause, Reason, Standing, TransitionKind, active::Active, record::Trouble,
    rung::Class, search::Purpose,
};

impl FallbackPolicy {
    pub(super) fn lost(&mut self, now: Instant, generation: Generation, cause: LossCause) {
        let relayed = self.paths.is_active(generation) && self.is_on(Class::Fallback);
        let why = match (cause, relayed) {
            (LossCause::Drained, true) => Reason::RelayDrained,
            (_, true) => Reason::RelayLost,
            (_, false) => Reason::LinkClosed,
        };
        let silent_since = self.peer_silent_since(now, generation);
        self.link_ended(now, generation, why);
        self.hasten(silent_since);
        if relayed && cause == LossCause::Refused {
            for rung in self.ladder.fallbacks() {
                let record = self.ladder.rung_mut(rung);
                record.note_trouble(Trouble::Refused);
                record.plan(now + self.config.dial.refused);
            }
        }
    }

    /// A link is as good as lost, but its transport is still open.
    pub(super) fn peer_reports_lost(&mut self, now: Instant, generation: Generation) {
        let paths = &self.paths;
        if paths.is_active(generation) || paths.is_standby(generation) || paths.is_reserve(generation) {
            let silent_since = self.peer_silent_since(now, generation);
            self.ask(Action::Drain { generation });
            self.link_ended(now, generation, Reason::PeerReportedLoss);
            self.hasten(silent_since);
        }
    }

    /// Since when the peer has heard nothing on this link, if it is in use and the peer said so.
    fn peer_silent_since(&self, now: Instant, generation: Generation) -> Option<Instant> {
        let active = self.paths.active().filter(|link| link.generation() == generation)?;
        active.watch().peer_silent_since(now)
    }

    fn link_ended(&mut self, now: Instant, generation: Generation, why: Reason) {
        if self.paths.is_reserve(generation) {
            self.paths.take_reserve();
        } else if self.paths.is_standby(generation) {
            if let Some(standby) = self.paths.take_standby() {
                self.record_failure(now, standby.rung);
            }
        } else if self.paths.is_active(generation)
            && let Some(link) = self.paths.leave()
        {
            if link.degraded().is_none() {
                return self.path_lost(now, &link, why);
            }
            // The loss was concluded already. What changes is that no link is left to spare.
            if let Some(rung) = self.search.as_mut().and_then(super::search::Search::spare_none) {
                self.ladder.rung_mut(rung).plan(now);
            }
        }
    }

    /// The link in use is lost, or cannot carry the session: note what that says, and search for another path.
    pub(super) fn path_lost(&mut self, now: Instant, link: &Active, why: Reason) {
        let class = self.ladder.class(link.rung());
        if class == Class::Primary {
            self.note_primary_lost(now, link);
        }
        if self.paths.standby().is_some() {
            // The way back is open already; waiting for its dwell would help nobody.
            return self.take_standby(now);
        }
        if class == Class::Fallback {
            self.ladder.note_loss(now);
        }
        if self.is_verifying() {
            self.confirm_loss(now);
            self.count_doubtful();
        } else {
            self.begin_search(now, Purpose::Live, Reason::FreshDial);
        }
        if class == Class::Fallback {
            self.hurry(now);
            self.pace_fallback(now, link, why);
        }
        if let Some(search) =
            self.search.as_mut().filter(|_| link.degraded().is_some_and(Reason::is_poor_path))
        {
            search.spare(link.rung());
        }
        self.transition(now, TransitionKind::Lost, why, Standing::Recovering);
    }

    /// A primary was lost. One that was young counts as a failed attempt.
    fn note_primary_lost(&mut self, now: Instant, link: &Active) {
        let young = |since: Instant| now.saturating_duration_since(since) < self.config.short_lived;
        // With one move left, any loss must lead to rest: two more moves would break the budget.
        let flapping = self.returns.is_nearly_spent(now, &self.config.restore);
        let proven_since = self.ladder.lost_since().map_or(link.since(), |lost| lost.max(link.since()));
        let (proven, counts) = (!young(proven_since) && !flapping, young(link.since()) || flapping);
        if proven {
            self.ladder.forgive_loss();
        }
        if counts {
            self.record_failure(now, link.rung());
        }
        if flapping {
            // The primaries that lost the race to this link get the same failure. Otherwise each of them
            // would be tried next, at a move each.
            for rival in link.rivals() {
                self.ladder.rung_mut(*rival).fail(link.since());
            }
        }
        self.ladder.note_loss(now);
        if now.saturating_duration_since(link.since()) >= self.config.restore.flap_window {
            self.returns.forget_failed();
        } else if link.returned() {
            self.returns.note_failed();
        }
    }

    /// A fallback that drains is given a moment, and one that keeps hanging up is not hammered.
    fn pace_fallback(&mut self, now: Instant, link: &Active, why: Reason) {
        let brief = now.saturating_duration_since(link.since()) < self.config.dial.attempt;
        if brief || why == Reason::RelayDrained {
            let record = self.ladder.rung_mut(link.rung());
            let pause = record.draw_pause(&self.config.backoff, &mut self.rng);
            record.plan(now + pause);
        }
    }
}
