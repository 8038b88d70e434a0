//! How far this machine's clock is from the server's.

use std::fmt;

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

impl Skew {
    /// Compares `now` with the `Date` of an answer. `None` within the skew that proofs allow, and where the
    /// answer has no date.
    pub(crate) fn between(now: SystemTime, headers: &HeaderMap) -> Option<Self> {
        let date = headers.get(header::DATE)?.to_str().ok()?;
        let server = OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp();
        let server = SystemTime::UNIX_EPOCH + Duration::from_secs(server.try_into().ok()?);
        let (by, ahead) = match now.duration_since(server) {
            Ok(by) => (by, true),
            Err(behind) => (behind.duration(), false),
        };
        (by > FRESHNESS).then_some(Self { by, ahead })
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

#[cfg(test)]
mod tests {
    use super::*;

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
