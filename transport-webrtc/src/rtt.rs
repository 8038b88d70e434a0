//! Round-trip time and loss from numbered pings. Sans-IO.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Numbers pings, matches pongs, and keeps the last [`WINDOW`] of them.
///
/// Call [`ping`](Self::ping) before sending one and [`pong`](Self::pong) for each answer;
/// [`rtt`](Self::rtt) and [`loss`](Self::loss) may be asked at any time.
#[derive(Debug, Default)]
pub(crate) struct RttMeter {
    next: u32,
    smoothed: Option<Duration>,
    sent: VecDeque<Ping>,
}

#[derive(Debug)]
struct Ping {
    number: u32,
    at: Instant,
    answered: bool,
}

impl RttMeter {
    /// Returns the number of a ping that leaves at `now`.
    pub(crate) fn ping(&mut self, now: Instant) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        if self.sent.len() == WINDOW {
            self.sent.pop_front();
        }
        self.sent.push_back(Ping { number, at: now, answered: false });
        number
    }

    /// Takes an answer. Unknown and repeated numbers are ignored: a peer may send anything.
    pub(crate) fn pong(&mut self, now: Instant, number: u32) {
        let Some(ping) = self.sent.iter_mut().find(|ping| ping.number == number && !ping.answered) else {
            return;
        };
        ping.answered = true;
        let sample = now.saturating_duration_since(ping.at);
        // RFC 6298 §2: one eighth of the new.
        self.smoothed = Some(self.smoothed.map_or(sample, |old| old * 7 / 8 + sample / 8));
    }

    /// Returns the smoothed round-trip time.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Estimates the share of packets lost in one direction, 0 to 1, from the pings that had
    /// [`PATIENCE`] to be answered; `None` before [`ENOUGH`] of them.
    pub(crate) fn loss(&self, now: Instant) -> Option<f32> {
        let judged = self
            .sent
            .iter()
            .filter(|ping| ping.answered || now.saturating_duration_since(ping.at) >= PATIENCE);
        let (mut total, mut lost) = (0u16, 0u16);
        for ping in judged {
            total += 1;
            lost += u16::from(!ping.answered);
        }
        if usize::from(total) < ENOUGH {
            return None;
        }
        // A ping and its pong both must arrive: answered = (1 - p)².
        let answered = 1.0 - f32::from(lost) / f32::from(total);
        Some(1.0 - answered.sqrt())
    }
}

/// Pings remembered: 16 s at the default interval.
const WINDOW: usize = 32;

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
        let (mut meter, mut now) = (RttMeter::default(), Instant::now());
        // 16 of 25 answered: a share of 0.8 arrives each way.
        for i in 0..25 {
            let number = meter.ping(now);
            if i < 16 {
                meter.pong(now, number);
            }
        }
        assert_eq!(meter.loss(now), Some(0.0), "unanswered pings are still on their way");
        now += PATIENCE;
        assert!((meter.loss(now).unwrap() - 0.2).abs() < 1e-3);
    }

    #[test]
    fn made_up_and_repeated_pongs_change_nothing() {
        let (mut meter, now) = (RttMeter::default(), Instant::now());
        let number = meter.ping(now);
        meter.pong(now, number.wrapping_add(7));
        assert_eq!(meter.rtt(), None);
        meter.pong(now + TICK, number);
        meter.pong(now + TICK * 9, number);
        assert_eq!(meter.rtt(), Some(TICK));
        for _ in 0..3 * WINDOW {
            meter.ping(now);
        }
        assert_eq!(meter.sent.len(), WINDOW);
        assert_eq!(meter.loss(now), None);
    }
}
