//! What a control plane goes by when it mints, kept where relays can read it: a spare token is checked by the same rules when
//! it is used, and the control plane may be gone by then.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{control::RolloutConfig, store::Store, telemetry::metrics::Metrics};

/// To whom the fallback is rolled out, and when a cohort has used up its activations. Fields of a later release are read
/// over, so that releases can share a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Whether it is rolled out at all.
    pub enabled: bool,
    /// To whom.
    pub rollout: RolloutConfig,
    /// How often.
    pub budget: Budget,
}

impl Rules {
    /// Whether a session of `cohort` may use the fallback.
    pub fn is_rolled_out(&self, cohort: &str, session: Uuid) -> bool {
        self.enabled && self.rollout.includes(cohort, session)
    }
}

/// How many of a cohort's sessions may use the fallback in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The share beyond which activations alert, 0 to 1.
    pub threshold: f64,
    /// The share at which the cohort is paused; `None` for never.
    pub pause_at: Option<f64>,
}

/// Keeps a control plane's rules in the store until `stop`, again and again: a store may lose its memory. The newest of
/// several control planes counts, as it does for what they mint.
pub(crate) async fn publish(
    rules: Rules,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut again = interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = again.tick() => {}
        }
        if store.set_rules(&rules).await.is_err() {
            metrics.store_failed("rules");
        }
    }
}

/// Between two writes: how long a relay may know nothing after its store lost its memory.
const AGAIN: Duration = Duration::from_secs(30);
/// How long rules stand that nobody renews: as long as a session that nobody renews.
pub(crate) const LIFE: Duration = Duration::from_secs(24 * 3_600);
