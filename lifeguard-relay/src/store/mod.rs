//! What several nodes must agree on, and nothing that live traffic waits for.
//!
//! # Contract
//!
//! - Every operation answers within the store's own deadline or fails with [`StoreError`]; callers decide
//!   what stands meanwhile (`docs/operations/beach-lifeguard-runbook.md`, "Redis is down").
//! - What is spent once is spent for everybody until its life is over.
//! - Both guardrail counters of a bucket change in one atomic step.
//! - Everything has a life; nothing grows for ever.

mod memory;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use beach_lifeguard_client::membership::Verifier;
use uuid::Uuid;

pub use memory::MemoryStore;

use crate::control::SwitchState;

/// The shared state of all nodes of a deployment.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Makes a session known, or finds it known. Its life begins anew.
    async fn register_session(
        &self,
        session: Uuid,
        verifier: &Verifier,
        life: Duration,
    ) -> Result<Registration, StoreError>;

    /// Returns a session's verifier and begins its life anew.
    async fn verifier(&self, session: Uuid, life: Duration) -> Result<Option<Verifier>, StoreError>;

    /// Spends a nonce of a membership proof; `false` when it was spent before.
    async fn spend_nonce(&self, nonce: [u8; 16], life: Duration) -> Result<bool, StoreError>;

    /// Spends a token; `false` when it was spent before.
    async fn spend_jti(&self, jti: Uuid, life: Duration) -> Result<bool, StoreError>;

    /// Adds to a cohort's bucket and returns both of its counters.
    async fn count(&self, cohort: &str, bucket: &Bucket, what: Counted) -> Result<Counts, StoreError>;

    /// Reads the kill switch.
    async fn switch(&self) -> Result<SwitchState, StoreError>;

    /// Sets the kill switch for every node.
    async fn set_switch(&self, state: &SwitchState) -> Result<(), StoreError>;
}

/// One hour of one deployment, as in the key: `2026-11-23-15`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(pub String);

/// What is added to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A session that was registered.
    Session,
    /// A session that was given its first token of this hour.
    Activation,
}

/// The counters of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Activations.
    pub activations: u64,
    /// Sessions.
    pub sessions: u64,
}

/// How a registration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Registration {
    /// Another verifier is registered under this id.
    Conflict,
    /// It is new.
    Created,
    /// It was known with this verifier.
    Known,
}

/// The store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It holds as much as it may.
    #[error("the store is full")]
    Full,
    /// It cannot be reached, or did not answer in time.
    #[error("the store does not answer")]
    Unavailable,
}
