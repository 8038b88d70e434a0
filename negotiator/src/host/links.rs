//! The host's links: made, listed and taken back while the session runs.

use std::{fmt, sync::Arc};

use transport_core::secure::{Access, LinkId};

use super::host_state::HostState;
use crate::{error::ShareError, link::JoinLink, runtime::Duration};

/// What a link is good for.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use negotiator::{HostConfig, LinkOptions};
///
/// let mut config = HostConfig::new("https://beach.example");
/// // One link to type with, for one person and an hour; one to watch with, for everybody.
/// let an_hour = Duration::from_secs(3600);
/// config.links = vec![LinkOptions::full().for_uses(1).expiring_in(an_hour), LinkOptions::read_only()];
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions {
    /// What its holders may do at most.
    pub access: Access,
    /// How long it lets new viewers in; who came before may stay and come back. Default: as long as the session is
    /// shared.
    pub expires_in: Option<Duration>,
    /// How many viewers it lets in. Default: any number.
    pub uses: Option<u32>,
}

impl LinkOptions {
    /// For whoever may do everything.
    pub fn full() -> Self {
        Self { access: Access::Full, expires_in: None, uses: None }
    }

    /// For whoever may look and not type.
    pub fn read_only() -> Self {
        Self { access: Access::ReadOnly, ..Self::full() }
    }

    /// Lets new viewers in for so long.
    #[must_use]
    pub fn expiring_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// Lets so many viewers in.
    #[must_use]
    pub fn for_uses(mut self, uses: u32) -> Self {
        self.uses = Some(uses);
        self
    }
}

/// One link of a session, as its host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// Its name.
    pub id: LinkId,
    /// The link itself: a password.
    pub link: JoinLink,
    /// What its holders may do at most.
    pub access: Access,
    /// From when on nobody new comes in by it, in Unix seconds.
    pub expires_at: Option<u64>,
    /// How many viewers it is for.
    pub uses: Option<u32>,
    /// How many have come by it.
    pub used: u32,
    /// Whether it lets anybody in.
    pub state: LinkState,
}

/// Whether a link lets anybody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// Its time is over: it lets in who came before.
    Expired,
    /// It lets in whoever holds it.
    Open,
    /// The host took it back: it lets nobody in.
    Revoked,
    /// As many have come as it is for: it lets those in.
    UsedUp,
}

/// The links of a shared session. Cheap to clone.
///
/// # Examples
///
/// ```
/// use negotiator::{LinkOptions, testing::MemoryNetwork};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let host = MemoryNetwork::new().share(MemoryNetwork::host_config()).await?;
/// let links = host.links();
/// let spare = links.add(LinkOptions::read_only()).await?;
/// assert_eq!(links.list().len(), 2);
/// links.revoke(spare.id()); // whoever came by it is shown out
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Links(Arc<HostState>);

impl Links {
    pub(super) fn new(host_state: Arc<HostState>) -> Self {
        Self(host_state)
    }

    /// Makes one more link, and waits until whoever admits knows it. At most 64 are in force at one time.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; the link is not in force then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a link that may be in force; [`list`](Self::list) shows it.
    pub async fn add(&self, options: LinkOptions) -> Result<JoinLink, ShareError> {
        let (link, revision) = self.0.add_link(options)?;
        if let Err(error) = self.0.published(revision).await {
            self.0.revoke(link.id());
            return Err(error.into());
        }
        Ok(link)
    }

    /// Takes a link back. Whoever came by it is out at once, on every path, and whoever admits is told; in this program
    /// nothing of them arrives any more when this returns. Says whether the link was in force.
    pub fn revoke(&self, link: LinkId) -> bool {
        self.0.revoke(link)
    }

    /// Lists the links in the order of their making, those included that let nobody in any more.
    pub fn list(&self) -> Vec<LinkInfo> {
        self.0.list_links()
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}
