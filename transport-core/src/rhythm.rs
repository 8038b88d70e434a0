//! How long a pause the way to a server bears: learnt from sockets that were cut while nothing moved. Sans-IO.
//!
//! ```
//! use std::time::Duration;
//! use transport_core::rhythm::{Life, Rhythm};
//!
//! let (mut rhythm, usual) = (Rhythm::default(), Duration::from_secs(15));
//! assert_eq!(rhythm.interval(usual), usual);
//! rhythm.learn(Life { cut: true, idle: Duration::from_secs(10), lived: Duration::from_secs(30) });
//! assert_eq!(rhythm.interval(usual), Duration::from_secs(6));
//! ```

use crate::time::Duration;

/// What is known of the way, from one socket to the next.
#[derive(Debug, Default)]
pub struct Rhythm {
    /// The longest interval between heartbeats that should be safe; `None` while nothing is known.
    safe: Option<Duration>,
}

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Whether the path cut it, and neither side meant to.
    pub cut: bool,
    /// For how long nothing had moved then.
    pub idle: Duration,
    /// From its hello to its end.
    pub lived: Duration,
}

impl Rhythm {
    /// Says how often a fresh socket should show life where `usual` is agreed.
    pub fn interval(&self, usual: Duration) -> Duration {
        self.safe.map_or(usual, |safe| safe.min(usual))
    }

    /// Learns from the end of a socket. A proxy that cuts idle connections is met by beating more often; what was
    /// learnt is given up slowly, for the cut may have had another cause and the place may be another by now.
    pub fn learn(&mut self, life: Life) {
        if life.cut && life.idle >= IDLE {
            let safe = life.idle.mul_f64(SHARE).max(LEAST);
            self.safe = Some(self.safe.map_or(safe, |known| known.min(safe)));
        } else if life.lived >= LONG {
            self.safe = self.safe.map(|safe| safe.mul_f64(SLOWER)).filter(|safe| *safe < MOST);
        }
    }
}

/// With less silence before it a cut says nothing about pauses.
const IDLE: Duration = Duration::from_secs(3);

/// The part of the pause that was too long: the beat is drawn from a tenth around it.
const SHARE: f64 = 0.6;

/// The shortest interval that is learnt (`docs/defaults.md`).
const LEAST: Duration = Duration::from_secs(5);

/// A socket that lived so long was not cut for its pauses.
const LONG: Duration = Duration::from_secs(600);
const SLOWER: f64 = 1.25;

/// What is above is not worth remembering.
const MOST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(15);

    fn life(cut: bool, idle: u64, lived: u64) -> Life {
        Life { cut, idle: Duration::from_secs(idle), lived: Duration::from_secs(lived) }
    }

    #[test]
    fn a_cut_while_idle_makes_the_next_heartbeat_shorter() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.interval(USUAL), USUAL);
        rhythm.learn(life(true, 10, 30));
        assert_eq!(rhythm.interval(USUAL), Duration::from_secs(6));
        rhythm.learn(life(true, 4, 30));
        assert_eq!(rhythm.interval(USUAL), LEAST);
        // A shorter one that was agreed is kept.
        assert_eq!(rhythm.interval(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn a_cut_in_use_and_a_goodbye_teach_nothing() {
        let mut rhythm = Rhythm::default();
        rhythm.learn(life(true, 1, 30));
        rhythm.learn(life(false, 12, 30));
        assert_eq!(rhythm.interval(USUAL), USUAL);
    }

    #[test]
    fn sockets_that_live_long_bring_it_back_slowly() {
        let mut rhythm = Rhythm::default();
        rhythm.learn(life(true, 10, 30));
        let mut intervals = Vec::new();
        for _ in 0..5 {
            rhythm.learn(life(false, 1, 3_600));
            intervals.push(rhythm.interval(USUAL).as_millis());
        }
        assert_eq!(intervals, [7_500, 9_375, 11_718, 14_648, 15_000]);
    }
}
