//! The control plane: makes sessions known, lets their members meet, and mints the tokens that admit them
//! to a relay, as long as its guardrails say so. It never holds anything that opens a terminal.

mod auth;
mod config;
mod entitlement;
mod guardrail;
mod keys;
mod limit;
mod membership;
mod plane;
mod refusal;
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
use serde_json::json;

pub use self::{
    config::{
        AutoPauseConfig, ConfigError, ControlConfig, DEFAULT_ISSUER, EntitlementConfig, Mode, RolloutConfig,
        Secret, Stage, TurnConfig, UnknownName,
    },
    keys::TokenKeys,
    plane::ControlPlane,
};

impl ControlPlane {
    /// The routes, to be mounted by this service or by another.
    pub fn router(&self) -> Router {
        let minting = Router::new()
            .route("/v1/fallback/token", post(token::mint))
            .route("/fallback/token", post(token::mint_v1))
            .route_layer(from_fn_with_state(self.clone(), auth::service));
        Router::new()
            .route("/v1/sessions", post(membership::register))
            .route("/v1/signaling/{session}", get(signaling::enter))
            .route("/turn/credentials", post(turn::credentials))
            .merge(minting)
            .route_layer(from_fn_with_state(self.clone(), limit::admit))
            // A request with a proof of the largest legal size is half of it.
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            // Not limited: whoever probes must hear the truth.
            .route("/health", get(health))
            .with_state(self.clone())
    }
}

async fn health(State(control): State<ControlPlane>) -> Json<serde_json::Value> {
    let paused = control.0.kill_switch.pauses_minting("");
    Json(json!({ "status": "ok", "fallback_paused": paused }))
}

const MAX_BODY_BYTES: usize = 16 * 1024;
