//! Round-trip time and loss from numbered pings. Sans-IO.

use std::collections::VecDeque;

use crate::runtime::{Duration, Instant};

/// Numbers pings, matches pongs, and remembers how the last [`WINDOW`] fared.
///
/// Call [`ping`](Self::ping) before sending one and [`pong`](Self::pong) for each answer;
/// [`rtt`](Self::rtt) and [`loss`](Self::loss) may be asked at any time.
#[derive(Debug, Default)]
pub(crate) struct RttMeter {
    next: u32,
    smoothed: Option<Duration>,
    /// Not answered yet, oldest first.
    open: VecDeque<(u32, Instant)>,
    /// Whether each was answered, oldest first.
    judged: VecDeque<bool>,
}

impl RttMeter {
    /// Returns the number of a ping that leaves at `now`.
    pub(crate) fn ping(&mut self, now: Instant) -> u32 {
        while let Some(&(_, sent)) = self.open.front()
            && (self.open.len() == MAX_OPEN || now.saturating_duration_since(sent) >= PATIENCE)
        {
            self.open.pop_front();
            self.judge(false);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.push_back((number, now));
        number
    }

    /// Takes an answer. Unknown and repeated numbers are ignored: a peer may send anything.
    pub(crate) fn pong(&mut self, now: Instant, number: u32) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == number) else { return };
        let Some((_, sent)) = self.open.remove(place) else { return };
        self.judge(true);
        let sample = now.saturating_duration_since(sent);
        // RFC 6298 §2: one eighth of the new.
        self.smoothed = Some(self.smoothed.map_or(sample, |old| old * 7 / 8 + sample / 8));
    }

    /// Returns the smoothed round-trip time.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Estimates the share of packets lost in one direction, 0 to 1; `None` before [`ENOUGH`] pings
    /// were answered or had [`PATIENCE`] to be.
    pub(crate) fn loss(&self) -> Option<f32> {
        if self.judged.len() < ENOUGH {
            return None;
        }
        let answered = self.judged.iter().filter(|answered| **answered).count();
        // A ping and its pong both must arrive: answered = (1 - p)².
        Some(1.0 - (answered as f32 / self.judged.len() as f32).sqrt())
    }

    fn judge(&mut self, answered: bool) {
        if self.judged.len() == WINDOW {
            self.judged.pop_front();
        }
        self.judged.push_back(answered);
    }
}

/// Verdicts remembered: 16 s at the default interval.
const WINDOW: usize = 32;

/// Pings that may be open: more than fit into [`PATIENCE`] at any sensible interval.
const MAX_OPEN: usize = 64;

/// Pings needed before a share means anything.
const ENOUGH: usize = 8;

/// After this a ping without an answer counts as lost.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    #[test]
    fn the_first_sample_counts_whole_and_later_ones_an_eighth() {
        let (mut meter, start) = (RttMeter::default(), Instant::now());
        assert_eq!(meter.rtt(), None);
        let number = meter.ping(start);
        meter.pong(start + Duration::from_millis(80), number);
        assert_eq!(meter.rtt(), Some(Duration::from_millis(80)));
        let number = meter.ping(start + TICK);
        meter.pong(start + TICK + Duration::from_millis(160), number);
        assert_eq!(meter.rtt(), Some(Duration::from_millis(90)));
    }

    #[test]
    fn loss_is_the_share_of_one_direction() {
        let (mut meter, now) = (RttMeter::default(), Instant::now());
        // 16 of 25 answered: a share of 0.8 arrives each way.
        for i in 0..25 {
            let number = meter.ping(now);
            if i < 16 {
                meter.pong(now, number);
            }
        }
        assert_eq!(meter.loss(), Some(0.0), "unanswered pings are still on their way");
        meter.ping(now + PATIENCE);
        assert!((meter.loss().unwrap() - 0.2).abs() < 1e-3);
    }

    #[test]
    fn made_up_and_repeated_pongs_change_nothing() {
        let (mut meter, now) = (RttMeter::default(), Instant::now());
        let number = meter.ping(now);
        meter.pong(now, number.wrapping_add(7));
        assert_eq!(meter.rtt(), None);
        meter.pong(now + TICK, number);
        meter.pong(now + TICK * 9, number);
        assert_eq!((meter.rtt(), meter.judged.len()), (Some(TICK), 1));
        for _ in 0..3 * MAX_OPEN {
            meter.ping(now);
        }
        assert_eq!((meter.open.len(), meter.judged.len()), (MAX_OPEN, WINDOW));
    }
}
