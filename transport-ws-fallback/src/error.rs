//! From what went wrong to who is at fault.

use std::error::Error;

use transport_core::{CloseCode, Closed, ConnectError, ConnectErrorKind, RetryClass};

use crate::ID;

/// The stages of a dial: a closed set, fit for a metric label.
pub(crate) mod stage {
    pub(crate) const TOKEN: &str = "token";
    pub(crate) const DIAL: &str = "dial";
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) const UPGRADE: &str = "upgrade";
    pub(crate) const STREAM: &str = "stream";
    pub(crate) const HELLO: &str = "hello";
    pub(crate) const PEER: &str = transport_core::ConnectError::PEER;
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
}
