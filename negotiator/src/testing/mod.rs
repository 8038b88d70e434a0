//! A network in memory for tests: one primary path and one fallback between any two sides, which can be blocked, cut,
//! delayed and made to lose, beneath the real judgement, resume and seal. No socket, no service.
//!
//! Under Tokio's paused clock a minute of waiting takes no time, and the order of events is the same in each run:
//!
//! ```
//! use negotiator::{Received, testing::{FALLBACK, MemoryNetwork, PRIMARY}};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let network = MemoryNetwork::new();
//!     let pair = network.pair().await?;
//!     pair.viewer.send("hello".into()).await?;
//!     assert_eq!(pair.hosted.recv().await?, Received::Message("hello".into()));
//!
//!     assert_eq!(pair.viewer.status().path, Some(PRIMARY));
//!     network.primary.block(); // a firewall that drops
//!     pair.viewer.send("still here".into()).await?;
//!     assert_eq!(pair.hosted.recv().await?, Received::Message("still here".into()));
//!     assert_eq!(pair.viewer.status().path, Some(FALLBACK));
//!     Ok(())
//! }
//! ```
//!
//! What it is not: a simulator of congestion (a path has delay and loss, and no bandwidth), or of a control plane; for the
//! real services in one process there is `lifeguard_relay::Dev`. `docs/testing-your-app.md` shows both.

mod delayed;
mod path;

use std::sync::Arc;

use async_trait::async_trait;
use transport_core::{
    TransportId,
    signaling::{MemoryRoom, Signaling, SignalingError},
};

pub use self::path::MemoryPath;
use crate::{
    Host, HostConfig, JoinError, Membership, Negotiator, NetworkConfig, Rendezvous, Session, ShareError, Way,
};

/// The name of [`MemoryNetwork::primary`].
pub const PRIMARY: TransportId = TransportId::from_static("primary");
/// The name of [`MemoryNetwork::fallback`].
pub const FALLBACK: TransportId = TransportId::from_static("fallback");

/// Where hosts and viewers meet in memory, and the two paths between them. Clones are the same network.
///
/// It is a [`Rendezvous`]: a program that takes one is tested with it as it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MemoryNetwork {
    /// The room through which the sides signal.
    pub room: MemoryRoom,
    /// The direct path, first on the ladder.
    pub primary: MemoryPath,
    /// The last resort.
    pub fallback: MemoryPath,
}

/// A host, and one session seen from both sides.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pair {
    /// Ends its sessions when it is dropped.
    pub host: Host,
    /// The viewer's side.
    pub viewer: Session,
    /// The host's side.
    pub hosted: Session,
}

/// Why there is no [`Pair`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The viewer could not join: with both paths blocked, for instance.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The host let nobody in.
    #[error("the host ended before it handed out a session")]
    NotAccepted,
    /// The host could not share.
    #[error(transparent)]
    Share(#[from] ShareError),
}

impl MemoryNetwork {
    /// Makes a network without faults or delay.
    pub fn new() -> Self {
        Self {
            room: MemoryRoom::default(),
            primary: MemoryPath::new(PRIMARY),
            fallback: MemoryPath::new(FALLBACK),
        }
    }

    /// Returns a configuration for [`share`](Self::share). Nothing listens at its address.
    pub fn host_config() -> HostConfig {
        HostConfig::new("http://memory.invalid")
    }

    /// Shares a session in this network.
    ///
    /// # Errors
    ///
    /// [`ShareError`], as [`Host::share`].
    pub async fn share(&self, config: HostConfig) -> Result<Host, ShareError> {
        Host::meeting_at(config, Arc::new(self.clone())).await
    }

    /// Returns a viewer that joins `host` by its first link.
    pub fn viewer(&self, host: &Host, config: NetworkConfig) -> Negotiator {
        Negotiator::meeting_at(host.link().clone(), config, Arc::new(self.clone()))
    }

    /// Shares and joins, with defaults.
    ///
    /// # Errors
    ///
    /// [`PairError`].
    pub async fn pair(&self) -> Result<Pair, PairError> {
        self.pair_with(NetworkConfig::default()).await
    }

    /// Shares with defaults and joins with `config`.
    ///
    /// # Errors
    ///
    /// [`PairError`].
    pub async fn pair_with(&self, config: NetworkConfig) -> Result<Pair, PairError> {
        let host = self.share(Self::host_config()).await?;
        let accepted = async { host.accept().await.ok_or(PairError::NotAccepted) };
        let joined = async { self.viewer(&host, config).connect().await.map_err(PairError::from) };
        let (viewer, hosted) = futures::try_join!(joined, accepted)?;
        Ok(Pair { host, viewer, hosted })
    }
}

impl Default for MemoryNetwork {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Rendezvous for MemoryNetwork {
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        Ok(Arc::new(self.room.join(membership.local)))
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        let (primary, fallback) = (&self.primary, &self.fallback);
        Ok(vec![
            Way::direct(primary.connector(membership.role)),
            Way::fallback(fallback.connector(membership.role)),
        ])
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test brings the runtime")]
mod tests;
