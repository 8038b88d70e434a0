//! A narrow link: `tc tbf` on a device, so many bits a second with a queue of so many milliseconds.

use std::time::Duration;

use super::Space;
use crate::trouble::Trouble;

/// What waits before a narrow link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// So long a queue before packets are dropped.
    Long(Duration),
    /// None: what exceeds the rate is dropped at once, as a policer does.
    None,
}

/// A narrow link in one direction, out of a device. Dropping it leaves the device as it is: the namespace is its
/// owner. [`Shaper::lift`] widens it again.
#[derive(Debug)]
pub struct Shaper<'a> {
    space: &'a Space,
    device: &'a str,
}

impl<'a> Shaper<'a> {
    /// Lets `kilobits` a second out of `device`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn narrow(space: &'a Space, device: &'a str, kilobits: u32, queue: Queue) -> Result<Self, Trouble> {
        let waiting = match queue {
            // Bits a millisecond by milliseconds. A router's queue holds a few packets however narrow its link is.
            Queue::Long(time) => (u128::from(kilobits) * time.as_millis() / 8).max(FEW_PACKETS),
            Queue::None => 0,
        };
        let (rate, burst) = (format!("{kilobits}kbit"), BURST.to_string());
        let limit = (BURST + waiting).to_string();
        let shape = ["qdisc", "replace", "dev", device, "root", "tbf", "rate", &rate];
        space.run("tc", &[&shape[..], &["burst", &burst, "limit", &limit]].concat())?;
        Ok(Self { space, device })
    }

    /// Takes the limit away.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn lift(self) -> Result<(), Trouble> {
        self.space.run("tc", &["qdisc", "del", "dev", self.device, "root"]).map(drop)
    }
}

/// One full-sized frame and a little: less and `tbf` passes none.
const BURST: u128 = 1_600;

/// Three full-sized frames.
const FEW_PACKETS: u128 = 4_542;
