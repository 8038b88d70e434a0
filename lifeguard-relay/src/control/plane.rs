//! The control plane's state: its settings, and what its routes share.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::ControlConfig,
    entitlement::Entitlements,
    keys::TokenKeys,
    relays::Relays,
    rooms::{self, Rooms},
};
use crate::{
    guardrail::{self, Guardrail},
    kill_switch::KillSwitch,
    limit::{ByAddress, Loopback, Rate},
    rules,
    store::Store,
    telemetry::metrics::Metrics,
};

/// The control plane of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlPlane(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: ControlConfig,
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: TokenKeys,
    pub(super) metrics: Arc<Metrics>,
    pub(super) kill_switch: KillSwitch,
    pub(super) entitlements: Entitlements,
    pub(super) guardrail: Guardrail,
    pub(super) by_address: ByAddress,
    pub(super) rooms: Rooms,
    pub(super) relays: Relays,
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
        let tasks = TaskTracker::new();
        let (pool, heard) = store.join_pool(&stop, &tasks).unzip();
        let rooms = Rooms::new(metrics.clone(), tasks, stop.clone(), pool);
        let relays = Relays::default();
        if rooms.is_pooled() {
            rooms.tasks().spawn(relays.clone().follow(store.clone(), stop.clone()));
        }
        rooms.tasks().spawn(rules::publish(config.rules(), store.clone(), metrics.clone(), stop.clone()));
        if let Some(patience) = config.auto_pause.unscraped_secs.map(Duration::from_secs) {
            let watch = guardrail::watch_telemetry(kill_switch.clone(), metrics.clone(), patience, stop);
            rooms.tasks().spawn(watch);
        }
        let per_second = config.requests_per_second;
        let rate = Rate { per_second, burst: per_second.saturating_mul(BURST) };
        let control = Self(Arc::new(Inner {
            entitlements: Entitlements::new(config.entitlement.clone(), metrics.clone()),
            guardrail: Guardrail::new(store.clone(), metrics.clone(), kill_switch.clone()),
            by_address: ByAddress::new(rate, Loopback::Exempt),
            config,
            store,
            keys,
            metrics,
            kill_switch,
            rooms,
            relays,
        }));
        if let Some(heard) = heard {
            control.0.rooms.tasks().spawn(rooms::listen(control.clone(), heard));
        }
        control
    }

    /// Waits until everything it runs has ended, which begins when the token it was made with is
    /// cancelled. Members of signaling rooms get their goodbye, within its own deadline.
    pub async fn ended(&self) {
        self.0.rooms.tasks().close();
        self.0.rooms.tasks().wait().await;
    }
}

/// Requests that may come at once, as seconds' worth of the rate: a page of viewers behind one address.
const BURST: u32 = 5;
