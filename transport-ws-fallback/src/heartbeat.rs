//! When to show life, and when to give up waiting for it. Sans-IO.

use crate::runtime::{Duration, Instant};

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
}

/// What the heart asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing came for three intervals: the path is gone.
    Dead,
    /// Send a heartbeat frame.
    Send,
    /// Nothing before this time.
    Wait(Instant),
}

impl Heartbeat {
    /// Starts at `now`; `jitter` is a random number in 0..1.
    pub(crate) fn new(interval: Duration, jitter: f64, now: Instant) -> Self {
        Self { interval, phase: 0.9 + 0.2 * jitter, received: now, sent: now, asked: None }
    }

    /// Notes that anything arrived.
    pub(crate) fn on_received(&mut self, now: Instant) {
        self.received = now;
    }

    /// Notes that frames left.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// Notes a heartbeat frame; says whether it wants an answer. The answer to our own question is
    /// not answered again: two sides that echo everything would never stop.
    pub(crate) fn on_heartbeat(&mut self) -> bool {
        self.asked.take().is_none()
    }

    /// Decides. [`Beat::Send`] is said once for each beat.
    pub(crate) fn poll(&mut self, now: Instant) -> Beat {
        let dead = self.received + self.interval * MISSED;
        if now >= dead {
            return Beat::Dead;
        }
        // One quiet direction is enough to ask: a client that only sends learns nothing otherwise.
        let quiet_since =
            self.received.min(self.sent).max(self.asked.unwrap_or(self.sent.min(self.received)));
        let due = quiet_since + self.interval.mul_f64(self.phase);
        if now >= due {
            self.asked = Some(now);
            return Beat::Send;
        }
        Beat::Wait(due.min(dead))
    }

    /// How long the silence may last.
    pub(crate) fn patience(&self) -> Duration {
        self.interval * MISSED
    }
}

/// Heartbeats that may go missing (`docs/defaults.md`).
const MISSED: u32 = 3;

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
        assert_eq!(heart.poll(at(start, 45.0)), Beat::Dead);
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
