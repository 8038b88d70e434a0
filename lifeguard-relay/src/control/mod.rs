//! The control plane: makes sessions known, lets their members meet, and mints the tokens that admit them
//! to a relay, as long as its guardrails say so. It never holds anything that opens a terminal.

mod auth;
mod config;
mod entitlement;
mod keys;
mod limit;
mod membership;
mod plane;
mod refusal;
mod relays;
mod rescue;
mod rollout;
mod rooms;
mod signaling;
mod token;
mod turn;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    middleware::from_fn_with_state,
    routing::{get, post},
};
use beach_lifeguard_client::session::MAX_DOCUMENT_BYTES;
use serde_json::json;
use tower_http::limit::RequestBodyLimitLayer;

pub use self::{
    config::{
        AutoPauseConfig, ConfigError, ControlConfig, DEFAULT_ISSUER, EntitlementConfig, MOST_STUN_URLS, Mode,
        RolloutConfig, Secret, Stage, StunConfig, TurnConfig, UnknownName,
    },
    keys::TokenKeys,
    plane::ControlPlane,
};
use crate::cors::cross_origin;

impl ControlPlane {
    /// The routes, to be mounted by this service or by another.
    pub fn router(&self) -> Router {
        let minting = Router::new()
            .route("/v1/fallback/token", post(token::mint))
            .route("/fallback/token", post(token::mint_v1))
            .route_layer(from_fn_with_state(self.clone(), auth::service));
        let asking = Router::new()
            .route("/v1/signaling/{session}", get(signaling::enter))
            .route("/turn/credentials", post(turn::credentials))
            .merge(minting)
            // A request with a proof of the largest legal size is half of it.
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            // What says that it is much longer is not even read.
            .layer(RequestBodyLimitLayer::new(4 * MAX_BODY_BYTES));
        let routes = Router::new()
            .route("/v1/sessions", post(membership::publish))
            .layer(DefaultBodyLimit::max(MAX_DOCUMENT_BODY_BYTES))
            .merge(asking)
            .route_layer(from_fn_with_state(self.clone(), limit::admit))
            // Not limited: whoever probes must hear the truth.
            .route("/health", get(health))
            .with_state(self.clone());
        match cross_origin(&self.0.config.allowed_origins) {
            Some(pages) => routes.layer(pages),
            None => routes,
        }
    }
}

async fn health(State(control): State<ControlPlane>) -> Json<serde_json::Value> {
    let paused = control.0.kill_switch.pauses_minting("");
    Json(json!({ "status": "ok", "fallback_paused": paused }))
}

const MAX_BODY_BYTES: usize = 16 * 1024;

/// The largest document as base64url, and the JSON around it.
const MAX_DOCUMENT_BODY_BYTES: usize = MAX_DOCUMENT_BYTES.div_ceil(3) * 4 + 256;
