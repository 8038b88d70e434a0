//! The default store: this process's memory. Right for one node; forgotten at its end.

mod living;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use beach_lifeguard_client::session::SessionDocument;
use parking_lot::Mutex;
use uuid::Uuid;

use self::living::Living;
use super::{BUCKET_LIFE, Bucket, Counted, Counts, Published, Seed, Store, StoreError, Totals, pseudonym};
use crate::{kill_switch::state::SwitchState, rules::Rules};

/// See the module.
#[derive(Debug)]
pub struct MemoryStore {
    sessions: Mutex<Living<Uuid, Arc<SessionDocument>>>,
    nonces: Mutex<Living<[u8; 16], ()>>,
    tokens: Mutex<Living<Uuid, ()>>,
    hours: Mutex<Living<(String, Bucket), Hour>>,
    switch: Mutex<SwitchState>,
    rules: Mutex<Option<Rules>>,
    ticket_seed: Mutex<Option<Seed>>,
    batches: Mutex<Living<Uuid, ()>>,
    totals: Mutex<Totals>,
}

/// A cohort's counters, and who has been counted.
#[derive(Debug, Default)]
struct Hour {
    sessions: u64,
    activated: HashSet<[u8; 8]>,
}

impl MemoryStore {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self {
            sessions: Mutex::new(Living::weighing(weight, HEAVIEST)),
            nonces: Mutex::default(),
            tokens: Mutex::default(),
            hours: Mutex::default(),
            switch: Mutex::default(),
            rules: Mutex::default(),
            ticket_seed: Mutex::default(),
            batches: Mutex::default(),
            totals: Mutex::default(),
        }
    }

    /// What was added by [`add_totals`](Store::add_totals), without the sessions.
    pub fn totals(&self) -> Totals {
        self.totals.lock().clone()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// What a document takes, in bytes: roughly, and rather more.
fn weight(document: &Arc<SessionDocument>) -> usize {
    let kept: usize = document.links.iter().map(|link| link.kept.len()).sum();
    512 + document.links.len() * 128 + (kept + document.removed.len()) * 16
}

#[async_trait]
impl Store for MemoryStore {
    async fn publish(
        &self,
        document: &Arc<SessionDocument>,
        life: Duration,
    ) -> Result<Published, StoreError> {
        let (id, mut sessions) = (document.session_id, self.sessions.lock());
        let published = match sessions.peek(&id) {
            None => {
                sessions.insert(id, document.clone(), life)?;
                return Ok(Published::Created);
            }
            Some(known) if known == document => Published::Known,
            Some(known) if known.revision >= document.revision => return Ok(Published::Stale),
            Some(_) => {
                sessions.replace(&id, document.clone())?;
                Published::Updated
            }
        };
        sessions.keep(&id, life);
        Ok(published)
    }

    async fn session(&self, session: Uuid) -> Result<Option<Arc<SessionDocument>>, StoreError> {
        Ok(self.sessions.lock().peek(&session).cloned())
    }

    async fn spend_nonce(&self, nonce: [u8; 16], life: Duration) -> Result<bool, StoreError> {
        self.nonces.lock().spend(nonce, life)
    }

    async fn spend_jti(&self, jti: Uuid, life: Duration) -> Result<bool, StoreError> {
        self.tokens.lock().spend(jti, life)
    }

    async fn count(&self, cohort: &str, bucket: &Bucket, what: Counted) -> Result<Counts, StoreError> {
        let key = (cohort.to_owned(), bucket.clone());
        let mut hours = self.hours.lock();
        if hours.peek(&key).is_none() {
            hours.insert(key.clone(), Hour::default(), BUCKET_LIFE)?;
        }
        let Some(hour) = hours.touch(&key, BUCKET_LIFE) else { return Err(StoreError::Full) };
        match what {
            Counted::Session => hour.sessions += 1,
            Counted::Activation(_) if hour.activated.len() >= MOST_ACTIVATIONS => {
                return Err(StoreError::Full);
            }
            Counted::Activation(session) => {
                hour.activated.insert(pseudonym(session));
            }
        }
        Ok(Counts { activations: hour.activated.len() as u64, sessions: hour.sessions })
    }

    async fn switch(&self) -> Result<SwitchState, StoreError> {
        Ok(self.switch.lock().clone())
    }

    async fn set_switch(&self, state: &SwitchState) -> Result<SwitchState, StoreError> {
        let mut stands = self.switch.lock();
        if state.revision > stands.revision {
            stands.clone_from(state);
        }
        Ok(stands.clone())
    }

    async fn set_rules(&self, rules: &Rules) -> Result<(), StoreError> {
        *self.rules.lock() = Some(rules.clone());
        Ok(())
    }

    async fn rules(&self) -> Result<Option<Rules>, StoreError> {
        Ok(self.rules.lock().clone())
    }

    async fn ticket_seed(&self, fresh: &Seed) -> Result<Seed, StoreError> {
        Ok(self.ticket_seed.lock().get_or_insert_with(|| fresh.clone()).clone())
    }

    async fn add_totals(&self, batch: Uuid, totals: &Totals) -> Result<(), StoreError> {
        if self.batches.lock().spend(batch, BATCH_LIFE)? {
            let mut sum = self.totals.lock();
            sum.connections += totals.connections;
            sum.messages += totals.messages;
            sum.bytes += totals.bytes;
        }
        Ok(())
    }
}

/// Activations of one cohort in one hour that are told apart: 16 MB.
const MOST_ACTIVATIONS: usize = 1 << 20;

/// All documents together: 256 MiB.
const HEAVIEST: usize = 256 << 20;

/// How long a batch may be sent again.
const BATCH_LIFE: Duration = Duration::from_secs(600);
