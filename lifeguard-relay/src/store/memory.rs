//! The default store: this process's memory. Right for one node; forgotten at its end.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use beach_lifeguard_client::membership::Verifier;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{Bucket, Counted, Counts, Registration, Store, StoreError};
use crate::control::SwitchState;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStore {
    sessions: Mutex<Living<Uuid, Verifier>>,
    nonces: Mutex<Living<[u8; 16], ()>>,
    tokens: Mutex<Living<Uuid, ()>>,
    counts: Mutex<Living<(String, Bucket), Counts>>,
    switch: Mutex<SwitchState>,
}

impl MemoryStore {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self::default()
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
        match sessions.touch(&session, life) {
            Some(known) if known == verifier => Ok(Registration::Known),
            Some(_) => Ok(Registration::Conflict),
            None => sessions.insert(session, verifier.clone(), life).map(|()| Registration::Created),
        }
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
        let mut counts = self.counts.lock();
        if counts.touch(&key, BUCKET_LIFE).is_none() {
            counts.insert(key.clone(), Counts::default(), BUCKET_LIFE)?;
        }
        let Some(counts) = counts.touch(&key, BUCKET_LIFE) else { return Err(StoreError::Full) };
        match what {
            Counted::Session => counts.sessions += 1,
            Counted::Activation => counts.activations += 1,
        }
        Ok(*counts)
    }

    async fn switch(&self) -> Result<SwitchState, StoreError> {
        Ok(self.switch.lock().clone())
    }

    async fn set_switch(&self, state: &SwitchState) -> Result<(), StoreError> {
        self.switch.lock().clone_from(state);
        Ok(())
    }
}

/// A map whose entries end. Bounded: when full of living entries it refuses.
#[derive(Debug)]
struct Living<K, V>(HashMap<K, (V, Instant)>);

impl<K, V> Default for Living<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Living<K, V> {
    fn touch(&mut self, key: &K, life: Duration) -> Option<&mut V> {
        let now = Instant::now();
        let (value, ends) = self.0.get_mut(key).filter(|(_, ends)| *ends > now)?;
        *ends = now + life;
        Some(value)
    }

    fn insert(&mut self, key: K, value: V, life: Duration) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.0.len() >= MOST {
            self.0.retain(|_, (_, ends)| *ends > now);
            if self.0.len() >= MOST {
                return Err(StoreError::Full);
            }
        }
        self.0.insert(key, (value, now + life));
        Ok(())
    }
}

impl<K: Eq + Hash> Living<K, ()> {
    fn spend(&mut self, key: K, life: Duration) -> Result<bool, StoreError> {
        let now = Instant::now();
        if self.0.get(&key).is_some_and(|((), ends)| *ends > now) {
            return Ok(false);
        }
        self.insert(key, (), life).map(|()| true)
    }
}

/// How long a guardrail bucket is kept: its hour and half of the next.
const BUCKET_LIFE: Duration = Duration::from_secs(90 * 60);

/// Entries of each kind: about 100 MB at the very worst.
const MOST: usize = 1 << 19;
