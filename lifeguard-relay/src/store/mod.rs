//! What several nodes must agree on, and nothing that live traffic waits for.
//!
//! # Contract
//!
//! - Every operation answers within [`DEADLINE`] or fails with [`StoreError`]; callers decide what stands
//!   meanwhile (`docs/operations/beach-lifeguard-runbook.md`, "StoreDown").
//! - What is spent once is spent for everybody until its life is over.
//! - Both guardrail counters of a bucket change in one atomic step.
//! - A batch of totals that is sent twice counts once.
//! - The kill switch never goes back to an older revision.
//! - A session's document never goes back to an older revision.
//! - Everything has a life or a bound; nothing grows for ever.

#[cfg(test)]
pub(crate) mod flaky;
mod flush;
mod memory;
pub mod pool;
mod redis;
pub mod relays;
mod totals;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use beach_lifeguard_client::session::SessionDocument;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use self::{
    flush::{Flusher, SessionTotals},
    memory::MemoryStore,
    redis::{Pool, RedisStore, UrlError},
    totals::{SessionFigures, Totals},
};
use self::{
    pool::NodeId,
    relays::{OtherOwner, RelayNode},
};
use crate::{kill_switch::state::SwitchState, rules::Rules};

/// The shared state of all nodes of a deployment.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Keeps a session's document, unless a newer one is known or another one of the same revision. The session lives
    /// for `life` at least from here on; what it had left beyond that it keeps.
    async fn publish(&self, document: &Arc<SessionDocument>, life: Duration)
    -> Result<Published, StoreError>;

    /// Returns a session's newest document. Its life stays as it is.
    async fn session(&self, session: Uuid) -> Result<Option<Arc<SessionDocument>>, StoreError>;

    /// Spends a nonce of a membership proof; `false` when it was spent before.
    async fn spend_nonce(&self, nonce: [u8; 16], life: Duration) -> Result<bool, StoreError>;

    /// Spends a token; `false` when it was spent before.
    async fn spend_jti(&self, jti: Uuid, life: Duration) -> Result<bool, StoreError>;

    /// Adds to a cohort's bucket and returns both of its counters. A session's activation counts once in
    /// each bucket, however many tokens it fetches.
    async fn count(&self, cohort: &str, bucket: &Bucket, what: Counted) -> Result<Counts, StoreError>;

    /// Reads the kill switch; revision 0 when nobody ever used it.
    async fn switch(&self) -> Result<SwitchState, StoreError>;

    /// Sets the kill switch for every node if `state` has the higher revision, and returns what stands.
    async fn set_switch(&self, state: &SwitchState) -> Result<SwitchState, StoreError>;

    /// Keeps the rules that a control plane mints by, for a day.
    async fn set_rules(&self, rules: &Rules) -> Result<(), StoreError>;

    /// Reads them; `None` when no control plane shares this store.
    async fn rules(&self) -> Result<Option<Rules>, StoreError>;

    /// Returns the seed by which the relays of this deployment sign rejoin tickets: `fresh`, if there was none. It is kept for a day
    /// from here on, as the rules are.
    async fn ticket_seed(&self, fresh: &Seed) -> Result<Seed, StoreError>;

    /// Makes this process a node of the deployment's pool of control planes, until `stop`. None where there is one node
    /// only: the store of one process.
    fn join_pool(
        &self,
        _stop: &CancellationToken,
        _tasks: &TaskTracker,
    ) -> Option<(Pool, mpsc::Receiver<pool::Heard>)> {
        None
    }

    /// Says that a relay node is there. Does nothing in the store of one process, and nor do the other operations on
    /// relay nodes.
    async fn beat_relay(&self, _node: &RelayNode) -> Result<(), StoreError> {
        Ok(())
    }

    /// The relay nodes that live.
    async fn relays(&self) -> Result<Vec<RelayNode>, StoreError> {
        Ok(Vec::new())
    }

    /// Returns the owner of a session: the node that has it if it is a candidate, the first candidate if nobody has it, for
    /// as long as the lease holds. `other` says what becomes of an owner that is no candidate.
    async fn own_session(
        &self,
        _session: Uuid,
        candidates: &[NodeId],
        _lease: Duration,
        _other: OtherOwner,
    ) -> Result<Option<NodeId>, StoreError> {
        Ok(candidates.first().copied())
    }

    /// Renews this node's leases and takes those that nobody has. Returns the owner of each.
    async fn hold_sessions(
        &self,
        node: NodeId,
        sessions: &[Uuid],
        _lease: Duration,
    ) -> Result<Vec<Option<NodeId>>, StoreError> {
        Ok(vec![Some(node); sessions.len()])
    }

    /// Gives this node's leases back.
    async fn release_sessions(&self, _node: NodeId, _sessions: &[Uuid]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Adds what one node forwarded. `batch` is fresh for each set of totals and the same when it is sent
    /// again, which counts only once.
    async fn add_totals(&self, batch: Uuid, totals: &Totals) -> Result<(), StoreError>;
}

/// Opens the store a deployment is configured with: Redis when there is a URL, this process's memory
/// otherwise. Redis need not be there yet: until it is, operations fail as in any outage. `authority`: who signed the
/// certificate it shows, in PEM, where that is not one of the system's.
///
/// # Errors
///
/// [`UrlError`]; it does not show the URL, which holds a password.
pub fn open(redis_url: Option<&str>, authority: Option<&[u8]>) -> Result<Arc<dyn Store>, UrlError> {
    Ok(match redis_url {
        Some(url) => Arc::new(RedisStore::open_trusting(url, authority)?),
        None => Arc::new(MemoryStore::new()),
    })
}

/// One hour of one deployment, as in the key: `2026-11-23-15`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(pub String);

impl Bucket {
    /// The hour a moment belongs to, in UTC.
    pub fn of(at: OffsetDateTime) -> Self {
        let at = at.to_offset(time::UtcOffset::UTC);
        Self(format!("{:04}-{:02}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day(), at.hour()))
    }
}

/// What is added to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A session that was registered.
    Session,
    /// A session that was given a token.
    Activation(Uuid),
}

/// The counters of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions that were given a token in this hour.
    pub activations: u64,
    /// Sessions that were registered in this hour.
    pub sessions: u64,
}

/// The secret of a signing key. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Takes 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Shows them, for a store that keeps them and for the key.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Published {
    /// The session is new.
    Created,
    /// It was known, and so was this document.
    Known,
    /// A newer document is known, or another one of this revision; that one stands.
    Stale,
    /// It was known; this is its newest document.
    Updated,
}

/// The store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It holds as much as it may.
    #[error("the store is full")]
    Full,
    /// It cannot be reached, or did not answer in time.
    #[error("the store does not answer")]
    Unavailable,
}

/// Sessions that are known at once.
pub const MOST_SESSIONS: usize = 1 << 19;

/// How long a store may take over one operation. A handshake waits for it, and its client only for 5 s.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a request to the control plane waits for the store, which may be asked twice for it. Beyond it, what the outage
/// table says stands.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a guardrail bucket is kept: its hour and half of the next.
pub const BUCKET_LIFE: Duration = Duration::from_secs(90 * 60);

/// A session under which an activation is remembered: eight bytes of its hash, so that the store holds
/// counts and no ids. Two of a million sessions share one with a chance of 3 in 10⁸.
fn pseudonym(session: Uuid) -> [u8; 8] {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::digest(session.as_bytes()).into();
    let mut short = [0; 8];
    short.copy_from_slice(&hash[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_an_hour_in_utc() {
        let at = OffsetDateTime::from_unix_timestamp(1_795_449_599).unwrap();
        assert_eq!(Bucket::of(at).0, "2026-11-23-15");
        assert_eq!(Bucket::of(at + time::Duration::seconds(1)).0, "2026-11-23-16");
        let elsewhere = at.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap());
        assert_eq!(Bucket::of(elsewhere), Bucket::of(at));
    }
}
