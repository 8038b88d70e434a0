//! A store for tests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use beach_lifeguard_client::session::SessionDocument;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{Bucket, Counted, Counts, MemoryStore, Published, Seed, Store, StoreError, Totals};
use crate::{kill_switch::state::SwitchState, rules::Rules};

/// A memory store that can be away, or lose its memory.
#[derive(Debug, Default)]
pub(crate) struct Flaky {
    inner: Mutex<Arc<MemoryStore>>,
    /// Whether it answers nobody.
    pub(crate) away: AtomicBool,
}

impl Flaky {
    pub(crate) fn forget(&self) {
        *self.inner.lock() = Arc::default();
    }

    fn inner(&self) -> Result<Arc<MemoryStore>, StoreError> {
        if self.away.load(Relaxed) { Err(StoreError::Unavailable) } else { Ok(self.inner.lock().clone()) }
    }
}

#[async_trait]
impl Store for Flaky {
    async fn publish(
        &self,
        document: &Arc<SessionDocument>,
        life: Duration,
    ) -> Result<Published, StoreError> {
        self.inner()?.publish(document, life).await
    }

    async fn session(&self, id: Uuid) -> Result<Option<Arc<SessionDocument>>, StoreError> {
        self.inner()?.session(id).await
    }

    async fn spend_nonce(&self, nonce: [u8; 16], life: Duration) -> Result<bool, StoreError> {
        self.inner()?.spend_nonce(nonce, life).await
    }

    async fn spend_jti(&self, jti: Uuid, life: Duration) -> Result<bool, StoreError> {
        self.inner()?.spend_jti(jti, life).await
    }

    async fn count(&self, cohort: &str, bucket: &Bucket, what: Counted) -> Result<Counts, StoreError> {
        self.inner()?.count(cohort, bucket, what).await
    }

    async fn switch(&self) -> Result<SwitchState, StoreError> {
        self.inner()?.switch().await
    }

    async fn set_switch(&self, state: &SwitchState) -> Result<SwitchState, StoreError> {
        self.inner()?.set_switch(state).await
    }

    async fn set_rules(&self, rules: &Rules) -> Result<(), StoreError> {
        self.inner()?.set_rules(rules).await
    }

    async fn rules(&self) -> Result<Option<Rules>, StoreError> {
        self.inner()?.rules().await
    }

    async fn ticket_seed(&self, fresh: &Seed) -> Result<Seed, StoreError> {
        self.inner()?.ticket_seed(fresh).await
    }

    async fn add_totals(&self, batch: Uuid, totals: &Totals) -> Result<(), StoreError> {
        self.inner()?.add_totals(batch, totals).await
    }
}
