//! From what went wrong to who is at fault.

use std::{error::Error, fmt};

use beach_lifeguard_client::{hello::HelloError, stream::reason};
use beach_outbound::OutboundError;
use transport_core::{CloseCode, Closed, ConnectError, ConnectErrorKind, RetryClass, Text};

use crate::{ID, runtime::Duration};

/// The stages of a dial: a closed set, fit for a metric label.
pub(crate) mod stage {
    pub(crate) const TOKEN: &str = "token";
    pub(crate) const DIAL: &str = "dial";
    pub(crate) const UPGRADE: &str = "upgrade";
    pub(crate) const STREAM: &str = "stream";
    pub(crate) const HELLO: &str = "hello";
    pub(crate) const PEER: &str = transport_core::ConnectError::PEER;
}

/// The relay, or something before it, answered the upgrade with another HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeRefused {
    /// The HTTP status.
    pub status: u16,
    /// The relay's own reason; `None` when somebody else answers.
    pub reason: Option<Text>,
}

impl UpgradeRefused {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        kind_of(self.status)
    }

    /// Whether the relay heard the request and said no to the client, not to the way it came.
    pub(crate) fn is_said_by_relay(&self) -> bool {
        self.reason.is_some() && !self.lost_its_upgrade()
    }

    fn lost_its_upgrade(&self) -> bool {
        self.reason.as_deref().is_some_and(|reason| ["not_websocket", "subprotocol"].contains(&reason))
    }
}

impl fmt::Display for UpgradeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason } = self;
        match reason {
            _ if self.lost_its_upgrade() => {
                write!(f, "a proxy before the relay removed the WebSocket upgrade (HTTP {status})")
            }
            Some(reason) => write!(f, "the relay refused the upgrade: {reason} (HTTP {status})"),
            None => write!(f, "the upgrade was answered with HTTP {status}, and not by the relay"),
        }
    }
}

impl Error for UpgradeRefused {}

/// HTTP streaming did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamFailed {
    /// The answer broke off before its first record was whole.
    #[error("the answer to the stream broke off: {0}")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The answer is of another type than a relay's.
    #[error("the answer to the stream is no relay's")]
    Content,
    /// The first record cannot be read.
    #[error("the first record of the stream cannot be read: {0}")]
    Garbled(#[source] Box<dyn Error + Send + Sync>),
    /// The answer began, and its first record did not come.
    #[error("a proxy holds the relay's answer back: its head came, its first record did not within {0:?}")]
    HeldBack(Duration),
    /// A captive portal answers in place of the relay.
    #[error(transparent)]
    Login(OutboundError),
    /// No answer began.
    #[error("no answer to the stream within {0:?}: it is held back or lost")]
    Silent(Duration),
    /// The relay, or something before it, answered with another status.
    #[error("the stream was answered with HTTP {status}{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// The relay's own reason; `None` when somebody else answers.
        reason: Option<Text>,
    },
}

impl StreamFailed {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        match self {
            Self::Broken(_) | Self::Login(_) => ConnectErrorKind::Unreachable,
            Self::Content | Self::Garbled(_) => ConnectErrorKind::Incompatible,
            Self::HeldBack(_) | Self::Silent(_) => ConnectErrorKind::TimedOut,
            Self::Status { status, .. } => kind_of(*status),
        }
    }

    /// Whether the relay heard the request and said no to the client, not to the way it came.
    pub(crate) fn is_said_by_relay(&self) -> bool {
        matches!(self, Self::Status { reason: Some(reason), .. } if **reason != *reason::OFF)
    }
}

impl From<hyper::Error> for StreamFailed {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() || error.is_parse_too_large() {
            Self::Garbled(error.into())
        } else {
            Self::Broken(error.into())
        }
    }
}

impl From<hyper::http::Error> for StreamFailed {
    fn from(error: hyper::http::Error) -> Self {
        Self::Garbled(error.into())
    }
}

impl From<HelloError> for StreamFailed {
    fn from(error: HelloError) -> Self {
        Self::Garbled(error.into())
    }
}

/// Something on the way lets neither carrier through. Both say what was seen.
#[derive(Debug, thiserror::Error)]
#[error("as a WebSocket: {websocket}; over HTTP: {http}")]
#[non_exhaustive]
pub struct NeitherCarrier {
    /// What became of the WebSocket.
    pub websocket: String,
    /// What became of HTTP streaming.
    pub http: String,
}

fn kind_of(status: u16) -> ConnectErrorKind {
    match status {
        401 | 403 => ConnectErrorKind::Rejected,
        status if is_passing(status) => ConnectErrorKind::Unreachable,
        // Whatever answers there is no relay of this version.
        _ => ConnectErrorKind::Incompatible,
    }
}

/// Whether another moment may do: full, draining, too many at once.
pub(crate) const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// The relay closed before its hello, or refuses to be asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the relay refused: {0}")]
pub struct CloseAtHandshake(#[source] pub Closed);

impl CloseAtHandshake {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        match self.0.code {
            CloseCode::UNSUPPORTED
            | CloseCode::PROTOCOL_ERROR
            | CloseCode::BAD_FRAME
            | CloseCode::TOO_BIG => ConnectErrorKind::Incompatible,
            code if code.retry_class() == RetryClass::Stay => ConnectErrorKind::Rejected,
            _ => ConnectErrorKind::Unreachable,
        }
    }
}

pub(crate) fn failed(stage: &'static str, kind: ConnectErrorKind) -> ConnectError {
    ConnectError::new(ID, stage, kind)
}

pub(crate) fn because(
    stage: &'static str,
    kind: ConnectErrorKind,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> ConnectError {
    failed(stage, kind).because(source)
}

pub(crate) fn closed_at(stage: &'static str, closed: Closed) -> ConnectError {
    let refused = CloseAtHandshake(closed);
    because(stage, refused.kind(), refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_who_is_at_fault() {
        use ConnectErrorKind::{Incompatible, Rejected, Unreachable};
        for (status, kind) in [(403, Rejected), (404, Incompatible), (426, Incompatible), (503, Unreachable)]
        {
            assert_eq!(UpgradeRefused { status, reason: None }.kind(), kind, "{status}");
        }
        for (code, kind) in [
            (CloseCode::BAD_TOKEN, Rejected),
            (CloseCode::PAUSED, Rejected),
            (CloseCode::SUPERSEDED, Rejected),
            (CloseCode::UNSUPPORTED, Incompatible),
            (CloseCode::RESTART, Unreachable),
            (CloseCode::RATE_LIMITED, Unreachable),
        ] {
            assert_eq!(CloseAtHandshake(Closed::peer(code, "")).kind(), kind, "{code}");
        }
    }

    #[test]
    fn a_refusal_of_the_relay_is_told_from_one_on_the_way() {
        let upgrade =
            |reason: Option<&'static str>| UpgradeRefused { status: 426, reason: reason.map(Text::new) };
        for (reason, relay) in [
            (None, false),
            (Some("not_websocket"), false),
            (Some("subprotocol"), false),
            (Some("rate_limited"), true),
            (Some("draining"), true),
        ] {
            assert_eq!(upgrade(reason).is_said_by_relay(), relay, "{reason:?}");
        }
        assert!(upgrade(Some("not_websocket")).to_string().contains("proxy"));
        let stream = |reason: Option<&'static str>| StreamFailed::Status {
            status: 410,
            reason: reason.map(Text::new),
        };
        assert!(stream(Some("draining")).is_said_by_relay());
        assert!(!stream(Some("stream_off")).is_said_by_relay() && !stream(None).is_said_by_relay());
    }
}
