//! The host's links: made, listed and taken back while the session runs.

use std::{fmt, sync::Arc};

use transport_core::secure::{Access, LinkId};

use super::host_state::HostState;
use crate::{error::ShareError, link::JoinLink, runtime::Duration};

/// What a link is good for.
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
