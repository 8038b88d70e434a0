//! How much a sender, a session and the whole relay may move.
//!
//! Nothing is dropped for being too fast: what was read is forwarded and *owed*, and the relay reads no
//! more from a sender that owes. TCP carries the word back. A sender is told with a control frame the
//! moment it is held, and cut only when it keeps pushing against the limit.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{
    RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use crate::limit::Rate;

/// By the standard library's clock. The default one asks the processor what it can whenever a limiter is made, which a
/// virtual machine answers slowly: three limiters took a fifth of a connection's time.
type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>;

/// One limit; shared by whoever it applies to.
#[derive(Debug)]
pub(crate) struct Meter(Option<Bucket>);

#[derive(Debug)]
struct Bucket {
    limiter: Limiter,
    /// In cells.
    burst: u32,
    /// In units.
    cell: u32,
}

impl Meter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self(rate.quota().map(|(quota, cell)| Bucket {
            limiter: Limiter::direct_with_clock(quota, MonotonicClock),
            burst: quota.burst_size().get(),
            cell,
        }))
    }

    /// Pays off as much of `owed` as the rate allows; returns how long to wait for more. Less than a cell stays owed.
    pub(crate) fn pay(&self, owed: &mut u32) -> Option<Duration> {
        let Some(Bucket { limiter, burst, cell }) = &self.0 else {
            *owed = 0;
            return None;
        };
        while let Some(part) = NonZeroU32::new((*owed / cell).min(*burst)) {
            match limiter.check_n(part) {
                Ok(Ok(())) => *owed -= part.get() * cell,
                Ok(Err(not_yet)) => return Some(not_yet.wait_time_from(MonotonicClock.now())),
                // `part` is at most the burst, so this cannot be; forgiving the debt is the safe answer.
                Err(_) => *owed = 0,
            }
        }
        None
    }
}

/// What one sender owes to each limit it is under.
#[derive(Debug)]
pub(crate) struct Tab {
    bytes: Meter,
    frames: Meter,
    owed_bytes: u32,
    owed_frames: u32,
    owed_session: u32,
    owed_egress: u32,
}

impl Tab {
    pub(crate) fn new(bytes: Rate, frames: Rate) -> Self {
        Self {
            bytes: Meter::new(bytes),
            frames: Meter::new(frames),
            owed_bytes: 0,
            owed_frames: 0,
            owed_session: 0,
            owed_egress: 0,
        }
    }

    /// Notes one message of `len` bytes from the sender.
    pub(crate) fn charge(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.owed_frames = self.owed_frames.saturating_add(1);
        self.owed_bytes = self.owed_bytes.saturating_add(len);
        self.owed_session = self.owed_session.saturating_add(len);
    }

    /// Notes that it went out `copies` times.
    pub(crate) fn charge_copies(&mut self, len: usize, copies: usize) {
        let bytes = u32::try_from(len.saturating_mul(copies)).unwrap_or(u32::MAX);
        self.owed_egress = self.owed_egress.saturating_add(bytes);
    }

    /// Pays what can be paid; returns how long the sender must be held, if it must. A debt that is over sooner than a timer
    /// could say so is carried on: at the limit, what a sender sends arrives in smaller bursts.
    pub(crate) fn settle(&mut self, session: &Meter, egress: &Meter) -> Option<Duration> {
        [
            self.bytes.pay(&mut self.owed_bytes),
            self.frames.pay(&mut self.owed_frames),
            session.pay(&mut self.owed_session),
            egress.pay(&mut self.owed_egress),
        ]
        .into_iter()
        .flatten()
        .max()
        .filter(|wait| *wait > TIMER)
    }
}

/// The shortest wait of the runtime's timers.
const TIMER: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_beyond_the_burst_holds_the_sender() {
        let mut tab = Tab::new(Rate { per_second: 1_000, burst: 10_000 }, Rate::UNLIMITED);
        let (session, egress) = (Meter::new(Rate::UNLIMITED), Meter::new(Rate::UNLIMITED));
        tab.charge(10_000);
        assert_eq!(tab.settle(&session, &egress), None);
        tab.charge(2_000);
        let wait = tab.settle(&session, &egress).unwrap();
        assert!(wait > Duration::from_millis(1_500) && wait <= Duration::from_secs(2), "{wait:?}");
    }

    #[test]
    fn a_debt_that_is_over_at_once_is_carried_on() {
        let mut tab = Tab::new(Rate { per_second: 1_000_000, burst: 10_000 }, Rate::UNLIMITED);
        let (session, egress) = (Meter::new(Rate::UNLIMITED), Meter::new(Rate::UNLIMITED));
        tab.charge(10_000);
        assert_eq!(tab.settle(&session, &egress), None);
        tab.charge(500);
        assert_eq!(tab.settle(&session, &egress), None, "half a millisecond");
        tab.charge(5_000);
        let wait = tab.settle(&session, &egress).unwrap();
        assert!(wait > Duration::from_millis(2), "{wait:?}: nothing was forgiven");
    }

    #[test]
    fn egress_counts_every_copy() {
        let mut tab = Tab::new(Rate::UNLIMITED, Rate::UNLIMITED);
        let egress = Meter::new(Rate { per_second: 1_000, burst: 5_000 });
        let session = Meter::new(Rate::UNLIMITED);
        tab.charge_copies(1_000, 5);
        assert_eq!(tab.settle(&session, &egress), None);
        tab.charge_copies(1_000, 5);
        assert!(tab.settle(&session, &egress).is_some());
    }
}
