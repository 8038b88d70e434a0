//! The operator's emergency stop: live state, for everybody or for one cohort, effective within seconds on
//! every node.

pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::state::{Audit, Pause, SwitchState, Verb};
use crate::{
    store::{Store, StoreError},
    telemetry::metrics::Metrics,
};

/// This node's view of the switch. Clones share it.
///
/// An order takes effect here at once and is then agreed on with the store, which every node
/// [follows](Self::follow). While the store is away orders wait; a store that comes back empty is told what
/// stood before.
#[derive(Debug, Clone)]
pub struct KillSwitch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: watch::Sender<SwitchState>,
    store: Option<Arc<dyn Store>>,
    book: Mutex<Book>,
    /// Held while this node talks with the store about it.
    agreeing: tokio::sync::Mutex<()>,
}

/// What this node knows beside the state it acts on.
#[derive(Debug, Default)]
struct Book {
    /// What the store last said.
    agreed: SwitchState,
    /// Orders given here that the store has not taken yet, oldest first; at most [`UNSAVED`].
    unsaved: Vec<Audit>,
    /// What the configuration orders, as long as nobody in the deployment has ordered anything.
    initial: Option<Audit>,
}

impl KillSwitch {
    /// Starts with nothing ordered. With a store, every node that [follows](Self::follow) it sees the
    /// same.
    pub fn new(store: Option<Arc<dyn Store>>) -> Self {
        let state = watch::Sender::new(SwitchState::default());
        Self(Arc::new(Inner {
            state,
            store,
            book: Mutex::default(),
            agreeing: tokio::sync::Mutex::default(),
        }))
    }

    /// A switch of this process alone.
    pub fn local() -> Self {
        Self::new(None)
    }

    /// Begins with minting paused, unless the store knows of an order: that one is newer than any
    /// configuration file.
    #[must_use]
    pub fn initially_paused(self, source: &str) -> Self {
        let order = Audit::now(None, Some(Verb::PauseMinting), "configuration", source);
        self.0.state.send_modify(|state| state.apply(&order));
        self.0.book.lock().initial = Some(order);
        self
    }

    /// Returns the switch as this node sees it.
    pub fn state(&self) -> SwitchState {
        self.0.state.borrow().clone()
    }

    /// Wakes whoever must act on a change.
    pub fn subscribe(&self) -> watch::Receiver<SwitchState> {
        self.0.state.subscribe()
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
        self.0.state.borrow().order(cohort).is_some_and(|pause| pause.verb >= verb)
    }

    /// Orders `verb` for `cohort` or for everybody, or lifts the order. Takes effect here at once, and
    /// elsewhere when the other nodes look.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]: too many cohorts have an order; nothing was changed.
    /// [`StoreError::Unavailable`]: it stands on this node, and the others will hear of it when the store
    /// answers again.
    pub async fn set(
        &self,
        cohort: Option<&str>,
        verb: Option<Verb>,
        by: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let cohort = cohort.map(str::trim);
        let order = Audit::now(cohort, verb, by, reason);
        if verb.is_some() && cohort.is_some_and(|cohort| !self.0.state.borrow().has_room_for(cohort)) {
            return Err(StoreError::Full);
        }
        {
            let mut book = self.0.book.lock();
            if self.0.store.is_some() {
                if book.unsaved.len() >= UNSAVED {
                    book.unsaved.remove(0);
                }
                book.unsaved.push(order.clone());
            }
            self.0.state.send_modify(|state| state.apply(&order));
        }
        let (what, by, reason) = (verb.map_or("lifted", Verb::label), &order.by, &order.reason);
        tracing::warn!(verb = what, by, reason, "kill switch");
        timeout(DEADLINE, self.agree()).await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// Looks at the store every second until `stop`; while it does not answer, the last state stands.
    pub async fn follow(self, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match timeout(DEADLINE, self.agree()).await {
                Ok(Ok(())) => read = Instant::now(),
                Ok(Err(_)) | Err(_) => metrics.store_failed("switch"),
            }
            metrics.kill_switch_age(read.elapsed());
            self.show(&metrics);
        }
    }

    /// Brings this node and the store to one state: what the store says, or what it said before it lost
    /// its memory, and this node's orders on top.
    async fn agree(&self) -> Result<(), StoreError> {
        let Some(store) = &self.0.store else { return Ok(()) };
        let _one_at_a_time = self.0.agreeing.lock().await;
        let mut stored = store.switch().await?;
        for _ in 0..TRIES {
            let next = self.next(&stored);
            let stands = if next == stored { stored } else { store.set_switch(&next).await? };
            if stands == next {
                self.publish(next);
                return Ok(());
            }
            // Another node was faster: its order first, ours on top.
            stored = stands;
        }
        Err(StoreError::Unavailable)
    }

    /// The state to agree on.
    fn next(&self, stored: &SwitchState) -> SwitchState {
        let book = self.0.book.lock();
        let forgetful = stored.revision < book.agreed.revision;
        let mut next = if forgetful { book.agreed.clone() } else { stored.clone() };
        if next.revision == 0 {
            book.initial.iter().for_each(|order| next.apply(order));
        }
        book.unsaved.iter().for_each(|order| next.apply(order));
        next
    }

    fn publish(&self, agreed: SwitchState) {
        let mut book = self.0.book.lock();
        book.unsaved.retain(|order| agreed.audit.iter().all(|known| known.id != order.id));
        book.initial = None;
        let mut now = agreed.clone();
        book.agreed = agreed;
        book.unsaved.iter().for_each(|order| now.apply(order));
        self.0.state.send_if_modified(|state| {
            let changed = *state != now;
            *state = now;
            changed
        });
    }

    fn show(&self, metrics: &Metrics) {
        let state = self.0.state.borrow();
        let on = |verb: &'static str| {
            state.everybody.as_ref().is_some_and(|pause| {
                Verb::ALL.iter().any(|known| known.label() == verb && pause.verb >= *known)
            })
        };
        metrics.kill_switch(on, state.cohorts.len());
    }
}

/// Between two looks: with the store's deadline well below the 5 s that are promised.
const LOOK: Duration = Duration::from_secs(1);
/// How long agreeing may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// How often another node may be faster before this one waits for its next look.
const TRIES: usize = 4;
/// Orders that may wait for the store.
const UNSAVED: usize = 64;
