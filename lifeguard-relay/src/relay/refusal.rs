//! Every way in which the relay says no before a peer is in, each with its answer and its label.

use std::time::SystemTime;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::{CloseCode, Reason, hello::HelloError, stream::reason, token::TokenError};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    ending::{NoHello, Order},
    registry::JoinRefused,
};

/// One refusal: when, and its label.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RecentRefusal {
    /// When.
    pub at: SystemTime,
    /// Of the closed set of refusals.
    pub label: &'static str,
}

/// Refused before the upgrade, by an HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpRefused {
    /// The body did not come in time.
    BodyLate,
    /// The body is larger than any hello.
    BodyTooLarge,
    /// The relay is about to go: another one is to be asked.
    Draining,
    /// Not a WebSocket upgrade of version 13.
    NotWebSocket,
    /// A page of a foreign origin.
    Origin,
    /// The kill switch is on (v1; v2 learns it by a close code).
    Paused,
    /// Too many connections from that address.
    RateLimited,
    /// The HTTP carrier is switched off here.
    StreamOff,
    /// The client does not offer our subprotocol.
    Subprotocol,
    /// v1: the token in the URL is not accepted, and why.
    Token(&'static str),
    /// v1 is switched off here.
    V1Off,
}

impl HttpRefused {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::BodyLate => "timeout",
            Self::BodyTooLarge => reason::TOO_LARGE,
            Self::Draining => reason::DRAINING,
            Self::NotWebSocket => "not_websocket",
            Self::Origin => "origin",
            Self::Paused => "fallback_paused",
            Self::RateLimited => "rate_limited",
            Self::StreamOff => reason::OFF,
            Self::Subprotocol => "subprotocol",
            Self::Token(label) => label,
            Self::V1Off => "v1_off",
        }
    }

    /// The label under which the failed handshake is counted, the same as after the upgrade.
    pub(crate) fn counted_as(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "invalid_payload",
            Self::Paused => "paused",
            Self::Token(_) => "bad_token",
            _ => self.label(),
        }
    }

    fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::BodyLate => (StatusCode::REQUEST_TIMEOUT, "the hello did not come in time"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "no hello is as large"),
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "this relay is draining; ask another one"),
            Self::NotWebSocket => (StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket version 13"),
            Self::Origin => (StatusCode::FORBIDDEN, "pages of this origin may not connect"),
            Self::Paused => (StatusCode::SERVICE_UNAVAILABLE, "the operator has paused the fallback relay"),
            Self::RateLimited => {
                (StatusCode::TOO_MANY_REQUESTS, "too many connections from this address; try again later")
            }
            Self::StreamOff => (StatusCode::GONE, "this relay speaks WebSocket only"),
            Self::Subprotocol => (StatusCode::BAD_REQUEST, "offer the subprotocol beach-lifeguard.v2"),
            Self::Token(_) => (StatusCode::UNAUTHORIZED, "the token is not accepted; fetch a new one"),
            Self::V1Off => (StatusCode::GONE, "protocol version 1 is switched off on this relay"),
        }
    }
}

impl IntoResponse for HttpRefused {
    fn into_response(self) -> Response {
        let (status, message) = self.status();
        let body = Json(json!({ "success": false, "reason": self.label(), "message": message }));
        let mut response = (status, body).into_response();
        if matches!(self, Self::Draining | Self::RateLimited | Self::Paused) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self == Self::NotWebSocket {
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}

/// Refused after the upgrade, by a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeRefused {
    /// The token does not grant the access the hello asks for, or names another role.
    NotGranted,
    /// A spare token's cohort is not rolled out any more.
    Disabled,
    /// The relay began to drain meanwhile.
    Draining,
    /// The strangers were too many, and this one had had its time.
    Evicted,
    /// The hello cannot be read.
    Hello(HelloError),
    /// The session cannot take the peer.
    Join(JoinRefused),
    /// The session's peers meet on another node of the pool: a new token names it.
    Moved,
    /// No hello came.
    NoHello(NoHello),
    /// The session's owner cannot be reached from here: a new token may name another one.
    OwnerUnreachable,
    /// Too many connections from that address, over all nodes that passed them on.
    RateLimited,
    /// Whether a spare token may be used cannot be found out at the moment.
    NotJudged,
    /// The kill switch is on, for everybody or for this cohort.
    Paused,
    /// The host has taken back what the holder of a spare token came by.
    Revoked(Reason),
    /// The token is not accepted.
    Token(TokenError),
    /// A v2 hello is text.
    UnexpectedFrame,
}

impl HandshakeRefused {
    /// A closed set, for metrics, logs and close reasons.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NotGranted => "role_mismatch",
            Self::Disabled => Reason::FallbackDisabled.label(),
            Self::Draining => "draining",
            Self::Evicted => "evicted",
            Self::Hello(error) => error.label(),
            Self::Join(JoinRefused::Full) => "session_full",
            Self::Join(JoinRefused::Removed) => "peer_removed",
            Self::Join(JoinRefused::WireMismatch) => "wire_mismatch",
            Self::Moved => "moved",
            Self::NoHello(NoHello::ClientClosed) => "client_closed",
            Self::NoHello(NoHello::Protocol) => "protocol_error",
            Self::NoHello(NoHello::SocketClosed) => "socket_closed",
            Self::NoHello(NoHello::Timeout) => "timeout",
            Self::NoHello(NoHello::TooBig) => "hello_too_large",
            Self::NotJudged => "not_judged",
            Self::OwnerUnreachable => "owner_unreachable",
            Self::Paused => "fallback_paused",
            Self::RateLimited => "rate_limited",
            Self::Revoked(reason) => reason.label(),
            Self::Token(error) => error.label(),
            Self::UnexpectedFrame => "unexpected_frame",
        }
    }

    /// The label under which the failed handshake is counted: tokens have a metric of their own, so here
    /// most of their faults are one.
    pub(crate) fn counted_as(self) -> &'static str {
        match self {
            Self::Hello(_) | Self::NoHello(NoHello::TooBig) => "invalid_payload",
            Self::Paused => "paused",
            Self::Revoked(_) => "revoked",
            Self::Token(TokenError::Entitlement | TokenError::Session | TokenError::Subject) => self.label(),
            Self::Token(TokenError::Spent) => "spent_token",
            Self::Token(_) => "bad_token",
            _ => self.label(),
        }
    }

    /// What the client is told.
    pub(crate) fn order(self) -> Order {
        let code = match self {
            Self::NotGranted => CloseCode::ROLE,
            Self::Draining | Self::Moved | Self::OwnerUnreachable => CloseCode::RESTART,
            // A slow network is no reason to stay away.
            Self::Evicted | Self::NoHello(NoHello::Timeout) => CloseCode::CONNECTION_LOST,
            Self::Join(JoinRefused::Removed) | Self::Revoked(Reason::PeerRemoved) => CloseCode::REMOVED,
            Self::Hello(HelloError::UnsupportedVersion(_)) | Self::Join(JoinRefused::WireMismatch) => {
                CloseCode::UNSUPPORTED
            }
            Self::Hello(HelloError::TooLarge) | Self::NoHello(NoHello::TooBig) => CloseCode::TOO_BIG,
            Self::Hello(HelloError::InvalidPayload) | Self::UnexpectedFrame => CloseCode::BAD_FRAME,
            Self::Join(JoinRefused::Full) | Self::NotJudged | Self::RateLimited => CloseCode::RATE_LIMITED,
            Self::NoHello(NoHello::ClientClosed) => CloseCode::NORMAL,
            Self::NoHello(NoHello::Protocol) => CloseCode::PROTOCOL_ERROR,
            Self::NoHello(NoHello::SocketClosed) => CloseCode::CONNECTION_LOST,
            Self::Disabled | Self::Paused => CloseCode::PAUSED,
            Self::Revoked(_) | Self::Token(_) => CloseCode::BAD_TOKEN,
        };
        Order::new(code, self.label())
    }
}

impl From<TokenError> for HandshakeRefused {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<HelloError> for HandshakeRefused {
    fn from(error: HelloError) -> Self {
        Self::Hello(error)
    }
}

impl From<JoinRefused> for HandshakeRefused {
    fn from(refused: JoinRefused) -> Self {
        Self::Join(refused)
    }
}

impl From<NoHello> for HandshakeRefused {
    fn from(none: NoHello) -> Self {
        Self::NoHello(none)
    }
}
