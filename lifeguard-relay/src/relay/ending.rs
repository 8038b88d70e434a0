//! How a connection ends, and in whose words.

use std::time::Duration;

use beach_lifeguard_client::{CloseCode, websocket::Violation};

/// The relay ends a connection: with which code, and why in one word of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'static str,
}

impl Order {
    pub(crate) const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The network or the kernel ended it without a word.
    Lost,
    /// The peer said goodbye.
    Peer,
    /// The relay ended it.
    Relay(Order),
}

impl Ending {
    /// The code under which the end is counted.
    pub(crate) fn code(self) -> CloseCode {
        match self {
            Self::Lost => CloseCode::CONNECTION_LOST,
            Self::Peer => CloseCode::NORMAL,
            Self::Relay(order) => order.code,
        }
    }
}

/// Why no hello came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHello {
    ClientClosed,
    Protocol,
    SocketClosed,
    Timeout,
    TooBig,
}

impl From<Violation> for NoHello {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Protocol | Violation::Utf8 => Self::Protocol,
            Violation::TooBig => Self::TooBig,
        }
    }
}

impl From<Violation> for Order {
    fn from(violation: Violation) -> Self {
        let (code, reason) = match violation {
            Violation::Protocol => (CloseCode::PROTOCOL_ERROR, "protocol_error"),
            Violation::TooBig => (CloseCode::TOO_BIG, "frame_too_large"),
            Violation::Utf8 => (INVALID_UTF8, "invalid_utf8"),
        };
        Self::new(code, reason)
    }
}

impl From<Violation> for Ending {
    fn from(violation: Violation) -> Self {
        Self::Relay(violation.into())
    }
}

impl From<Order> for Ending {
    fn from(order: Order) -> Self {
        Self::Relay(order)
    }
}

/// Text that is not UTF-8 (RFC 6455 §7.4.1).
const INVALID_UTF8: CloseCode = match CloseCode::from_wire(1007) {
    Some(code) => code,
    None => CloseCode::PROTOCOL_ERROR,
};

/// For a close frame to leave.
pub(super) const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// For its answer.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_millis(500);
