//! The control plane: makes sessions known, lets their members meet, and mints the tokens that admit them
//! to a relay, as long as its guardrails say so. It never holds anything that opens a terminal.

mod auth;
mod config;
mod entitlement;
mod guardrail;
mod keys;
mod kill_switch;
mod limit;
mod membership;
mod refusal;
mod rollout;
mod signaling;
mod token;
mod turn;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    middleware::from_fn_with_state,
    routing::{get, post},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub use self::{
    config::{
        AutoPauseConfig, ConfigError, ControlConfig, EntitlementConfig, Mode, RolloutConfig, Secret, Stage,
        TurnConfig, UnknownName,
    },
    keys::TokenKeys,
    kill_switch::{Audit, KillSwitch, Pause, SwitchState, Verb},
};
use self::{entitlement::Entitlements, guardrail::Guardrail, limit::ByAddress, signaling::Rooms};
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
    entitlements: Entitlements,
    guardrail: Guardrail,
    by_address: ByAddress,
    rooms: Rooms,
}

impl ControlPlane {
    /// Puts it together. `stop` ends its signaling rooms and whatever else it runs. The settings have been
    /// [checked](ControlConfig::check). Needs a Tokio runtime.
    pub fn new(
        config: ControlConfig,
        store: Arc<dyn Store>,
        keys: TokenKeys,
        metrics: Arc<Metrics>,
        kill_switch: KillSwitch,
        stop: CancellationToken,
    ) -> Self {
        let rooms = Rooms::new(metrics.clone(), stop.clone());
        if let Some(patience) = config.auto_pause.unscraped_secs.map(Duration::from_secs) {
            let watch = guardrail::watch_telemetry(kill_switch.clone(), metrics.clone(), patience, stop);
            rooms.tasks().spawn(watch);
        }
        Self(Arc::new(Inner {
            entitlements: Entitlements::new(config.entitlement.clone(), metrics.clone()),
            guardrail: Guardrail::default(),
            by_address: ByAddress::new(config.requests_per_second),
            config,
            store,
            keys,
            metrics,
            kill_switch,
            rooms,
        }))
    }

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

    /// Waits until everything it runs has ended, which begins when the token it was made with is
    /// cancelled. Members of signaling rooms get their goodbye, within its own deadline.
    pub async fn ended(&self) {
        self.0.rooms.tasks().close();
        self.0.rooms.tasks().wait().await;
    }
}

async fn health(State(control): State<ControlPlane>) -> Json<serde_json::Value> {
    let paused = control.0.kill_switch.pauses_minting("");
    Json(json!({ "status": "ok", "fallback_paused": paused }))
}

const MAX_BODY_BYTES: usize = 16 * 1024;

/// How long the store may take. Beyond it, what the outage table says stands.
const STORE_DEADLINE: Duration = Duration::from_secs(2);
