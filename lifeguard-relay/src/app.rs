//! The public router and its tower stack, read from the outside in.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    error_handling::HandleErrorLayer,
    extract::{MatchedPath, State},
    routing::get,
};
use beach_lifeguard_client::CloseCode;
use http::{HeaderName, Method, StatusCode, header};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveHeadersLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tracing::Span;

use crate::{
    listen::{self, Connections, ListenConfig},
    relay::Relay,
};

/// Whether this process should be sent new work. Asked by `/readyz`.
pub type Readiness = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// The routes everybody may see, around whatever the process serves: the relay plane, the control plane,
/// or both.
pub fn public(routes: Router, ready: Readiness) -> Router {
    let health = Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(readyz))
        .with_state(ready);
    let stack = ServiceBuilder::new()
        // Each request gets a name of its own, so that a log line can be found without an identifier.
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        // Tokens and proofs must not reach a log by way of a header.
        .layer(SetSensitiveHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        // A span per request, and in it what became of the request.
        .layer(TraceLayer::new_for_http().make_span_with(span).on_response(answered))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        // A bug in one request is that request's 500 and nobody else's.
        .layer(CatchPanicLayer::new())
        // What load shedding and its limit report, as a status.
        .layer(HandleErrorLayer::new(|_| async { StatusCode::SERVICE_UNAVAILABLE }))
        // Beyond the next line's limit, say no at once: a queue of handshakes would only time out.
        .layer(LoadShedLayer::new())
        // Handshakes verify signatures: more of them at once than cores can serve help nobody.
        .layer(GlobalConcurrencyLimitLayer::new(CONCURRENT_REQUESTS))
        // A body that drips in must not hold a place for ever. An upgraded socket has left this stack.
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_DEADLINE))
        // Nothing we read over HTTP is larger.
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES));
    Router::new().merge(health).merge(routes).layer(stack)
}

/// Names the route, never the path: a session's id is in one, and a v1 client's token in another's query.
fn span<B>(request: &http::Request<B>) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    let method = method_label(request.method());
    tracing::debug_span!(
        "http",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    )
}

fn answered<B>(response: &http::Response<B>, _: Duration, span: &Span) {
    span.record("http.response.status_code", response.status().as_u16());
}

/// A method is any word a client likes; those that are not ours have one name.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        _ => "OTHER",
    }
}

/// Ready while the relay takes new peers.
pub fn relay_readiness(relay: &Relay) -> Readiness {
    let relay = relay.clone();
    Arc::new(move || relay.readiness())
}

/// Serves a relay plane alone, with health endpoints, until `stop`; then drains.
pub async fn serve_relay(
    relay: Relay,
    listener: TcpListener,
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    let (accept, config) = (CancellationToken::new(), ListenConfig::default());
    let app = public(relay.router(), relay_readiness(&relay));
    let tasks = TaskTracker::new();
    let serving = listen::serve(listener, None, app, config, connections, accept.clone(), tasks);
    let serving = tokio::spawn(serving);
    stop.cancelled().await;
    relay.drain(CloseCode::RESTART).await;
    accept.cancel();
    let _ = serving.await;
    relay.shutdown(CloseCode::RESTART).await;
}

async fn readyz(State(ready): State<Readiness>) -> (StatusCode, Json<serde_json::Value>) {
    match ready() {
        Ok(()) => (StatusCode::OK, Json(json!({ "status": "ok" }))),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": why }))),
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CONCURRENT_REQUESTS: usize = 1_024;
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
const MAX_BODY_BYTES: usize = 160 * 1024;
