//! When the acknowledgement of a small segment is late: RFC 6298, with the peer's patience of RFC 9002 §6.2.

use super::ACK_EVERY;
use crate::time::Duration;

/// What acknowledgements on one path take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lateness {
    /// The smoothed round trip, and how far samples are from it.
    smoothed: Option<(Duration, Duration)>,
}

impl Lateness {
    /// Takes a round trip of which it is certain when it began.
    pub(super) fn sample(&mut self, sample: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((smoothed, spread)) => {
                ((smoothed * 7 + sample) / 8, (spread * 3 + sample.abs_diff(smoothed)) / 4)
            }
        });
    }

    /// Returns how long an acknowledgement may take. `ping`: a round trip that serves until there is a sample; a ping
    /// that was lost on the reliable lane took a second.
    pub(super) fn patience(&self, ping: Option<Duration>) -> Duration {
        let way = match self.smoothed {
            None => ping.unwrap_or_default().saturating_mul(2).clamp(UNKNOWN, UNKNOWN_AT_MOST),
            Some((smoothed, spread)) => smoothed + (spread * 4).max(GRANULARITY),
        };
        way + ACK_EVERY
    }
}

/// A round trip with its spread before anything is known.
const UNKNOWN: Duration = Duration::from_millis(200);
/// The same, whatever the first ping says.
const UNKNOWN_AT_MOST: Duration = Duration::from_secs(1);
/// The least spread: a task may run this late.
const GRANULARITY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_steady_path_is_waited_for_a_little_longer_than_it_takes() {
        let mut lateness = Lateness::default();
        for _ in 0..40 {
            lateness.sample(ms(40));
        }
        let patience = lateness.patience(None);
        assert!((ms(75)..ms(77)).contains(&patience), "{patience:?}");
    }

    #[test]
    fn a_path_whose_queue_grows_is_waited_for_as_it_grows() {
        let mut lateness = Lateness::default();
        for _ in 0..20 {
            lateness.sample(ms(40));
        }
        // A sender that types into somebody else's growing queue: a tenth more each time.
        let mut took = ms(40);
        for _ in 0..30 {
            took = took * 11 / 10;
            assert!(took < lateness.patience(None), "{took:?} after {:?}", lateness.patience(None));
            lateness.sample(took);
        }
    }

    #[test]
    fn before_the_first_sample_a_ping_serves_within_bounds() {
        let lateness = Lateness::default();
        let patience = |ping| lateness.patience(ping) - ACK_EVERY;
        assert_eq!(patience(None), ms(200));
        assert_eq!(patience(Some(ms(10))), ms(200));
        assert_eq!(patience(Some(ms(300))), ms(600));
        assert_eq!(patience(Some(ms(1_500))), ms(1_000));
    }
}
