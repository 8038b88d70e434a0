//! Who this side is, whom it talks to, and by which transports.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use transport_core::{
    CloseCode, ConnectError, ConnectErrorKind, Connector, DialRole, Generation, PeerId, SessionId, Target,
    Transport, TransportId,
    policy::Rung,
    secure::{
        Access, Agreed, Answer, Binding, HandshakeError, Identity, Joiner, LinkId, LinkSecret, LinkSecrets,
        PublicKey, Request, Secure, SecureConfig, SecureError, Visitor,
    },
    signaling::ByeReason,
};

use crate::runtime::{Duration, now, timeout};

/// What one side of a session is, and by what it proves it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    session: SessionId,
    local: PeerId,
    identity: Identity,
    party: Party,
    /// Dials of this endpoint that may run at one time.
    dials: Arc<Semaphore>,
}

/// The joiner begins the Noise handshake: it knows the host's key beforehand.
#[derive(Debug)]
pub(crate) enum Party {
    Host {
        /// Says who may come in.
        door: Arc<dyn Doorkeeper>,
    },
    Viewer {
        host: PublicKey,
        /// The link it came by.
        link: LinkSecret,
        /// What this viewer asks for.
        access: Access,
    },
}

/// Decides about everybody who has proven to hold a key and a link.
pub(crate) trait Doorkeeper: LinkSecrets {
    /// Says what `peer`, who came by `link`, may do of what it asks for.
    fn admit(&self, peer: PeerId, link: LinkId, asked: Access) -> Result<Access, ByeReason>;
}

/// One way to connect, and its place on the ladder.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use negotiator::{NetworkConfig, Way};
/// use transport_core::Connector;
///
/// /// Puts a transport of one's own behind WebRTC and before the relay.
/// fn with(connector: Arc<dyn Connector>) -> NetworkConfig {
///     let mut network = NetworkConfig::default();
///     network.extra_ways.push(Way::direct(connector));
///     network
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Way {
    /// Its place: primary or fallback.
    pub rung: Rung,
    /// What dials it. Its id is the rung's.
    pub connector: Arc<dyn Connector>,
    /// What can be made ready before it is dialled, without opening a path.
    pub prefetch: Option<Arc<dyn Prefetch>>,
}

/// Something that can be fetched while it is not yet certain that it is needed: a relay's token.
#[async_trait]
pub trait Prefetch: fmt::Debug + Send + Sync + 'static {
    /// Fetches it and keeps it for the next dial. Opens no path.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], as the dial itself would give.
    async fn prefetch(&self) -> Result<(), ConnectError>;
}

impl Way {
    /// A primary from endpoint to endpoint.
    pub fn direct(connector: Arc<dyn Connector>) -> Self {
        Self { rung: Rung::direct(connector.id()), connector, prefetch: None }
    }

    /// A primary through somebody's relay, such as TURN.
    pub fn turn(connector: Arc<dyn Connector>) -> Self {
        Self { rung: Rung::turn(connector.id()), connector, prefetch: None }
    }

    /// The last resort.
    pub fn fallback(connector: Arc<dyn Connector>) -> Self {
        Self { rung: Rung::fallback(connector.id()), connector, prefetch: None }
    }
}

/// The ladder of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Ways(pub(crate) Arc<[Way]>);

impl Ways {
    pub(crate) fn find(&self, transport: &TransportId) -> Option<&Way> {
        self.0.iter().find(|way| way.rung.transport == *transport)
    }

    pub(crate) fn rungs(&self) -> Vec<Rung> {
        self.0.iter().map(|way| way.rung.clone()).collect()
    }

    pub(crate) fn transports(&self) -> Vec<TransportId> {
        self.0.iter().map(|way| way.rung.transport.clone()).collect()
    }
}

impl Endpoint {
    pub(crate) fn new(session: SessionId, identity: Identity, party: Party) -> Self {
        let local = PeerId::of(&identity.public());
        Self { session, local, identity, party, dials: Arc::new(Semaphore::new(DIALS)) }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    pub(crate) fn is_host(&self) -> bool {
        matches!(self.party, Party::Host { .. })
    }

    /// The places for dials of all its sessions.
    pub(crate) fn dials(&self) -> &Arc<Semaphore> {
        &self.dials
    }

    pub(crate) fn target(&self, peer: PeerId, role: DialRole, generation: Generation) -> Target {
        Target::new(self.session, self.local, peer, role, generation)
    }

    /// Dials and seals: what comes back is proven to end at the peer.
    pub(crate) async fn dial(&self, way: &Way, target: &Target) -> Result<Sealed, ConnectError> {
        let id = &way.rung.transport;
        let fail = |kind| ConnectError::new(id.clone(), "seal", kind);
        let link = way.connector.connect(target).await?;
        target.progress.mark_answered();
        match timeout(SEAL_DEADLINE, self.seal(link, target)).await {
            Ok(Ok(secure)) => Ok(Sealed { agreed: secure.agreed().clone(), link: Arc::new(secure) }),
            Ok(Err(error)) => {
                let kind = match &error {
                    SecureError::Handshake(HandshakeError::Refused { .. }) => ConnectErrorKind::Rejected,
                    SecureError::TooNarrow { .. } => ConnectErrorKind::Incompatible,
                    // Somebody else answered, or nobody did: a bad link says nothing about the peer.
                    SecureError::Handshake(_) | SecureError::Closed(_) => ConnectErrorKind::Unreachable,
                };
                Err(fail(kind).because(error))
            }
            Err(_) => Err(fail(ConnectErrorKind::TimedOut)),
        }
    }

    async fn seal(
        &self,
        link: Box<dyn Transport>,
        target: &Target,
    ) -> Result<Secure<Box<dyn Transport>>, SecureError> {
        let (joiner, host) = match self.party {
            Party::Host { .. } => (target.peer, target.local),
            Party::Viewer { .. } => (target.local, target.peer),
        };
        let profile = link.profile();
        let mut binding =
            Binding::new(self.session, joiner, host, profile.transport.clone(), target.generation);
        binding.extra = profile.channel_binding.clone();
        let config = SecureConfig::new(binding, now);
        match &self.party {
            Party::Host { door } => {
                let decide =
                    |visitor: &Visitor| match door.admit(target.peer, visitor.link, visitor.request.access) {
                        Ok(access) => Answer::Accept { access, app: bytes::Bytes::new() },
                        Err(why) => Answer::Refuse { code: CloseCode::REMOVED, reason: why.code().into() },
                    };
                Secure::accept(link, config, &self.identity, &**door, decide).await
            }
            Party::Viewer { host, link: secret, access } => {
                let joiner = Joiner { identity: &self.identity, link: secret, host: *host };
                Secure::initiate(link, config, &joiner, Request::new(*access)).await
            }
        }
    }
}

/// A link whose other end is proven, and what its handshake agreed on.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) link: Arc<dyn Transport>,
    pub(crate) agreed: Agreed,
}

/// One round trip and four X25519 operations: anything longer is a dead path.
const SEAL_DEADLINE: Duration = Duration::from_secs(5);
/// Dials under way at one time, of all sessions of an endpoint.
const DIALS: usize = 64;
