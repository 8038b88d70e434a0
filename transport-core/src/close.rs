//! Why a link ended, and whether coming back makes sense.

use std::{borrow::Cow, fmt};

/// The end of a transport: who ended it, with which code, and why in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("closed by {initiator}: {code}{}{detail}", if detail.is_empty() { "" } else { ", " })]
pub struct Closed {
    /// Who ended it.
    pub initiator: Initiator,
    /// The code, from RFC 6455 §7.4 and `docs/wire.md`.
    pub code: CloseCode,
    /// For a person; never a secret, never parsed.
    pub detail: Cow<'static, str>,
}

impl Closed {
    /// Describes an end that this side chose.
    pub fn local(code: CloseCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { initiator: Initiator::Local, code, detail: detail.into() }
    }

    /// Describes an end that the other side announced.
    pub fn peer(code: CloseCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { initiator: Initiator::Peer, code, detail: detail.into() }
    }

    /// Describes a path that died without a word.
    pub fn network(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { initiator: Initiator::Network, code: CloseCode::CONNECTION_LOST, detail: detail.into() }
    }
}

/// Who ended a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// This side.
    Local,
    /// Nobody said anything; the path failed.
    Network,
    /// The other side, or a relay on its behalf.
    Peer,
}

impl fmt::Display for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "this side",
            Self::Network => "the network",
            Self::Peer => "the peer",
        })
    }
}

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

            /// Returns the code's name in metrics and logs: a closed set.
            pub fn label(self) -> &'static str {
                match self.0 { $($code => $label,)+ _ => "other" }
            }
        }
    };
}

codes! {
    /// The work is done.
    NORMAL = 1000, "normal";
    /// The endpoint goes away: process exit, or the last handle dropped.
    GOING_AWAY = 1001, "going_away";
    /// The peer broke the protocol.
    PROTOCOL_ERROR = 1002, "protocol_error";
    /// The peer asked for something this side does not speak.
    UNSUPPORTED = 1003, "unsupported";
    /// A policy forbids it; the idle recycler of the deployed relay uses it too.
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
        // The newest connection wins; the older must not fight back.
        assert_eq!(CloseCode::SUPERSEDED.retry_class(), RetryClass::Stay);
    }

    #[test]
    fn display_is_one_line_for_a_person() {
        let closed = Closed::peer(CloseCode::DRAIN, "back in 3 s");
        assert_eq!(closed.to_string(), "closed by the peer: 4001 drain, back in 3 s");
        assert_eq!(Closed::local(CloseCode::NORMAL, "").to_string(), "closed by this side: 1000 normal");
    }
}
