//! When to show life, when to ask for it, and when to give up waiting. Sans-IO.

use crate::{
    question::{Answer, Question},
    runtime::{Duration, Instant},
};

/// Keeps one socket's heart. Everything that moves counts: frames, pings, pongs, either way.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: Duration,
    /// Where in the interval this client beats, 0.9 to 1.1: thousands must not beat as one.
    phase: f64,
    received: Instant,
    sent: Instant,
    /// When the last heartbeat left that nothing has answered.
    asked: Option<Instant>,
    question: Question,
    born: Instant,
    /// When [`poll`](Self::poll) wants to be asked next.
    look: Option<Instant>,
    /// When it was last asked long after that, and nothing has come since.
    woke: Option<Instant>,
}

/// What the heart asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing came for so long: the path is gone.
    Dead(Duration),
    /// Send a ping: the socket is in doubt.
    Ask,
    /// Send a heartbeat frame.
    Send,
    /// Nothing before this time.
    Wait(Instant),
}

impl Heartbeat {
    /// Starts at `now`; `jitter` is a random number in 0..1.
    pub(crate) fn new(interval: Duration, jitter: f64, now: Instant) -> Self {
        let question = Question::default();
        Self {
            interval,
            phase: 0.9 + 0.2 * jitter,
            received: now,
            sent: now,
            asked: None,
            question,
            born: now,
            look: None,
            woke: None,
        }
    }

    /// When it started.
    pub(crate) fn born(&self) -> Instant {
        self.born
    }

    /// Notes that anything arrived. Returns whether that ended a doubt.
    pub(crate) fn on_received(&mut self, now: Instant) -> bool {
        self.received = now;
        self.woke = None;
        self.question.heard(now)
    }

    /// Notes that frames left.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// Notes that messages of links left, which something should answer. Returns whether [`poll`](Self::poll) has to
    /// look at it earlier than it last said.
    pub(crate) fn on_said(&mut self, now: Instant) -> bool {
        self.question.said(now)
    }

    /// Doubts the socket for a reason from outside. Returns whether a ping must be sent.
    pub(crate) fn doubt(&mut self, now: Instant) -> bool {
        self.question.ask(now)
    }

    /// Doubts the socket if nothing was heard lately, for whoever wants to use it. Returns whether a ping must be sent.
    pub(crate) fn doubt_silence(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.received) > SILENCE && self.question.ask(now)
    }

    /// Whether a ping waits for its answer.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.question.is_open()
    }

    /// For how long nothing had moved when the socket ended at `now`, or when what was never answered left.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        match self.question.opened_at() {
            Some(opened) => opened.saturating_duration_since(self.received),
            None => now.saturating_duration_since(self.received.max(self.sent)),
        }
    }

    /// Notes a heartbeat frame; says whether it wants an answer. The answer to our own question is
    /// not answered again: two sides that echo everything would never stop.
    pub(crate) fn on_heartbeat(&mut self) -> bool {
        self.asked.take().is_none()
    }

    /// Decides. [`Beat::Send`] is said once for each beat, [`Beat::Ask`] once for each doubt.
    ///
    /// Asked much later than it wanted, it takes the silence for its own: the machine slept, or a browser held the timers
    /// of a hidden page back. Then the socket is asked once before it is judged.
    pub(crate) fn poll(&mut self, now: Instant) -> Beat {
        let is_late = self.look.take().is_some_and(|look| now > look + LATE);
        if is_late && self.woke.is_none() {
            self.woke = Some(now);
            self.question.restart(now);
            return Beat::Ask;
        }
        let beat = self.judge(now);
        if let Beat::Wait(look) = beat {
            self.look = Some(look);
        }
        beat
    }

    fn judge(&mut self, now: Instant) -> Beat {
        let dead = self.woke.unwrap_or(self.received) + self.interval * MISSED;
        let look = match self.question.poll(now) {
            Answer::Missing => return Beat::Dead(now.saturating_duration_since(self.received)),
            Answer::Wanted => return Beat::Ask,
            Answer::Due(at) => dead.min(at),
            Answer::NoQuestion => dead,
        };
        if now >= dead {
            return Beat::Dead(self.interval * MISSED);
        }
        // One quiet direction is enough to ask: a client that only sends learns nothing otherwise.
        let quiet_since =
            self.received.min(self.sent).max(self.asked.unwrap_or(self.sent.min(self.received)));
        let due = quiet_since + self.interval.mul_f64(self.phase);
        if now >= due {
            self.asked = Some(now);
            return Beat::Send;
        }
        Beat::Wait(due.min(look))
    }
}

/// Heartbeats that may go missing (`docs/defaults.md`).
const MISSED: u32 = 3;

/// A look that is so much too late was not made in time to judge by.
const LATE: Duration = Duration::from_secs(5);

/// So long a silence is worth a question before the socket is used again.
pub(crate) const SILENCE: Duration = Duration::from_millis(1_200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::now;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn at(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_silent_path_is_asked_three_times_and_then_dead() {
        let start = now();
        let mut heart = Heartbeat::new(INTERVAL, 0.5, start);
        assert_eq!(heart.poll(start), Beat::Wait(at(start, 15.0)));
        assert_eq!(heart.poll(at(start, 15.0)), Beat::Send);
        heart.on_sent(at(start, 15.0));
        assert_eq!(heart.poll(at(start, 15.0)), Beat::Wait(at(start, 30.0)));
        assert_eq!(heart.poll(at(start, 30.0)), Beat::Send);
        heart.on_sent(at(start, 30.0));
        assert_eq!(heart.poll(at(start, 44.9)), Beat::Wait(at(start, 45.0)));
        assert_eq!(heart.poll(at(start, 45.0)), Beat::Dead(3 * INTERVAL));
    }

    #[test]
    fn anything_received_is_life_and_sending_alone_is_not() {
        let start = now();
        let mut heart = Heartbeat::new(INTERVAL, 0.5, start);
        heart.on_received(at(start, 44.0));
        heart.on_sent(at(start, 44.0));
        assert_eq!(heart.poll(at(start, 45.0)), Beat::Wait(at(start, 59.0)));
        for second in 45..59 {
            heart.on_sent(at(start, f64::from(second)));
        }
        // Only the other direction was quiet.
        assert_eq!(heart.poll(at(start, 59.0)), Beat::Send);
    }

    #[test]
    fn who_looks_too_late_asks_before_judging() {
        let start = now();
        for (looked, first) in [(20.0, Beat::Send), (20.1, Beat::Ask), (600.0, Beat::Ask)] {
            let mut heart = Heartbeat::new(INTERVAL, 0.5, start);
            assert_eq!(heart.poll(start), Beat::Wait(at(start, 15.0)));
            assert_eq!(heart.poll(at(start, looked)), first, "{looked}");
        }
        let mut heart = Heartbeat::new(INTERVAL, 0.5, start);
        heart.poll(start);
        assert_eq!(heart.poll(at(start, 600.0)), Beat::Ask);
        assert!(heart.on_received(at(start, 601.0)));
        assert!(!matches!(heart.poll(at(start, 601.0)), Beat::Dead(_)));
        // Nothing answers: the next look judges, however late it is.
        for next in [601.5, 660.0] {
            let mut heart = Heartbeat::new(INTERVAL, 0.5, start);
            heart.poll(start);
            assert_eq!(heart.poll(at(start, 600.0)), Beat::Ask);
            while matches!(heart.poll(at(start, 600.0)), Beat::Send) {}
            assert!(matches!(heart.poll(at(start, next)), Beat::Dead(_)), "{next}");
        }
    }

    #[test]
    fn an_answer_is_not_answered_and_a_question_is() {
        let start = now();
        let mut heart = Heartbeat::new(INTERVAL, 0.0, start);
        assert!(heart.on_heartbeat());
        assert_eq!(heart.poll(at(start, 13.5)), Beat::Send);
        assert!(!heart.on_heartbeat());
        assert!(heart.on_heartbeat());
    }

    #[test]
    fn jitter_moves_the_beat_by_a_tenth() {
        let start = now();
        for (jitter, due) in [(0.0, 13.5), (1.0, 16.5)] {
            assert_eq!(Heartbeat::new(INTERVAL, jitter, start).poll(start), Beat::Wait(at(start, due)));
        }
    }
}
