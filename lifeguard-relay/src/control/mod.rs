//! The control plane: makes sessions known, lets their members meet, and mints the tokens that admit them
//! to a relay, as long as its guardrails say so. It never holds anything that opens a terminal.

mod config;
mod keys;
mod kill_switch;
mod membership;
mod refusal;
mod signaling;
mod token;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::signaling::Rooms;
pub use self::{
    config::{ConfigError, ControlConfig},
    keys::TokenKeys,
    kill_switch::{Audit, KillSwitch, Pause, SwitchState, Verb},
};
use crate::{store::Store, telemetry::metrics::Metrics};

/// The control plane of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlPlane(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ControlConfig,
    store: Arc<dyn Store>,
    keys: TokenKeys,
    metrics: Arc<Metrics>,
    kill_switch: KillSwitch,
    rooms: Rooms,
}

impl ControlPlane {
    /// Puts it together. `stop` ends its signaling rooms.
    pub fn new(
        config: ControlConfig,
        store: Arc<dyn Store>,
        keys: TokenKeys,
        metrics: Arc<Metrics>,
        kill_switch: KillSwitch,
        stop: CancellationToken,
    ) -> Self {
        let rooms = Rooms::new(metrics.clone(), stop);
        Self(Arc::new(Inner { config, store, keys, metrics, kill_switch, rooms }))
    }

    /// The routes, to be mounted by this service or by another.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/sessions", post(membership::register))
            .route("/v1/fallback/token", post(token::mint))
            .route("/fallback/token", post(token::mint_v1))
            .route("/v1/signaling/{session}", get(signaling::enter))
            .route("/health", get(health))
            .with_state(self.clone())
    }
}

async fn health(State(control): State<ControlPlane>) -> Json<serde_json::Value> {
    let paused = control.0.kill_switch.pauses_minting("");
    Json(json!({ "status": "ok", "fallback_paused": paused }))
}

/// How long the store may take. Beyond it, what the outage table says stands.
const STORE_DEADLINE: Duration = Duration::from_secs(2);
