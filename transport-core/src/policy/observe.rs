//! Samples of an open link: when it fails while it is open, and when it works again.

use crate::time::Instant;

use crate::ids::Generation;

use super::{
    FallbackPolicy, Reason, TransitionKind,
    health::{Health, HealthSample},
    rung::Class,
};

impl FallbackPolicy {
    pub(super) fn observe(&mut self, now: Instant, generation: Generation, sample: &HealthSample) {
        if self.paths.is_standby(generation) {
            if !self.config.health.approves_standby(sample) || self.is_unmeasured(now, sample) {
                self.paths.restart_dwell(now);
            }
            return;
        }
        if !self.paths.is_active(generation) {
            return;
        }
        self.paths.note_rtt(sample.rtt);
        let Some(link) = self.paths.active_mut() else { return };
        let health = link.observe(now, sample, &self.config.health);
        let question = link.watch_mut().question(now, &self.config.health);
        self.doubt(now, sample, question);
        self.count_unanswered(now, sample);
        let Some(link) = self.paths.active() else { return };
        match (health, link.degraded()) {
            (Health::Failing(why), None) => self.link_fails(now, why),
            (Health::Failing(why), Some(_)) => {
                if why.is_poor_path() {
                    self.condemn(now);
                }
            }
            (Health::Good | Health::Idle, Some(Reason::PathDead)) => self.link_recovered(now),
            (Health::Good, Some(_)) if link.is_calm() => self.link_recovered(now),
            // Young data says nothing yet, and the first sample may still tell of the time before.
            (Health::Good, None) if sample.goodput > 0 && link.is_proven() => self.end_verification(),
            (Health::Idle | Health::Suspect | Health::Good, _) => {}
        }
    }

    pub(super) fn link_fails(&mut self, now: Instant, why: Reason) {
        if why.is_poor_path() && self.is_on(Class::Fallback) {
            // There is nothing below the fallback; slow is better than nothing.
            return;
        }
        let Some(link) = self.paths.active_mut() else { return };
        link.degrade(why);
        let link = link.clone();
        if why.is_poor_path() {
            self.condemn(now);
        }
        self.path_lost(now, &link, why);
    }

    /// A quorum of samples is a quorum of failures on the rung they were taken from.
    fn condemn(&mut self, now: Instant) {
        if let Some(link) = self.paths.active() {
            self.ladder.rung_mut(link.rung()).condemn(now + self.config.window);
        }
    }

    /// A link that failed while it was open carries data again before another was found.
    pub(super) fn link_recovered(&mut self, now: Instant) {
        let Some(link) = self.paths.active_mut() else { return };
        let was = link.recover();
        let (rung, generation) = (link.rung(), link.generation());
        let record = self.ladder.rung_mut(rung);
        record.acquit();
        if was == Some(Reason::PathDead) {
            // It was dead for seconds all the same: a path that does this over and over is no path.
            record.note_lapse(now);
        }
        self.cancel_dials(|_| true);
        self.end_search();
        let to = self.standing_on(generation, rung);
        self.transition(now, TransitionKind::Recovered, Reason::LinkRecovered, to);
    }
}
