//! The operator's address: metrics, debug page, kill switch, drain. Loopback unless configured otherwise,
//! never the public port.

mod command;
mod page;

use std::{net::IpAddr, sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use http::{Method, StatusCode, header, uri::Authority};
use parking_lot::Mutex;
use serde_json::json;

use crate::{app, kill_switch::KillSwitch, relay::Relay, telemetry::metrics::Metrics};

/// What the admin address shows and steers. Cheap to clone.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    /// A control plane by itself has none.
    relay: Option<Relay>,
    kill_switch: KillSwitch,
    metrics: Arc<Metrics>,
    ready: app::Readiness,
    token: Option<String>,
    hosts: Vec<String>,
    rates: Mutex<Rates>,
}

/// What was forwarded when somebody looked last, to show what happens per second.
#[derive(Debug, Clone, Copy)]
struct Rates {
    at: Instant,
    messages: u64,
    bytes: u64,
}

impl Admin {
    /// Puts it together. With `token`, every request must bear it. `hosts` are the names under which it may be asked,
    /// beside addresses and `localhost`.
    pub fn new(
        relay: Option<Relay>,
        kill_switch: KillSwitch,
        metrics: Arc<Metrics>,
        ready: app::Readiness,
        token: Option<String>,
        hosts: Vec<String>,
    ) -> Self {
        let rates = Mutex::new(Rates { at: Instant::now(), messages: 0, bytes: 0 });
        Self(Arc::new(Inner { relay, kill_switch, metrics, ready, token, hosts, rates }))
    }

    /// The routes of the admin address.
    pub fn router(&self) -> Router {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/debug", get(debug))
            .route("/debug/stats", get(stats))
            .route("/admin/{command}", post(command::run))
            .with_state(self.clone())
            .layer(from_fn_with_state(self.clone(), guard));
        app::public(routes, self.0.ready.clone())
    }

    fn forwarded(&self) -> (u64, u64) {
        let metrics = &self.0.metrics;
        (
            metrics.read("beach_lifeguard_messages_forwarded", &[]),
            metrics.read("beach_lifeguard_bytes_forwarded", &[]),
        )
    }

    /// Messages and bytes per second since somebody looked last.
    fn rates(&self) -> (f64, f64) {
        let (messages, bytes) = self.forwarded();
        let now = Rates { at: Instant::now(), messages, bytes };
        let before = std::mem::replace(&mut *self.0.rates.lock(), now);
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        (per_second(messages, before.messages), per_second(bytes, before.bytes))
    }
}

/// Who may ask. A web page in the operator's own browser can reach a loopback address, so nothing that
/// comes from a page may change anything: such a request has an `Origin`, and cannot have our content type
/// without asking first.
async fn guard(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let refuse = |status: StatusCode, why: &str| {
        (status, Json(json!({ "success": false, "message": why }))).into_response()
    };
    if !is_known_host(&request, &admin.0.hosts) {
        return refuse(
            StatusCode::MISDIRECTED_REQUEST,
            "the admin address is asked by its address, as localhost, or by a name of `admin.hosts`",
        );
    }
    if let Some(token) = &admin.0.token {
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        if aws_lc_rs::constant_time::verify_slices_are_equal(given, token.as_bytes()).is_err() {
            return refuse(StatusCode::UNAUTHORIZED, "the admin address wants its bearer token");
        }
    }
    if request.method() == Method::POST {
        let json = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if headers.contains_key(header::ORIGIN) || !json {
            return refuse(StatusCode::FORBIDDEN, "commands are JSON and do not come from web pages");
        }
    }
    next.run(request).await
}

/// Whether the request names this address by what only its operator would. A page can let a name of its own lead to a
/// loopback address and then read what is there, but it cannot make the browser send another name than its own.
fn is_known_host(request: &Request, hosts: &[String]) -> bool {
    let mut named = request.headers().get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
        (None, _) => request.uri().authority().cloned(),
        (Some(_), Some(_)) => None,
    };
    let Some(host) = host else { return false };
    let host = Authority::host(&host).trim_end_matches('.');
    let is_address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    is_address
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, admin.0.metrics.render()).into_response()
}

async fn debug(State(admin): State<Admin>) -> Response {
    // The page loads nothing and runs nothing; were it ever to show something hostile, it still could not.
    let policy = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (policy, Html(page::render(&admin))).into_response()
}

/// The prototype's keys, with pseudonyms for session ids, and what the above adds.
async fn stats(State(admin): State<Admin>) -> Json<serde_json::Value> {
    let (messages, bytes) = admin.forwarded();
    let switch = admin.0.kill_switch.state();
    let relay = admin.0.relay.as_ref().map(Relay::snapshot);
    let pool = match &admin.0.relay {
        Some(relay) => relay.pool().await,
        None => Vec::new(),
    };
    Json(json!({
        "active_sessions": relay.as_ref().map_or(0, |r| r.active_sessions),
        "active_connections": relay.as_ref().map_or(0, |r| r.active_connections),
        "total_connections": relay.as_ref().map_or(0, |r| r.total_connections),
        "total_messages_forwarded": messages,
        "total_bytes_forwarded": bytes,
        "passed_on": relay.as_ref().map_or(0, |r| r.passed_on),
        "passed_here": relay.as_ref().map_or(0, |r| r.passed_here),
        "queued_bytes": relay.as_ref().map_or(0, |r| r.queued_bytes),
        "largest_queue_bytes": relay.as_ref().map_or(0, |r| r.largest_queue_bytes),
        "phase": relay.as_ref().map(|r| r.phase),
        "ready": (admin.0.ready)().is_ok(),
        "kill_switch": switch,
        "pool": pool,
        "sessions": relay.map_or_else(Vec::new, |r| r.sessions),
    }))
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_its_operator_gave_it_are_answered() {
        let known = |uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            is_known_host(&request.body(axum::body::Body::empty()).unwrap(), &["relay-1.internal".to_owned()])
        };
        for host in [
            "127.0.0.1:9444",
            "127.0.0.1",
            "[::1]:9444",
            "10.1.2.3:9444",
            "localhost:9444",
            "LOCALHOST",
            "relay-1.internal",
        ] {
            assert!(known("/metrics", &[host]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9444",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "relay-1",
            "",
            "@",
        ] {
            assert!(!known("/metrics", &[host]), "{host}");
        }
        assert!(!known("/metrics", &[]), "HTTP/1.0 without a name");
        assert!(!known("/metrics", &["localhost", "evil.example"]));
        assert!(known("http://127.0.0.1:9444/metrics", &[]), "HTTP/2 names it in the address");
        assert!(!known("http://evil.example/metrics", &[]));
    }
}
