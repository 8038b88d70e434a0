//! From an HTTP request to a socket of our own: the WebSocket upgrade of the relay and of signaling.
//!
//! axum's own upgrade hides the socket behind buffers of its choosing. Here the raw stream comes back out of
//! `hyper`, together with what the client has sent ahead, and `hyper`'s buffers are let go.
//!
//! A listener of ours is not needed. Mounted in another service, a TCP socket is taken over as well; any other
//! stream is used through `hyper`, and what is missing is said once.

use std::sync::Once;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::net::TcpStream;

use crate::listen::{Client, Socket};

/// A request that will become a socket once its answer is out.
pub(crate) struct Upgrade {
    accept_key: String,
    on_upgrade: OnUpgrade,
    /// Who asks; `None` when another service's listener took the connection in.
    pub(crate) client: Option<Client>,
}

impl Upgrade {
    /// Reads what RFC 6455 §4.2.1 asks for; `None` when the request is no upgrade of version 13.
    pub(crate) fn from_request(request: &mut Request) -> Option<Self> {
        let headers = request.headers();
        let is = |name, value: &str| {
            let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
            values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(value))
        };
        let websocket = is(header::CONNECTION, "upgrade")
            && is(header::UPGRADE, "websocket")
            && is(header::SEC_WEBSOCKET_VERSION, "13");
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let key = key.filter(|key| websocket && key.len() == KEY_CHARACTERS)?;
        let accept_key = accept_of(key.as_bytes());
        let extensions = request.extensions_mut();
        let on_upgrade = extensions.remove::<OnUpgrade>()?;
        let client = extensions.remove::<Client>();
        if client.is_none() {
            warn_once(&NO_LISTENER, WITHOUT_LISTENER);
        }
        Some(Self { accept_key, on_upgrade, client })
    }

    /// The answer that makes it a WebSocket.
    pub(crate) fn response(&self, protocol: Option<&'static str>) -> Response {
        let headers = [
            (header::CONNECTION, "upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_ACCEPT, self.accept_key.as_str()),
        ];
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response();
        if let Some(protocol) = protocol {
            let value = HeaderValue::from_static(protocol);
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        response
    }

    /// Waits until `hyper` lets go of the socket and takes it over, with what the client sent ahead of our
    /// answer. `None` when the client is gone.
    pub(crate) async fn socket(self) -> Option<(Socket, Bytes, Option<Client>)> {
        let (socket, leftover) = take_over(self.on_upgrade.await.ok()?);
        Some((socket, leftover, self.client))
    }
}

/// Whether a client offers a subprotocol.
pub(crate) fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    offered.flat_map(|v| v.split(',')).any(|v| v.trim() == protocol)
}

/// Shows that a key was read as one of WebSocket's (RFC 6455 §4.2.2).
fn accept_of(key: &[u8]) -> String {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(GUID);
    STANDARD.encode(digest.finish())
}

fn take_over(upgraded: Upgraded) -> (Socket, Bytes) {
    // Our own listener's.
    let upgraded = match upgraded.downcast::<TokioIo<Socket>>() {
        Ok(parts) => return (parts.io.into_inner(), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    // That of `axum::serve` over TCP.
    match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => (Socket::of_another_listener(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => {
            warn_once(&NOT_TAKEN_OVER, NOT_A_SOCKET);
            (Socket::through_hyper(upgraded), Bytes::new())
        }
    }
}

fn warn_once(once: &'static Once, missing: &'static str) {
    once.call_once(|| tracing::warn!(missing, "mounted in another service"));
}

static NO_LISTENER: Once = Once::new();
static NOT_TAKEN_OVER: Once = Once::new();

const WITHOUT_LISTENER: &str =
    "limits and caps by address, the cap on strangers, the deadline for headers: those are that service's";
const NOT_A_SOCKET: &str = "a socket that can be taken over: every message is copied once more";

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// 16 bytes as base64 (RFC 6455 §4.1).
const KEY_CHARACTERS: usize = 24;

#[cfg(test)]
mod tests {
    #[test]
    fn an_accept_is_that_of_rfc_6455() {
        assert_eq!(super::accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
