//! How far this machine's clock is from the server's, and the time by the server's.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use beach_lifeguard_client::membership::FRESHNESS;
use http::{HeaderMap, header};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use transport_core::time::{Duration, SystemTime};

/// A clock that is too far off for proofs of membership to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// How far.
    pub by: Duration,
    /// Whether this machine's clock is the later one.
    pub ahead: bool,
}

/// The control plane's time, as its answers tell it: proofs, envelopes and expiries are judged by it, so that a machine
/// whose clock is off by hours works. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ServerClock {
    machine: fn() -> SystemTime,
    skew: Arc<Mutex<Option<Skew>>>,
}

impl ServerClock {
    /// Begins with this machine's clock.
    pub(crate) fn new(machine: fn() -> SystemTime) -> Self {
        Self { machine, skew: Arc::default() }
    }

    /// Takes the `Date` of an answer. A clock that is right within [`RIGHT`] is left as it is. Returns whether the time by it
    /// is another one now.
    pub(crate) fn learn(&self, headers: &HeaderMap) -> bool {
        let Some(seen) = Skew::of((self.machine)(), headers) else { return false };
        let mut skew = self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        let before = skew.map_or(0, Skew::seconds);
        if seen.seconds().abs_diff(before) <= RIGHT.as_secs() {
            return false;
        }
        *skew = (seen.by > RIGHT).then_some(seen);
        true
    }

    /// Returns the time by the control plane's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let skew = *self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = (self.machine)();
        let corrected = match skew {
            None => Some(machine),
            Some(Skew { by, ahead: true }) => machine.checked_sub(by),
            Some(Skew { by, ahead: false }) => machine.checked_add(by),
        };
        corrected.unwrap_or(machine)
    }

    /// Compares this machine's clock with the `Date` of an answer. `None` within the skew that proofs allow, and where the
    /// answer has no date.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) fn skew(&self, headers: &HeaderMap) -> Option<Skew> {
        Skew::between((self.machine)(), headers)
    }
}

impl Skew {
    /// Seconds that this machine is ahead.
    fn seconds(self) -> i64 {
        let by = i64::try_from(self.by.as_secs()).unwrap_or(i64::MAX);
        if self.ahead { by } else { -by }
    }

    /// Compares `now` with the `Date` of an answer. `None` within the skew that proofs allow, and where the
    /// answer has no date.
    pub(crate) fn between(now: SystemTime, headers: &HeaderMap) -> Option<Self> {
        Self::of(now, headers).filter(|skew| skew.by > FRESHNESS)
    }

    fn of(now: SystemTime, headers: &HeaderMap) -> Option<Self> {
        let date = headers.get(header::DATE)?.to_str().ok()?;
        let server = OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp();
        let server = SystemTime::UNIX_EPOCH + Duration::from_secs(server.try_into().ok()?);
        let (by, ahead) = match now.duration_since(server) {
            Ok(by) => (by, true),
            Err(behind) => (behind.duration(), false),
        };
        Some(Self { by, ahead })
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.by.as_secs();
        // An answer's date is cut to the second, and on its way for another: 599 seconds are 10 minutes.
        let (amount, unit) = match seconds {
            0..595 => (seconds, "seconds"),
            595..36_000 => ((seconds + 30) / 60, "minutes"),
            36_000..172_800 => (seconds / 3_600, "hours"),
            _ => (seconds / 86_400, "days"),
        };
        let direction = if self.ahead { "ahead of" } else { "behind" };
        write!(f, "this machine's clock is {amount} {unit} {direction} the server's; set it right")
    }
}

/// A clock within it is right: half of what proofs allow, so that a date cut to the second and a slow answer do no harm.
const RIGHT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_time_is_learnt_from_its_answers_and_learnt_again() {
        let date = |text: &str| HeaderMap::from_iter([(header::DATE, text.parse().unwrap())]);
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + seconds);
        // This machine's clock stands at 08:49:37.
        let clock = ServerClock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(clock.now(), at(0));
        assert!(!clock.learn(&date("Sun, 06 Nov 1994 08:50:37 GMT")), "a minute is nothing");
        assert!(!clock.learn(&HeaderMap::new()) && !clock.learn(&date("soon")));
        assert_eq!(clock.now(), at(0));
        assert!(clock.learn(&date("Sun, 06 Nov 1994 11:49:37 GMT")));
        assert_eq!(clock.now(), at(3 * 3_600));
        assert!(!clock.learn(&date("Sun, 06 Nov 1994 11:49:40 GMT")));
        let shared = clock.clone();
        assert!(shared.learn(&date("Sun, 06 Nov 1994 06:49:37 GMT")));
        assert_eq!(clock.now(), at(0) - Duration::from_secs(2 * 3_600));
        assert!(clock.learn(&date("Sun, 06 Nov 1994 08:49:37 GMT")), "somebody set it right");
        assert_eq!(clock.now(), at(0));
    }

    fn skew(seconds: i64) -> Option<Skew> {
        let server = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        let by = Duration::from_secs(seconds.unsigned_abs());
        Skew::between(if seconds < 0 { server - by } else { server + by }, &headers)
    }

    #[test]
    fn a_clock_within_what_proofs_allow_is_right_and_a_second_more_is_not() {
        assert_eq!((skew(120), skew(-120)), (None, None));
        assert_eq!(skew(121), Some(Skew { by: Duration::from_secs(121), ahead: true }));
        assert_eq!(skew(-121), Some(Skew { by: Duration::from_secs(121), ahead: false }));
        assert_eq!(Skew::between(crate::runtime::wall_clock(), &HeaderMap::new()), None);
    }

    #[test]
    fn it_says_how_far_and_which_way() {
        for (seconds, words) in [
            (121, "121 seconds ahead of"),
            (-1_800, "30 minutes behind"),
            (-597, "10 minutes behind"),
            (7 * 3_600, "420 minutes ahead of"),
            (-86_400, "24 hours behind"),
            (10_000_000, "115 days ahead of"),
        ] {
            let text = skew(seconds).unwrap().to_string();
            assert_eq!(text, format!("this machine's clock is {words} the server's; set it right"));
        }
    }
}
