//! The two addresses clients connect to: what is checked before the upgrade.

use std::sync::Arc;

use axum::{
    extract::{Query, Request, State},
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::{
    SUBPROTOCOL,
    token::{Capability, FallbackToken},
};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;

use super::{
    core::Core,
    greet,
    refusal::{HandshakeRefused, HttpRefused},
};
use crate::{
    listen::Client,
    upgrade::{Upgrade, offers},
};

/// `GET /v2/ws`: the token comes with the hello, not with the URL.
pub(super) async fn v2(State(relay): State<Arc<Core>>, mut request: Request) -> Response {
    let upgrade = prepare(&relay, &mut request).and_then(|upgrade| {
        if offers(request.headers(), SUBPROTOCOL) { Ok(upgrade) } else { Err(HttpRefused::Subprotocol) }
    });
    match upgrade {
        Err(refused) => relay.refuse(refused),
        Ok(upgrade) => {
            let answer = upgrade.response(Some(SUBPROTOCOL));
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
    State(relay): State<Arc<Core>>,
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
    match relay.admission.admit(&token, Capability::V1).await {
        Err(HandshakeRefused::Paused) => relay.refuse(HttpRefused::Paused),
        Err(refused) => {
            relay.refused_handshake(&refused);
            HttpRefused::Token(refused.label()).into_response()
        }
        Ok(claims) => {
            let answer = upgrade.response(None);
            relay.tasks.spawn(greet::v1(relay.clone(), upgrade, claims));
            answer
        }
    }
}

/// Checks everything that does not depend on the wire.
fn prepare(relay: &Core, request: &mut Request) -> Result<Upgrade, HttpRefused> {
    let upgrade = Upgrade::from_request(request).ok_or(HttpRefused::NotWebSocket)?;
    may_connect(relay, request.headers(), upgrade.client.as_ref())?;
    Ok(upgrade)
}

/// Checks everything that does not depend on what carries the bytes.
pub(super) fn may_connect(
    relay: &Core,
    headers: &HeaderMap,
    client: Option<&Client>,
) -> Result<(), HttpRefused> {
    if !origin_allowed(headers, &relay.config.allowed_origins) {
        return Err(HttpRefused::Origin);
    }
    // Without a listener of ours nobody knows the address, and the limit is that service's business.
    if client.is_some_and(|client| !relay.by_address.admits(client.address)) {
        return Err(HttpRefused::RateLimited);
    }
    if relay.is_draining() {
        return Err(HttpRefused::Draining);
    }
    Ok(())
}

/// Browsers always send `Origin`, and cannot forge it; nobody else needs to. Exact matches only: of the list, or of the
/// host that is asked, whose page it is then.
fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => {
            allowed.iter().any(|allowed| origin.as_bytes() == allowed.as_bytes()) || is_own(origin, headers)
        }
        (Some(_), Some(_)) => false,
    }
}

/// Whether the page came from the host that it asks. TLS may end before this service, so its scheme does not count.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let site = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    site.is_some_and(|(scheme, site)| {
        matches!(scheme, "http" | "https") && !site.is_empty() && Some(site.as_bytes()) == host
    })
}

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
    fn a_page_of_the_host_that_is_asked_needs_no_entry() {
        let from = |origin: &str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.append(header::ORIGIN, origin.parse().unwrap());
            headers.append(header::HOST, host.parse().unwrap());
            origin_allowed(&headers, &[])
        };
        assert!(from("https://beach.sh", "beach.sh"));
        assert!(from("http://127.0.0.1:9443", "127.0.0.1:9443"));
        for (origin, host) in [
            ("https://evil.test", "beach.sh"),
            ("https://beach.sh:8443", "beach.sh"),
            ("https://beach.sh.evil.test", "beach.sh"),
            ("ftp://beach.sh", "beach.sh"),
            ("null", "null"),
            ("https://", ""),
        ] {
            assert!(!from(origin, host), "{origin} asks {host}");
        }
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
