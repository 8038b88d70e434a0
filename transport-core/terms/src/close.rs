//! How a link ends, as a number, and whether coming back makes sense.

use std::fmt;

/// A close code: RFC 6455 §7.4.1, or 4000–4999 as in `docs/wire.md`.
///
/// The three that must never be sent (1005, 1006, 1015) and everything outside 1000–4999 cannot be
/// constructed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $label:literal;)+) => {
        impl CloseCode {
            $($(#[$doc])* pub const $name: CloseCode = CloseCode($code);)+

            /// Every code with a name, in order.
            pub const ALL: &[CloseCode] = &[$(CloseCode($code)),+];

            /// Returns the code's name in metrics and logs: a closed set.
            pub const fn label(self) -> &'static str {
                match self.0 { $($code => $label,)+ _ => "other" }
            }
        }
    };
}

codes! {
    /// The work is done.
    NORMAL = 1000, "normal";
    /// The endpoint goes away (process exit, or the last handle dropped), or the addressed peer is gone.
    GOING_AWAY = 1001, "going_away";
    /// The peer broke the protocol.
    PROTOCOL_ERROR = 1002, "protocol_error";
    /// The peer asked for something this side does not speak.
    UNSUPPORTED = 1003, "unsupported";
    /// A policy forbids it. Version 1 of the relay's wire uses it for `idle timeout`.
    POLICY = 1008, "policy";
    /// A message was larger than the limit.
    TOO_BIG = 1009, "too_big";
    /// This side failed.
    INTERNAL = 1011, "internal";
    /// The path vanished. Stands in for 1006, which must not be sent.
    CONNECTION_LOST = 4000, "connection_lost";
    /// The relay drains: come back after the time it named.
    DRAIN = 4001, "drain";
    /// No activity at all for the idle limit.
    IDLE = 4002, "idle";
    /// A newer connection of the same peer took over.
    SUPERSEDED = 4003, "superseded";
    /// The peer did not read for longer than its budget allows.
    SLOW_CONSUMER = 4008, "slow_consumer";
    /// What the peer asks for again is gone.
    GAP = 4010, "gap";
    /// The relay restarts.
    RESTART = 4012, "restart";
    /// Too much, too fast.
    RATE_LIMITED = 4029, "rate_limited";
    /// The token is missing, wrong, spent or expired.
    BAD_TOKEN = 4500, "bad_token";
    /// A frame that cannot be read.
    BAD_FRAME = 4501, "bad_frame";
    /// The operator paused the fallback, or its guardrail tripped.
    PAUSED = 4503, "paused";
    /// The role does not allow it.
    ROLE = 4507, "role";
    /// The host removed this peer from the session.
    REMOVED = 4508, "removed";
}

impl CloseCode {
    /// Takes a code from the wire; `None` for those nobody may send.
    pub const fn from_wire(code: u16) -> Option<Self> {
        match code {
            1005 | 1006 | 1015 => None,
            1000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// Returns the number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Says whether the client may come back; the one place that decides it.
    pub const fn retry_class(self) -> RetryClass {
        match self.0 {
            1000 | 1002 | 1003 | 1008..=1010 | 4003 | 4500..=4999 => RetryClass::Stay,
            _ => RetryClass::Reconnect,
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.label())
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

/// Whether a client comes back after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryClass {
    /// Come back, with full jitter.
    Reconnect,
    /// Do not come back the same way: it would be refused again.
    Stay,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_nobody_may_send_cannot_be_made() {
        for code in [0, 999, 1005, 1006, 1015, 5000, u16::MAX] {
            assert_eq!(CloseCode::from_wire(code), None, "{code}");
        }
        assert_eq!(CloseCode::from_wire(4999).map(CloseCode::get), Some(4999));
    }

    #[test]
    fn the_4000s_come_back_and_the_4500s_stay() {
        assert_eq!(CloseCode::SLOW_CONSUMER.retry_class(), RetryClass::Reconnect);
        assert_eq!(CloseCode::from_wire(4499).unwrap().retry_class(), RetryClass::Reconnect);
        assert_eq!(CloseCode::from_wire(4500).unwrap().retry_class(), RetryClass::Stay);
        for code in CloseCode::ALL.iter().filter(|code| code.get() >= 4500) {
            assert_eq!(code.retry_class(), RetryClass::Stay);
        }
        // The newest connection wins; the older must not fight back.
        assert_eq!(CloseCode::SUPERSEDED.retry_class(), RetryClass::Stay);
    }

    #[test]
    fn labels_are_unique() {
        let labels: std::collections::BTreeSet<_> = CloseCode::ALL.iter().map(|code| code.label()).collect();
        assert_eq!(labels.len(), CloseCode::ALL.len());
        assert_eq!(CloseCode::PAUSED.to_string(), "4503 paused");
        assert_eq!(CloseCode::from_wire(4100).unwrap().label(), "other");
    }
}
