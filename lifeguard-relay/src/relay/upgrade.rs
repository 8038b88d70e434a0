//! From an HTTP request to a WebSocket of our own.
//!
//! axum's own upgrade hides the socket behind buffers of its choosing. Here the raw stream comes back out
//! of `hyper`, together with what the client has sent ahead, and `hyper`'s buffers are let go.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Query, Request, State},
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::{SUBPROTOCOL, token::FallbackToken};
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    Shared, greet,
    peer::{Buffers, WebSocket},
    pulse::Pulse,
    refusal::{HandshakeRefused, HttpRefused},
};
use crate::listen::{Client, Socket};

/// `GET /v2/ws`: the token comes with the hello, not with the URL.
pub(super) async fn v2(State(relay): State<Arc<Shared>>, mut request: Request) -> Response {
    let upgrade = prepare(&relay, &mut request).and_then(|upgrade| {
        if offers(request.headers(), SUBPROTOCOL) { Ok(upgrade) } else { Err(HttpRefused::Subprotocol) }
    });
    match upgrade {
        Err(refused) => relay.refuse(refused),
        Ok(upgrade) => {
            let answer = switching_protocols(&upgrade, Some(SUBPROTOCOL));
            relay.tasks.spawn(greet::v2(relay.clone(), upgrade));
            answer
        }
    }
}

/// The query of a v1 upgrade.
#[derive(Deserialize)]
pub(super) struct V1Query {
    token: Option<FallbackToken>,
}

/// `GET /ws?token=…`: the deployed wire. A bad token is refused before the upgrade.
pub(super) async fn v1(
    State(relay): State<Arc<Shared>>,
    query: Result<Query<V1Query>, axum::extract::rejection::QueryRejection>,
    mut request: Request,
) -> Response {
    if !relay.config.v1 {
        return relay.refuse(HttpRefused::V1Off);
    }
    let upgrade = match prepare(&relay, &mut request) {
        Ok(upgrade) => upgrade,
        Err(refused) => return relay.refuse(refused),
    };
    let token = query.ok().and_then(|query| query.0.token).unwrap_or_else(|| FallbackToken::new(""));
    match relay.admission.admit(&token).await {
        Err(HandshakeRefused::Paused) => relay.refuse(HttpRefused::Paused),
        Err(refused) => {
            relay.refused_handshake(&refused);
            HttpRefused::Token(refused.label()).into_response()
        }
        Ok(claims) => {
            let answer = switching_protocols(&upgrade, None);
            relay.tasks.spawn(greet::v1(relay.clone(), upgrade, claims));
            answer
        }
    }
}

/// A request that will become a socket once its answer is out.
pub(super) struct Upgrade {
    accept_key: String,
    on_upgrade: OnUpgrade,
    pub(super) client: Client,
}

impl Upgrade {
    /// Waits until `hyper` lets go of the socket and takes it over. `None` when the client is gone.
    pub(super) async fn socket(
        self,
        relay: &Shared,
        max_message: usize,
    ) -> Option<(WebSocket, Arc<Pulse>, Client)> {
        let upgraded = self.on_upgrade.await.ok()?;
        // Always this type: the accept loop puts nothing else under the connection.
        let parts = upgraded.downcast::<TokioIo<Socket>>().ok()?;
        let pulse = Pulse::new(relay.clock);
        let buffers =
            Buffers { read: relay.config.read_buffer, write: relay.config.write_buffer, max_message };
        let path = relay.config.data_path;
        let ws = WebSocket::open(path, parts.io.into_inner(), parts.read_buf, pulse.clone(), buffers).await;
        Some((ws, pulse, self.client))
    }
}

/// Checks everything that does not depend on the wire (RFC 6455 §4.2.1, and our own limits).
fn prepare(relay: &Shared, request: &mut Request) -> Result<Upgrade, HttpRefused> {
    let headers = request.headers();
    let is = |name, value: &str| {
        let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(value))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_CHARACTERS);
    let (true, true, true, Some(key)) = (
        is(header::CONNECTION, "upgrade"),
        is(header::UPGRADE, "websocket"),
        is(header::SEC_WEBSOCKET_VERSION, "13"),
        key,
    ) else {
        return Err(HttpRefused::NotWebSocket);
    };
    let accept_key = derive_accept_key(key.as_bytes());
    if !origin_allowed(headers, &relay.config.allowed_origins) {
        return Err(HttpRefused::Origin);
    }
    let extensions = request.extensions_mut();
    let client = extensions.get::<Client>().cloned().ok_or(HttpRefused::NotWebSocket)?;
    let on_upgrade = extensions.remove::<OnUpgrade>().ok_or(HttpRefused::NotWebSocket)?;
    if !relay.by_address.admit(client.address) {
        return Err(HttpRefused::RateLimited);
    }
    if relay.is_draining() {
        return Err(HttpRefused::Draining);
    }
    Ok(Upgrade { accept_key, on_upgrade, client })
}

/// Browsers always send `Origin`, and cannot forge it; nobody else needs to. Exact matches only.
fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => allowed.iter().any(|allowed| origin.as_bytes() == allowed.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    offered.flat_map(|v| v.split(',')).any(|v| v.trim() == protocol)
}

fn switching_protocols(upgrade: &Upgrade, protocol: Option<&'static str>) -> Response {
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, upgrade.accept_key.as_str()),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response();
    if let Some(protocol) = protocol {
        let value = http::HeaderValue::from_static(protocol);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    response
}

/// 16 bytes as base64 (RFC 6455 §4.1).
const KEY_CHARACTERS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        origin_allowed(&headers, &["https://beach.sh".to_owned()])
    }

    #[test]
    fn origins_match_exactly_or_not_at_all() {
        assert!(allowed(&[]));
        assert!(allowed(&["https://beach.sh"]));
        for other in [
            "null",
            "http://beach.sh",
            "https://beach.sh:8443",
            "https://beach.sh.evil.test",
            "https://evil-beach.sh",
            "https://sub.beach.sh",
            "https://beach.sh/",
            "HTTPS://BEACH.SH",
            "",
        ] {
            assert!(!allowed(&[other]), "{other:?}");
        }
        assert!(!allowed(&["https://beach.sh", "https://beach.sh"]));
    }
}
