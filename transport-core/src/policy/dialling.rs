//! Dials: when they are made, and what their outcome says about their rung.

use crate::time::{Duration, Instant};

use rand::Rng;

use crate::{
    backoff::BackoffConfig,
    error::{ConnectErrorKind, Consequence},
    ids::Generation,
};

use super::{
    Action, FallbackPolicy, Reason,
    dials::Dial,
    record::Trouble,
    rung::Class,
    search::{Purpose, Search},
};

impl FallbackPolicy {
    /// Dials every primary whose time has come.
    pub(super) fn dial_primaries(&mut self, now: Instant) {
        let Some(search) = &self.search else { return };
        let (purpose, why) = (search.purpose(), search.why());
        let due = |rung: &usize| self.is_due(*rung, now) && !search.spares(*rung);
        for rung in self.primaries(now).into_iter().filter(due).collect::<Vec<_>>() {
            let before = self.ladder.rung_mut(rung).begin_attempt();
            let why = if before == 0 { why } else { Reason::Retry };
            let stagger = self.config.dial.stagger.mul_f64(self.rng.random_range(0.85..=1.0));
            if before + 1 < self.config.attempts {
                self.ladder.rung_mut(rung).plan(now + stagger);
            } else {
                self.ladder.rung_mut(rung).unplan();
            }
            let counts_at = (purpose != Purpose::First && !self.doubts_path()).then(|| self.counts_at(now));
            let dwell = match purpose {
                Purpose::First | Purpose::Verify => self.config.restore.late_dwell,
                Purpose::Live => self.config.restore.dwell_after(self.returns.failed()),
            };
            self.open_dial(now, rung, why, counts_at, dwell);
        }
    }

    /// Says whether a primary's next attempt is due.
    fn is_due(&self, rung: usize, now: Instant) -> bool {
        self.ladder.rung(rung).next_dial().is_some_and(|at| at <= now) && self.has_room(rung)
    }

    /// Says whether a rung has fewer open dials than make a quorum.
    pub(super) fn has_room(&self, rung: usize) -> bool {
        self.dials.on(rung).count() < self.config.attempts as usize
    }

    pub(super) fn open_dial(
        &mut self,
        now: Instant,
        rung: usize,
        why: Reason,
        counts_at: Option<Instant>,
        dwell: Duration,
    ) {
        let deadline = now + self.config.dial.attempt;
        let Some(generation) = self.dials.open(Dial::new(now, rung, deadline, counts_at, dwell)) else {
            return self.give_up(now, Reason::GenerationsExhausted);
        };
        let transport = self.ladder.rung(rung).transport();
        self.ask(Action::Dial { transport, generation, deadline, why });
    }

    pub(super) fn cancel_dials(&mut self, which: impl Fn(&Dial) -> bool) {
        for generation in self.dials.close_where(which) {
            self.ask(Action::CancelDial { generation });
        }
    }

    pub(super) fn cancel_fallback_dials(&mut self) {
        let fallbacks = self.ladder.fallbacks();
        self.cancel_dials(|dial| fallbacks.contains(&dial.rung()));
        self.drop_reserve();
    }

    /// Ends dials whose time is over, and counts those that take too long.
    pub(super) fn expire_dials(&mut self, now: Instant) {
        for generation in self.dials.overdue(now) {
            self.ask(Action::CancelDial { generation });
            self.dial_failed(now, generation, ConnectErrorKind::TimedOut);
        }
        let slow = self.dials.due_to_count(now);
        self.count_open_dials(now, &slow);
    }

    /// Judges silence when its time has come: if nothing answered, every open attempt of the first connect
    /// counts as failed. A young attempt counts once it is as old as the last raced one should be.
    pub(super) fn judge_silence(&mut self, now: Instant) {
        if !self.search.as_mut().is_some_and(|search| search.judge_silence(now)) {
            return;
        }
        let ripe = self.config.dial.least_silence(self.config.attempts);
        let is_primary = |dial: &Dial| self.ladder.class(dial.rung()) == Class::Primary;
        let primaries = self.dials.iter().filter(|(_, dial)| is_primary(dial));
        let (old, young): (Vec<_>, Vec<_>) = primaries
            .map(|(generation, dial)| (generation, dial.began() + ripe))
            .partition(|(_, ripe_at)| *ripe_at <= now);
        for (generation, ripe_at) in young {
            self.dials.count_at(generation, Some(ripe_at));
        }
        let old: Vec<Generation> = old.into_iter().map(|(generation, _)| generation).collect();
        self.count_open_dials(now, &old);
    }

    /// Records the failure of dials that stay open in case they are late.
    pub(super) fn count_open_dials(&mut self, now: Instant, generations: &[Generation]) {
        for generation in generations {
            if let Some(rung) = self.dials.count(*generation) {
                self.record_failure(now, rung);
                self.schedule_retry(now, rung, Consequence::CountAndRetry);
            }
        }
    }

    /// A primary answered: its attempt gets the time of its checks before another is raced.
    pub(super) fn dial_progressed(&mut self, now: Instant, generation: Generation) {
        let Some(rung) = self.dials.rung_of(generation) else { return };
        if self.ladder.class(rung) == Class::Fallback {
            return;
        }
        self.dials.note_answer(generation, now);
        if let Some(search) = &mut self.search {
            search.note_answer();
            if search.purpose() == Purpose::First {
                self.dials.count_at(generation, None);
            } else if search.purpose() == Purpose::Live {
                self.spare_answered(rung);
            }
        }
        self.ladder.rung_mut(rung).postpone(now + self.config.dial.answered_stagger);
    }

    pub(super) fn dial_failed(&mut self, now: Instant, generation: Generation, kind: ConnectErrorKind) {
        let Some(dial) = self.dials.close(generation) else { return };
        let (rung, consequence) = (dial.rung(), kind.consequence());
        self.ladder.rung_mut(rung).note_trouble(match kind {
            ConnectErrorKind::Misuse => Trouble::Misused,
            ConnectErrorKind::Rejected => Trouble::Refused,
            _ => Trouble::Unreachable,
        });
        let relayed = self.ladder.class(rung) == Class::Fallback;
        // Where somebody answered the network is not down.
        let unreached = consequence == Consequence::CountAndRetry && kind != ConnectErrorKind::Unready;
        if let Some(search) = self.search.as_mut().filter(|_| relayed && unreached) {
            search.note_fallback_failed();
        }
        match consequence {
            // One that was made in doubt says nothing while nothing is lost.
            Consequence::CountAndRetry if !dial.is_counted() && !self.doubts_path() => {
                self.record_failure(now, rung);
            }
            Consequence::CountAndRetry | Consequence::RetrySlowly => {}
            Consequence::EndRung => {
                self.ladder.rung_mut(rung).condemn(now + self.config.dial.impossible);
                self.ladder.remember_failure(rung, now);
            }
        }
        // A dial that was counted while open has scheduled its successor already.
        if !dial.is_counted() || consequence != Consequence::CountAndRetry {
            self.schedule_retry(now, rung, consequence);
        }
        if self.dials.is_empty() && self.is_verifying() {
            self.end_search();
        }
    }

    pub(super) fn record_failure(&mut self, now: Instant, rung: usize) {
        let record = self.ladder.rung_mut(rung);
        record.fail(now);
        if record.failures(now, self.config.window) >= self.config.attempts {
            self.ladder.remember_failure(rung, now);
        }
    }

    fn schedule_retry(&mut self, now: Instant, rung: usize, consequence: Consequence) {
        let class = self.ladder.class(rung);
        // A primary in doubt gets the dials of its race and no more. The fallback under a session is retried.
        if self.search.is_none() || (self.is_verifying() && class == Class::Primary) {
            return;
        }
        let backoff = self.backoff(now);
        let record = self.ladder.rung_mut(rung);
        let pause = match consequence {
            Consequence::CountAndRetry => record.draw_pause(&backoff, &mut self.rng),
            Consequence::EndRung | Consequence::RetrySlowly => self.config.dial.refused,
        };
        match (class, consequence) {
            (Class::Primary, Consequence::CountAndRetry) => record.plan_by(now + pause),
            _ => record.plan(now + pause),
        }
    }

    /// The waits between attempts: ever longer while the search finds nothing.
    pub(super) fn backoff(&self, now: Instant) -> BackoffConfig {
        let began = self.search.as_ref().map_or(now, Search::began);
        self.config.backoff.after(now.saturating_duration_since(began))
    }

    /// Lists the primaries that may be dialled, best first.
    pub(super) fn primaries(&self, now: Instant) -> Vec<usize> {
        self.ladder.primaries(self.permission.mode(), now)
    }
}
