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
        let rate = format!("{kilobits}kbit");
        let (bound, size) = match queue {
            Queue::Long(time) => ("latency", format!("{}ms", time.as_millis())),
            Queue::None => ("limit", BURST.to_owned()),
        };
        let shape = ["qdisc", "replace", "dev", device, "root", "tbf", "rate", &rate, "burst", BURST];
        space.run("tc", &[&shape[..], &[bound, &size]].concat())?;
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
const BURST: &str = "1600";
