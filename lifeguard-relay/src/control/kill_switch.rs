//! The operator's emergency stop: live state, for everybody or for one cohort, effective within seconds on
//! every node.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    store::{Store, StoreError},
    telemetry::metrics::Metrics,
};

/// What the operator orders. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// No new tokens. Who holds one may still come in.
    PauseMinting,
    /// Nobody new comes in. Who is inside stays.
    RefuseNew,
    /// Who is inside is asked to leave, spread over time.
    Drain,
    /// Who is inside is cut off.
    Stop,
}

impl Verb {
    /// Every verb, the mildest first.
    pub const ALL: [Verb; 4] = [Verb::PauseMinting, Verb::RefuseNew, Verb::Drain, Verb::Stop];

    /// Returns its name on the wire and in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PauseMinting => "pause_minting",
            Self::RefuseNew => "refuse_new",
            Self::Drain => "drain",
            Self::Stop => "stop",
        }
    }
}

/// One order, with who gave it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// What is ordered.
    pub verb: Verb,
    /// Why, for whoever reads it at 3 a.m.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When, Unix seconds.
    pub since: u64,
}

/// The whole switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchState {
    /// The order for everybody.
    pub everybody: Option<Pause>,
    /// Orders for single cohorts.
    pub cohorts: BTreeMap<String, Pause>,
    /// What was ordered before, newest last, at most [`AUDIT`].
    pub audit: Vec<Audit>,
}

/// One use of the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// When, Unix seconds.
    pub at: u64,
    /// Who.
    pub by: String,
    /// Which cohort; `None` for everybody.
    pub cohort: Option<String>,
    /// What was ordered; `None` when the order was lifted.
    pub verb: Option<Verb>,
    /// Why.
    pub reason: String,
}

impl SwitchState {
    /// The strongest order that concerns `cohort`.
    pub fn order(&self, cohort: &str) -> Option<&Pause> {
        self.everybody.iter().chain(self.cohorts.get(cohort)).max_by_key(|pause| pause.verb)
    }
}

/// This node's view of the switch. Clones share it.
#[derive(Debug, Clone)]
pub struct KillSwitch {
    state: Arc<watch::Sender<SwitchState>>,
    store: Option<Arc<dyn Store>>,
}

impl KillSwitch {
    /// Starts with nothing ordered, or with minting paused. With a store, every node that
    /// [follows](Self::follow) it sees the same.
    pub fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { state: Arc::new(watch::Sender::new(SwitchState::default())), store }
    }

    /// Returns the switch as this node sees it.
    pub fn state(&self) -> SwitchState {
        self.state.borrow().clone()
    }

    /// Wakes whoever must act on a change.
    pub fn subscribe(&self) -> watch::Receiver<SwitchState> {
        self.state.subscribe()
    }

    /// Whether no token may be minted for `cohort`.
    pub fn pauses_minting(&self, cohort: &str) -> bool {
        self.is_at_least(cohort, Verb::PauseMinting)
    }

    /// Whether nobody new of `cohort` may come in.
    pub fn refuses_new(&self, cohort: &str) -> bool {
        self.is_at_least(cohort, Verb::RefuseNew)
    }

    /// Whether those of `cohort` who are inside are asked to leave.
    pub fn is_draining(&self, cohort: &str) -> bool {
        self.is_at_least(cohort, Verb::Drain)
    }

    /// Whether those of `cohort` who are inside are cut off.
    pub fn is_stopped(&self, cohort: &str) -> bool {
        self.is_at_least(cohort, Verb::Stop)
    }

    fn is_at_least(&self, cohort: &str, verb: Verb) -> bool {
        self.state.borrow().order(cohort).is_some_and(|pause| pause.verb >= verb)
    }

    /// Orders `verb` for `cohort` or for everybody, or lifts the order. Takes effect here at once, and
    /// elsewhere when the other nodes look.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it stands on this node, the others have not been told.
    pub async fn set(
        &self,
        cohort: Option<&str>,
        verb: Option<Verb>,
        by: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let shorten = |text: &str| text.chars().filter(|c| !c.is_control()).take(TEXT).collect::<String>();
        let (by, reason) = (shorten(by), shorten(reason));
        self.state.send_modify(|state| {
            let pause = verb.map(|verb| Pause { verb, reason: reason.clone(), by: by.clone(), since: at });
            match (cohort, pause) {
                (None, pause) => state.everybody = pause,
                (Some(cohort), Some(pause)) if state.cohorts.len() < COHORTS => {
                    state.cohorts.insert(cohort.to_owned(), pause);
                }
                (Some(cohort), _) => {
                    state.cohorts.remove(cohort);
                }
            }
            if state.audit.len() >= AUDIT {
                state.audit.remove(0);
            }
            state.audit.push(Audit {
                at,
                by: by.clone(),
                cohort: cohort.map(str::to_owned),
                verb,
                reason: reason.clone(),
            });
        });
        tracing::warn!(verb = verb.map_or("lifted", Verb::label), by, reason, "kill switch");
        let state = self.state();
        match &self.store {
            Some(store) => {
                timeout(DEADLINE, store.set_switch(&state)).await.unwrap_or(Err(StoreError::Unavailable))
            }
            None => Ok(()),
        }
    }

    /// Reads the store every second until `stop`; while it does not answer, the last state stands.
    pub async fn follow(self, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if let Some(store) = &self.store {
                match timeout(DEADLINE, store.switch()).await {
                    Ok(Ok(state)) => {
                        read = Instant::now();
                        self.state.send_if_modified(|old| {
                            let changed = *old != state;
                            *old = state;
                            changed
                        });
                    }
                    Ok(Err(_)) | Err(_) => metrics.store_failed("switch"),
                }
            }
            metrics.kill_switch_age(read.elapsed());
            let state = self.state.borrow();
            let on = |verb: &'static str| {
                state.everybody.as_ref().is_some_and(|pause| {
                    Verb::ALL.iter().any(|known| known.label() == verb && pause.verb >= *known)
                })
            };
            metrics.kill_switch(on, state.cohorts.len());
        }
    }
}

/// Between two looks: with the store's deadline well below the 5 s that are promised.
const LOOK: Duration = Duration::from_secs(1);
/// How long the store may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Uses of the switch that are remembered.
const AUDIT: usize = 64;
/// Cohorts that may have an order of their own.
const COHORTS: usize = 256;
/// Characters of a name or reason.
const TEXT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_verb_includes_the_milder_ones_and_a_cohort_has_its_own() {
        let switch = KillSwitch::new(None);
        switch.set(Some("beta"), Some(Verb::RefuseNew), "op", "trying").await.unwrap();
        assert!(switch.pauses_minting("beta") && switch.refuses_new("beta") && !switch.is_draining("beta"));
        assert!(!switch.pauses_minting("public"));
        switch.set(None, Some(Verb::PauseMinting), "op", "incident").await.unwrap();
        assert!(switch.pauses_minting("public") && !switch.refuses_new("public"));
        assert!(switch.refuses_new("beta"), "the stronger order counts");
        switch.set(None, None, "op", "over").await.unwrap();
        assert!(!switch.pauses_minting("public"));
        let verbs: Vec<_> = switch.state().audit.iter().map(|audit| audit.verb).collect();
        assert_eq!(verbs, [Some(Verb::RefuseNew), Some(Verb::PauseMinting), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_node_sees_it_within_five_seconds_and_keeps_it_when_the_store_forgets() {
        let store: Arc<dyn Store> = Arc::new(crate::store::MemoryStore::new());
        let (here, there) = (KillSwitch::new(Some(store.clone())), KillSwitch::new(Some(store)));
        let stop = CancellationToken::new();
        tokio::spawn(there.clone().follow(Arc::new(Metrics::new()), stop.clone()));
        here.set(None, Some(Verb::Stop), "op", "incident").await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(there.is_stopped("anything"));
        stop.cancel();
    }
}
