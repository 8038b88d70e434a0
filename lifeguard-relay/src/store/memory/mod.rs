//! The default store: this process's memory. Right for one node; forgotten at its end.

mod living;

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use beach_lifeguard_client::membership::Verifier;
use parking_lot::Mutex;
use uuid::Uuid;

use self::living::Living;
use super::{BUCKET_LIFE, Bucket, Counted, Counts, Registration, Store, StoreError, Totals, pseudonym};
use crate::kill_switch::state::SwitchState;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStore {
    sessions: Mutex<Living<Uuid, Verifier>>,
    nonces: Mutex<Living<[u8; 16], ()>>,
    tokens: Mutex<Living<Uuid, ()>>,
    hours: Mutex<Living<(String, Bucket), Hour>>,
    switch: Mutex<SwitchState>,
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
        Self::default()
    }

    /// What was added by [`add_totals`](Store::add_totals), without the sessions.
    pub fn totals(&self) -> Totals {
        self.totals.lock().clone()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn register_session(
        &self,
        session: Uuid,
        verifier: &Verifier,
        life: Duration,
    ) -> Result<Registration, StoreError> {
        let mut sessions = self.sessions.lock();
        match sessions.peek(&session) {
            Some(known) if known != verifier => return Ok(Registration::Conflict),
            Some(_) => {
                sessions.touch(&session, life);
                return Ok(Registration::Known);
            }
            None => {}
        }
        sessions.insert(session, verifier.clone(), life).map(|()| Registration::Created)
    }

    async fn verifier(&self, session: Uuid, life: Duration) -> Result<Option<Verifier>, StoreError> {
        Ok(self.sessions.lock().touch(&session, life).cloned())
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

/// How long a batch may be sent again.
const BATCH_LIFE: Duration = Duration::from_secs(600);
