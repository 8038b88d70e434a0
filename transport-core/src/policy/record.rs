//! What is known about one rung: its failures, its schedule and how its last dial ended.

use crate::time::{Duration, Instant};

use rand::Rng;

use crate::{
    backoff::{Backoff, BackoffConfig},
    ids::TransportId,
};

use super::{
    quorum::FailureWindow,
    rung::{Class, Rung},
};

/// A rung and what happened on it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    rung: Rung,
    failures: FailureWindow,
    /// Failures since a live link was lost.
    since_lost: u32,
    backoff: Backoff,
    /// Attempts begun in this search.
    attempts: u32,
    next_dial: Option<Instant>,
    condemned_until: Option<Instant>,
    trouble: Trouble,
}

/// What a rung's last finished dial left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Misconfigured.
    Misused,
    /// Nothing yet, or the last dial succeeded.
    #[default]
    None,
    /// Somebody said no.
    Refused,
    /// Timed out, unreachable or impossible.
    Unreachable,
}

impl Record {
    pub(super) fn new(rung: Rung) -> Self {
        Self {
            rung,
            failures: FailureWindow::default(),
            since_lost: 0,
            backoff: Backoff::default(),
            attempts: 0,
            next_dial: None,
            condemned_until: None,
            trouble: Trouble::None,
        }
    }

    /// A search begins: the schedule starts over, evidence stays. What the fallback said is forgotten.
    pub(super) fn begin_search(&mut self) {
        self.attempts = 0;
        self.next_dial = None;
        self.backoff.reset();
        if self.rung.class == Class::Fallback {
            self.trouble = Trouble::None;
        }
    }

    /// Notes an attempt; returns how many there were before it in this search.
    pub(super) fn begin_attempt(&mut self) -> u32 {
        let before = self.attempts;
        self.attempts += 1;
        before
    }

    /// Records a failure of the time `at`.
    pub(super) fn fail(&mut self, at: Instant) {
        self.failures.record(at);
        self.since_lost = self.since_lost.saturating_add(1);
    }

    /// Records that a link seemed dead for a while. It says nothing about dialling since the loss.
    pub(super) fn note_lapse(&mut self, now: Instant) {
        self.failures.record(now);
    }

    pub(super) fn note_trouble(&mut self, trouble: Trouble) {
        self.trouble = trouble;
    }

    /// A dial succeeded. Earlier failures stay in their window.
    pub(super) fn succeed(&mut self) {
        self.backoff.reset();
        (self.trouble, self.condemned_until) = (Trouble::None, None);
    }

    /// Proven impossible, or unable to sustain a session, until then.
    pub(super) fn condemn(&mut self, until: Instant) {
        self.condemned_until = Some(until);
    }

    pub(super) fn acquit(&mut self) {
        self.condemned_until = None;
    }

    /// Lets it be dialled at once, whatever it said before.
    pub(super) fn excuse(&mut self) {
        (self.trouble, self.next_dial) = (Trouble::None, None);
        self.backoff.reset();
    }

    /// Forgets all evidence: the network is another one, or may be.
    pub(super) fn forget(&mut self) {
        self.failures.clear();
        self.since_lost = 0;
        self.backoff.reset();
        self.condemned_until = None;
        self.trouble = Trouble::None;
    }

    /// A live link was lost: failures are counted from here.
    pub(super) fn count_from_loss(&mut self) {
        self.since_lost = 0;
    }

    pub(super) fn plan(&mut self, at: Instant) {
        self.next_dial = Some(at);
    }

    /// Plans a dial for `at` unless an earlier one is planned.
    pub(super) fn plan_by(&mut self, at: Instant) {
        self.next_dial = Some(self.next_dial.map_or(at, |planned| planned.min(at)));
    }

    /// Moves a planned dial to `at` at the earliest.
    pub(super) fn postpone(&mut self, at: Instant) {
        self.next_dial = self.next_dial.map(|planned| planned.max(at));
    }

    pub(super) fn unplan(&mut self) {
        self.next_dial = None;
    }

    /// Ends the wait for a planned dial; the next waits are short again.
    pub(super) fn end_wait(&mut self, now: Instant) {
        self.backoff.reset();
        self.next_dial = self.next_dial.map(|planned| planned.min(now));
    }

    /// Draws how long to wait before the next dial.
    pub(super) fn draw_pause(&mut self, config: &BackoffConfig, rng: &mut impl Rng) -> Duration {
        self.backoff.draw(config, rng)
    }

    pub(super) fn rung(&self) -> &Rung {
        &self.rung
    }

    pub(super) fn transport(&self) -> TransportId {
        self.rung.transport.clone()
    }

    pub(super) fn class(&self) -> Class {
        self.rung.class
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns when it is dialled next. A fallback without a time may be dialled at once.
    pub(super) fn next_dial(&self) -> Option<Instant> {
        self.next_dial
    }

    pub(super) fn trouble(&self) -> Trouble {
        self.trouble
    }

    /// Counts the failures inside a window.
    pub(super) fn failures(&self, now: Instant, window: Duration) -> u32 {
        self.failures.count(now, window)
    }

    /// Counts the failures inside a window that came after a live link was lost.
    pub(super) fn failures_since_lost(&self, now: Instant, window: Duration) -> u32 {
        self.failures.count(now, window).min(self.since_lost)
    }

    pub(super) fn is_condemned(&self, now: Instant) -> bool {
        self.condemned_until.is_some_and(|until| now < until)
    }

    /// Says whether its last dial was refused or misused: no evidence about the network.
    pub(super) fn was_refused(&self) -> bool {
        matches!(self.trouble, Trouble::Misused | Trouble::Refused)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_condemned_until_its_time_and_not_at_it() {
        const KEEP: Duration = Duration::from_secs(600);
        let rung = Rung::direct(TransportId::from_static("webrtc"));
        let (mut record, start) = (Record::new(rung), Instant::now());
        assert!(!record.is_condemned(start));
        record.condemn(start + KEEP);
        assert!(record.is_condemned(start) && record.is_condemned(start + KEEP - Duration::from_nanos(1)));
        assert!(!record.is_condemned(start + KEEP) && !record.is_condemned(start + KEEP * 2));
    }
}
