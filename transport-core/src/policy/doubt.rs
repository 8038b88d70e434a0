//! A link that falls silent: it is asked about, and a fresh one is dialled before anything is decided.

use crate::{
    ids::Generation,
    lane::Lane,
    time::{Duration, Instant},
};

use super::{
    Action, FallbackPolicy, Reason,
    dials::Dial,
    health::HealthSample,
    paths::Reserve,
    rung::Class,
    search::{Purpose, Search},
    watch::{Question, Testimony},
};

impl FallbackPolicy {
    /// Asks the peer about a silent link and dials afresh; ends that once anything has come.
    pub(super) fn doubt(&mut self, now: Instant, sample: &HealthSample, question: Option<Question>) {
        let Some(link) = self.paths.active() else { return };
        let (generation, silent) = (link.generation(), link.watch().is_silent());
        if let Some(question) = question {
            self.ask(Action::Ask { generation, question });
            self.dial_beside(now);
        } else if sample.lane == Lane::Reliable && !silent && self.doubts_path() {
            self.end_verification();
        }
    }

    /// The peer hears nothing on a link: answers, and dials afresh beside it.
    pub(super) fn peer_asks(&mut self, now: Instant, generation: Generation, number: u32, heard: Testimony) {
        let Some(link) = self.paths.active_mut().filter(|link| link.generation() == generation) else {
            return;
        };
        if let Some(ours) = link.watch_mut().answer(now, heard, &self.config.health) {
            self.ask(Action::Answer { generation, number, heard: ours });
            if Duration::from_millis(heard.silent_ms.into()) >= self.config.health.suspect_age {
                self.dial_beside(now);
            }
        }
    }

    /// Where nothing comes here either, the link stays open in case it heals.
    pub(super) fn peer_reports_dead(&mut self, now: Instant, generation: Generation) {
        match self.paths.active().filter(|link| link.generation() == generation && link.watch().is_silent()) {
            Some(link) if link.degraded().is_none() => self.link_fails(now, Reason::PathDead),
            Some(_) => {}
            None => self.peer_reports_lost(now, generation),
        }
    }

    pub(super) fn peer_answers(
        &mut self,
        now: Instant,
        generation: Generation,
        number: u32,
        heard: Testimony,
    ) {
        if let Some(link) = self.paths.active_mut().filter(|link| link.generation() == generation) {
            link.watch_mut().hear(now, number, heard);
        }
    }

    /// Dials what the session is on afresh, unless something is dialled, or one more move would be one too many.
    fn dial_beside(&mut self, now: Instant) {
        let flapping = self.returns.is_nearly_spent(now, &self.config.restore);
        let degraded = self.paths.active().is_some_and(|link| link.degraded().is_some());
        // Beside a primary that stands by is the fresh link.
        let beside = self.is_on(Class::Primary) && self.paths.standby().is_some();
        if self.search.is_some() || flapping || degraded || beside {
            return;
        }
        self.begin_search(now, Purpose::Verify, Reason::PathSilent);
        if self.is_on(Class::Fallback) {
            // The way back has its own time.
            for rung in self.primaries(now) {
                self.ladder.rung_mut(rung).unplan();
            }
        }
    }

    /// Says whether a fresh link is dialled because the one in use fell silent.
    pub(super) fn doubts_path(&self) -> bool {
        self.is_verifying() && self.search.as_ref().map(Search::why) == Some(Reason::PathSilent)
    }

    /// A fresh link is there, and the one in use was silent when it was last looked at: one more look decides.
    pub(super) fn wait_for_silence(&mut self, now: Instant, generation: Generation, rung: usize) {
        if self.paths.reserve().is_some() {
            return self.ask(Action::Drain { generation });
        }
        self.paths.keep_in_reserve(Reserve { generation, rung, began: now, until: now + ONE_LOOK });
    }

    /// The one in use is still silent beside a fresh link: it is lost, and the session moves.
    pub(super) fn take_fresh(&mut self, now: Instant, reserve: &Reserve) {
        if self.doubts_path()
            && let Some(link) = self.paths.active().cloned()
        {
            self.path_lost(now, &link, Reason::PathDead);
        }
        self.adopt(now, reserve.generation, reserve.rung, Vec::new());
    }

    /// What was dialled in doubt counts as any other dial from here on.
    pub(super) fn count_doubtful(&mut self) {
        let silent = self.unanswered(|_, _| true);
        let open: Vec<_> = self
            .dials
            .iter()
            .filter(|(_, dial)| self.ladder.class(dial.rung()) == Class::Primary && !dial.is_counted())
            .map(|(generation, dial)| (generation, dial.began()))
            .collect();
        for (generation, began) in open {
            let fresh = began + self.config.dial.fresh;
            let at = if silent.contains(&generation) { self.counts_at(began) } else { fresh };
            self.dials.count_at(generation, Some(at));
        }
    }

    /// Both sides say that the path is dead, and it is still silent after so long: dials that drew no answer count
    /// as failed. Decided when a sample is taken, so that one that just healed keeps the relay asleep.
    pub(super) fn count_unanswered(&mut self, now: Instant, sample: &HealthSample) {
        let Some(link) = self.paths.active().filter(|link| link.degraded() == Some(Reason::PathDead)) else {
            return;
        };
        let due = sample.lane == Lane::Reliable && sample.silence() >= self.config.dial.rescue;
        if due && link.watch().is_confirmed_dead() && self.purpose() == Some(Purpose::Live) {
            let ripe = self.unanswered(|policy, dial| policy.ripens(dial.began()) <= now);
            self.count_open_dials(now, &ripe);
        }
    }

    /// The peer said that the path is dead, silent since then, and the link is gone: dials that draw no answer
    /// count as failed sooner.
    pub(super) fn hasten(&mut self, silent_since: Option<Instant>) {
        let Some(since) = silent_since else { return };
        let at = since + self.config.dial.rescue + HEALS;
        let Some(search) = self.search.as_mut().filter(|search| search.purpose() == Purpose::Live) else {
            return;
        };
        search.count_unanswered_at(at);
        self.count_doubtful();
    }

    /// Lists the dials of rungs on which nothing has answered, if they are not counted yet.
    fn unanswered(&self, which: impl Fn(&Self, &Dial) -> bool) -> Vec<Generation> {
        let silent = |rung: usize| self.dials.on(rung).all(|(_, dial)| dial.answered().is_none());
        let primary = |dial: &Dial| self.ladder.class(dial.rung()) == Class::Primary;
        let dials = self.dials.iter().filter(|(_, dial)| primary(dial) && !dial.is_counted());
        let dials = dials.filter(|(_, dial)| silent(dial.rung()) && which(self, dial));
        dials.map(|(generation, _)| generation).collect()
    }

    /// Returns when a dial that began then is old enough to say something by its silence.
    fn ripens(&self, began: Instant) -> Instant {
        let way = self.paths.rtt().unwrap_or_default().saturating_mul(4);
        (began + self.config.dial.unanswered + way).min(began + self.config.dial.fresh)
    }

    /// Returns when a dial after a loss counts as failed that began then.
    pub(super) fn counts_at(&self, began: Instant) -> Instant {
        let fresh = began + self.config.dial.fresh;
        let sooner = self.search.as_ref().and_then(Search::unanswered_at);
        sooner.map_or(fresh, |at| at.max(self.ripens(began)).min(fresh))
    }

    /// Something answers on a rung: its open dials have their whole time.
    pub(super) fn spare_answered(&mut self, rung: usize) {
        let open: Vec<_> = self
            .dials
            .on(rung)
            .filter(|(_, dial)| !dial.is_counted())
            .map(|(generation, dial)| (generation, dial.began()))
            .collect();
        for (generation, began) in open {
            self.dials.count_at(generation, Some(began + self.config.dial.fresh));
        }
    }
}

/// Until the next sample, at the pace of the driver, and a little.
const ONE_LOOK: Duration = Duration::from_millis(600);
/// What a path that is back needs until a dial is answered: a check each 200 ms.
const HEALS: Duration = Duration::from_millis(250);
