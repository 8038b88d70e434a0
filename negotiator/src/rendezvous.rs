//! Where the two sides of a session meet, and by which transports they connect.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::Serialize;
use transport_core::{
    PeerId, Role, SessionId, TransportId,
    secure::{Access, Identity, Key, LinkId, LinkSecret, PublicKey},
    signaling::{Exchange, ExchangeEvent, Obstacle, Signaling, SignalingError},
};

use crate::{
    endpoint::Way,
    runtime::{Duration, SystemTime, now, timeout, wall_clock},
};

/// A way to meet, and the ladder of transports from there. The default is the control plane with WebRTC and the
/// relay (`ControlPlaneRendezvous`); a program with its own signaling or ladder implements this, and may wrap
/// the default: what it names in [`wrapped`](Self::wrapped) answers for whatever it does not say itself.
///
/// # Examples
///
/// A ladder without its first rung, for sessions that meet as they did before:
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use negotiator::{Membership, Rendezvous, SignalingError, Way};
/// use transport_core::signaling::Signaling;
///
/// #[derive(Debug)]
/// struct WithoutTheFirst<R>(R);
///
/// #[async_trait]
/// impl<R: Rendezvous> Rendezvous for WithoutTheFirst<R> {
///     fn wrapped(&self) -> Option<&dyn Rendezvous> {
///         Some(&self.0)
///     }
///     async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
///         self.0.enter(membership).await
///     }
///     fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
///         Ok(self.0.ways(membership)?.split_off(1))
///     }
/// }
/// # use negotiator::{Host, Negotiator, NetworkConfig, testing::{FALLBACK, MemoryNetwork}};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let network = Arc::new(WithoutTheFirst(MemoryNetwork::new()));
/// # let host = Host::meeting_at(MemoryNetwork::host_config(), network.clone()).await?;
/// # let joining = Negotiator::meeting_at(host.link().clone(), NetworkConfig::default(), network).connect();
/// # let (viewer, _hosted) = tokio::join!(joining, host.accept());
/// # assert_eq!(viewer?.status().path, Some(FALLBACK));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Rendezvous: fmt::Debug + Send + Sync + 'static {
    /// Returns what this one wraps. By default nothing.
    fn wrapped(&self) -> Option<&dyn Rendezvous> {
        None
    }

    /// Enters the session's signaling room. A host makes the session known first.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] when that failed and trying again at once would not help.
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError>;

    /// Returns the time that envelopes to and from this side are judged by: that of whoever admits, where it tells it, so that
    /// a machine whose clock is off can still be understood. By default this machine's.
    fn wall_clock(&self) -> SystemTime {
        self.wrapped().map_or_else(wall_clock, Rendezvous::wall_clock)
    }

    /// Makes ready what [`ways`](Self::ways) needs, as soon as the room is entered, and says which transports
    /// it will have to leave out. Must not wait long: nobody has a path yet. By default there is nothing
    /// to do and nothing missing.
    async fn prepare(&self, membership: &Membership) -> Vec<Missing> {
        match self.wrapped() {
            Some(wrapped) => wrapped.prepare(membership).await,
            None => Vec::new(),
        }
    }

    /// Lists the transports, best first. Opens nothing. A connector that needs signaling finds it in each
    /// [`Target`](transport_core::Target).
    ///
    /// # Errors
    ///
    /// A sentence for a person, when the configuration cannot work.
    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String>;

    /// Tells whoever admits that the host changed its links or removed somebody: this is the session from here on. Older
    /// revisions must not come back. By default nobody is told: in a room that admits everybody the host keeps out
    /// who may not come in.
    ///
    /// # Errors
    ///
    /// [`SignalingError::Unreachable`] is tried again, others are not.
    async fn publish(
        &self,
        membership: &Membership,
        document: &SessionDocument,
    ) -> Result<(), SignalingError> {
        match self.wrapped() {
            Some(wrapped) => wrapped.publish(membership, document).await,
            None => Ok(()),
        }
    }

    /// Has whoever passes on what is sent show this viewer out: the host removed it, or revoked its link. By default
    /// nothing is done.
    async fn evict(&self, peer: PeerId) {
        if let Some(wrapped) = self.wrapped() {
            wrapped.evict(peer).await;
        }
    }
}

/// What whoever admits must know of a session: it lets nobody in who does not hold one of these links.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionDocument {
    /// Grows with every change.
    pub revision: u64,
    /// The links in force, at most 64.
    pub links: Vec<ListedLink>,
    /// Who is kept out whatever it holds, at most 1,024.
    pub removed: Vec<PeerId>,
}

/// A link, as whoever admits knows it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedLink {
    /// Its name.
    pub id: LinkId,
    /// Checks a proof that somebody holds its secret; opens nothing.
    pub verifier: Key,
    /// What its holders may do at most.
    pub access: Access,
    /// From when on it lets nobody in but `kept`, in Unix seconds.
    pub expires_at: Option<u64>,
    /// Who came before that.
    pub kept: Vec<PeerId>,
}

impl fmt::Debug for ListedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListedLink")
            .field("id", &self.id)
            .field("access", &self.access)
            .field("expires_at", &self.expires_at)
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

/// A transport that this session does without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Missing {
    /// Which.
    pub transport: TransportId,
    /// Why, in words.
    pub why: String,
}

impl Missing {
    /// Says that `transport` is left out, and why.
    pub fn new(transport: TransportId, why: impl Into<String>) -> Self {
        Self { transport, why: why.into() }
    }
}

/// One side's place in a session.
#[derive(Clone)]
#[non_exhaustive]
pub struct Membership {
    /// The session.
    pub session: SessionId,
    /// This side.
    pub local: PeerId,
    /// Whether this side shares or joins.
    pub role: Role,
    /// What a viewer asks for; a host may do everything.
    pub access: Access,
    /// The host's key, which names the session.
    pub host: PublicKey,
    /// This side's keys: they prove who it is to whoever admits. Show them to nobody.
    pub identity: Identity,
    /// The secret of the link a viewer came by. Show it to nobody; its `verifier` may be known to whoever admits.
    pub link: Option<LinkSecret>,
    /// The session as its host begins it; `None` at a viewer.
    pub document: Option<SessionDocument>,
}

/// Waits until the room is reachable, so that nobody is handed a link that leads nowhere, and a viewer
/// learns that it is the meeting place that is missing and not the host. A login page is waited out for
/// `connect_timeout`: it is gone as soon as somebody has logged in.
pub(crate) async fn inside(exchange: &Exchange, connect_timeout: Duration) -> Result<(), SignalingError> {
    let begun = now();
    let mut missing = None;
    loop {
        let patience = match &missing {
            Some((_, obstacle)) if *obstacle != Obstacle::LoginPage => ENTER,
            // The first attempt has deadlines of its own, and knows best why it fails.
            _ => connect_timeout.max(ENTER),
        };
        match timeout(patience.saturating_sub(now().saturating_duration_since(begun)), exchange.next()).await
        {
            Ok(event) => match event? {
                // It will not show another one in a moment.
                ExchangeEvent::Down { detail, obstacle: obstacle @ Obstacle::OtherCertificate } => {
                    return Err(SignalingError::Unreachable { detail, obstacle });
                }
                ExchangeEvent::Down { detail, obstacle } => missing = Some((detail, obstacle)),
                _ => return Ok(()),
            },
            Err(_) => {
                let (detail, obstacle) =
                    missing.unwrap_or_else(|| ("no answer".to_owned(), Obstacle::Unknown));
                return Err(SignalingError::Unreachable { detail, obstacle });
            }
        }
    }
}

/// How long the room may take to become reachable: a restart of its service, not an outage.
const ENTER: Duration = Duration::from_secs(5);

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("session", &self.session)
            .field("local", &self.local)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
