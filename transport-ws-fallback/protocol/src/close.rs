//! How sockets and links end, and whether coming back makes sense.

use bytes::{BufMut, Bytes, BytesMut};

use crate::frame::FrameError;

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
    /// The endpoint goes away, or the addressed peer is gone.
    GOING_AWAY = 1001, "going_away";
    /// The peer broke the protocol.
    PROTOCOL_ERROR = 1002, "protocol_error";
    /// The peer asked for something this side does not speak.
    UNSUPPORTED = 1003, "unsupported";
    /// A policy forbids it; v1 uses it for `idle timeout`.
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

    /// Says whether the client may come back.
    pub const fn retry_class(self) -> RetryClass {
        match self.0 {
            1000 | 1002 | 1003 | 1008..=1010 | 4003 | 4500..=4999 => RetryClass::Stay,
            _ => RetryClass::Reconnect,
        }
    }
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, self.label())
    }
}

impl std::fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// The payload of a close frame: the end of one link, not of the socket.
///
/// | offset | length | type | field |
/// |---|---|---|---|
/// | 0 | 2 | u16 be | close code |
/// | 2 | 0–123 | UTF-8 | reason, for a person |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// Why, for a person; at most [`MAX_REASON_BYTES`].
    pub reason: String,
}

impl CloseFrame {
    /// Describes an end; a longer `reason` is cut at a character.
    pub fn new(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: cut(reason).to_owned() }
    }

    /// Writes the payload.
    pub fn encode(&self) -> Bytes {
        let reason = cut(&self.reason);
        let mut payload = BytesMut::with_capacity(2 + reason.len());
        payload.put_u16(self.code.get());
        payload.put_slice(reason.as_bytes());
        payload.freeze()
    }

    /// Reads the payload. A code nobody may send reads as [`CloseCode::PROTOCOL_ERROR`].
    ///
    /// # Errors
    ///
    /// [`FrameError`] when the code is missing or the reason is too long or not UTF-8.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        let (code, reason) = payload.split_first_chunk::<2>().ok_or(FrameError::Truncated)?;
        if reason.len() > MAX_REASON_BYTES {
            return Err(FrameError::Reason);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| FrameError::Reason)?;
        let code = CloseCode::from_wire(u16::from_be_bytes(*code)).unwrap_or(CloseCode::PROTOCOL_ERROR);
        Ok(Self { code, reason: reason.to_owned() })
    }
}

/// Longest reason in bytes: what a WebSocket close frame holds beside its code (RFC 6455 §5.5).
pub const MAX_REASON_BYTES: usize = 123;

/// Cuts `reason` to what fits, at a character.
pub fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_nobody_may_send_cannot_be_made() {
        for code in [0, 999, 1005, 1006, 1015, 5000, u16::MAX] {
            assert_eq!(CloseCode::from_wire(code), None, "{code}");
        }
        assert_eq!(CloseFrame::decode(&[0x03, 0xEE]).unwrap().code, CloseCode::PROTOCOL_ERROR);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let long = "é".repeat(70);
        let close = CloseFrame::new(CloseCode::NORMAL, &long);
        assert_eq!(close.reason.len(), 122);
        assert_eq!(CloseFrame::decode(&close.encode()), Ok(close));
        let longest = CloseFrame::new(CloseCode::NORMAL, &"e".repeat(MAX_REASON_BYTES));
        assert_eq!(CloseFrame::decode(&longest.encode()), Ok(longest));
        assert_eq!(CloseFrame::decode(&[0; 126]), Err(FrameError::Reason));
        assert_eq!(CloseFrame::decode(&[3]), Err(FrameError::Truncated));
        assert_eq!(CloseFrame::decode(&[3, 0xE8, 0xFF]), Err(FrameError::Reason));
    }

    #[test]
    fn labels_are_unique_and_the_4500s_stay() {
        let labels: std::collections::BTreeSet<_> = CloseCode::ALL.iter().map(|code| code.label()).collect();
        assert_eq!(labels.len(), CloseCode::ALL.len());
        assert_eq!(CloseCode::PAUSED.to_string(), "4503 paused");
        for code in CloseCode::ALL.iter().filter(|code| code.get() >= 4500) {
            assert_eq!(code.retry_class(), RetryClass::Stay);
        }
    }
}
