//! Where the two sides of a session meet, and by which transports they connect.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::Serialize;
use transport_core::{
    PeerId, Role, SessionId, TransportId,
    secure::{Access, Key},
    signaling::{Exchange, ExchangeEvent, Signaling, SignalingError},
};

use crate::{
    endpoint::Way,
    runtime::{Duration, timeout},
};

/// A way to meet, and the ladder of transports from there. The default is the control plane with WebRTC and the
/// relay (`ControlPlaneRendezvous`); a program with its own signaling or ladder implements this, and may wrap
/// the default.
#[async_trait]
pub trait Rendezvous: fmt::Debug + Send + Sync + 'static {
    /// Enters the session's signaling room. A host makes the session known first.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] when that failed and trying again at once would not help.
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError>;

    /// Makes ready what [`ways`](Self::ways) needs, as soon as the room is entered, and says which transports
    /// it will have to leave out. Must not wait long: nobody has a path yet. By default there is nothing
    /// to do and nothing missing.
    async fn prepare(&self, membership: &Membership) -> Vec<Missing> {
        let _ = membership;
        Vec::new()
    }

    /// Lists the transports, best first. Opens nothing. A connector that needs signaling finds it in each
    /// [`Target`](transport_core::Target).
    ///
    /// # Errors
    ///
    /// A sentence for a person, when the configuration cannot work.
    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String>;
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
    /// What a viewer may do at most, or asks for.
    pub access: Access,
    /// The key that proves membership to whoever admits; it opens nothing.
    pub verifier: Key,
}

/// Waits until the room is reachable, so that nobody is handed a link that leads nowhere, and a viewer
/// learns that it is the meeting place that is missing and not the host.
pub(crate) async fn inside(exchange: &Exchange) -> Result<(), SignalingError> {
    let mut detail = "no answer".to_owned();
    let up = async {
        loop {
            match exchange.next().await? {
                ExchangeEvent::Down { detail: why } => detail = why,
                _ => return Ok(()),
            }
        }
    };
    match timeout(ENTER, up).await {
        Ok(outcome) => outcome,
        Err(_) => Err(SignalingError::Unreachable { detail }),
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
