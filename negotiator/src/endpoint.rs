//! Who this side is, whom it talks to, and by which transports.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use transport_core::{
    ConnectError, ConnectErrorKind, Connector, DialRole, Generation, PeerId, SessionId, Target, Transport,
    TransportId,
    policy::Rung,
    secure::{
        Access, Agreed, Answer, Binding, HostKey, HostPublicKey, Request, Secure, SecureConfig, SecureError,
        SessionSecret,
    },
};

use crate::runtime::{Duration, now, timeout};

/// What both sides of a session know, and which of the two this is.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) session: SessionId,
    pub(crate) local: PeerId,
    pub(crate) secret: SessionSecret,
    pub(crate) party: Party,
}

/// The joiner begins the Noise handshake: it knows the host's key beforehand.
#[derive(Debug, Clone)]
pub(crate) enum Party {
    Host {
        key: HostKey,
        /// What a viewer may do at most.
        access: Access,
    },
    Viewer {
        host: HostPublicKey,
        /// What this viewer asks for.
        access: Access,
    },
}

/// One way to connect, and its place on the ladder.
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
    pub(crate) fn target(&self, peer: PeerId, role: DialRole, generation: Generation) -> Target {
        Target::new(self.session, self.local, peer, role, generation)
    }

    /// Dials and seals: what comes back is proven to end at the other holder of the secret.
    pub(crate) async fn dial(&self, way: &Way, target: &Target) -> Result<Sealed, ConnectError> {
        let id = &way.rung.transport;
        let fail = |kind| ConnectError::new(id.clone(), "seal", kind);
        let link = way.connector.connect(target).await?;
        target.progress.mark_answered();
        match timeout(SEAL_DEADLINE, self.seal(link, target)).await {
            Ok(Ok(secure)) => Ok(Sealed { agreed: secure.agreed().clone(), link: Arc::new(secure) }),
            Ok(Err(error)) => {
                let kind = match &error {
                    SecureError::Handshake(_) => ConnectErrorKind::Rejected,
                    SecureError::TooNarrow { .. } => ConnectErrorKind::Incompatible,
                    SecureError::Closed(_) => ConnectErrorKind::Unreachable,
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
        let config = SecureConfig::new(binding, self.secret.clone(), now);
        match &self.party {
            Party::Host { key, access } => {
                let grant = |request: &Request| Answer::Accept {
                    access: request.access.min(*access),
                    app: bytes::Bytes::new(),
                };
                Secure::accept(link, config, key, grant).await
            }
            Party::Viewer { host, access } => {
                Secure::initiate(link, config, *host, Request::new(*access)).await
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
