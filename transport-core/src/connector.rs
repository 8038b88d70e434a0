//! What makes transports.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    error::{ConnectError, ConnectErrorKind},
    ids::{Generation, PeerId, SessionId, TransportId},
    signaling::LinkChannel,
    transport::Transport,
};

/// Produces transports of one kind. Addresses and credentials live in the connector's own configuration,
/// what belongs to one dial in its [`Target`]: a connector knows no session and serves any number of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot dial a beach transport",
    note = "implement `Connector`: docs/adding-a-transport.md"
)]
#[async_trait]
pub trait Connector: fmt::Debug + Send + Sync + 'static {
    /// Names the kind of transport it makes.
    fn id(&self) -> TransportId;

    /// Dials. Both sides dial the same target; [`Target::role`] tells which of them offers.
    ///
    /// Does nothing until polled, and enforces its own stage deadlines.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], whose kind alone decides retry and quorum.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt and frees everything it opened.
    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError>;

    /// Waits where peers of this transport meet, and tells the number of each attempt that the peer makes there: for a side
    /// that cannot be told of them, because signaling is away. Returns why it cannot wait there any longer; whoever calls
    /// it may call it again. [`Target::generation`] says nothing here.
    ///
    /// A transport without such a place returns [`Incompatible`](ConnectErrorKind::Incompatible), as this does by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the place.
    async fn attend(&self, target: &Target, calls: &watch::Sender<Generation>) -> ConnectError {
        let _ = (target, calls);
        ConnectError::new(self.id(), "attend", ConnectErrorKind::Incompatible)
    }

    /// Tells that whatever its transports share may be dead: this machine moved to another network, slept, or lost a
    /// link. A connector whose links share nothing has nothing to do.
    fn doubt(&self) {}
}

/// Whom to reach, as which side, and what goes with this one dial.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Target {
    /// The session both sides belong to.
    pub session: SessionId,
    /// This endpoint.
    pub local: PeerId,
    /// The other endpoint.
    pub peer: PeerId,
    /// Which side of the dial this endpoint is.
    pub role: DialRole,
    /// The number the leading side gave this attempt; tells its messages from those of others.
    pub generation: Generation,
    /// Where the connector says that the path answered.
    pub progress: Progress,
    /// Where the connectors of the two sides speak to each other before they have a path. The negotiator opens
    /// it for every dial; it ends with the last clone of this target and whatever else holds it. `None` where the
    /// program has no signaling.
    pub signaling: Option<Arc<LinkChannel>>,
}

impl Target {
    /// Names a dial.
    pub fn new(
        session: SessionId,
        local: PeerId,
        peer: PeerId,
        role: DialRole,
        generation: Generation,
    ) -> Self {
        Self { session, local, peer, role, generation, progress: Progress::default(), signaling: None }
    }

    /// Makes both ends of a dial in one process, the offerer's first, with a channel between them: for tests
    /// of connectors.
    pub fn pair() -> (Self, Self) {
        let (session, ids, generation) =
            (SessionId::random(), [PeerId::random(), PeerId::random()], Generation(1));
        let (a, b) = LinkChannel::pair();
        let offerer = Self::new(session, ids[0], ids[1], DialRole::Offerer, generation);
        let answerer = Self::new(session, ids[1], ids[0], DialRole::Answerer, generation);
        (offerer.with_signaling(a), answerer.with_signaling(b))
    }

    /// Gives the dial its channel.
    #[must_use]
    pub fn with_signaling(mut self, channel: impl Into<Arc<LinkChannel>>) -> Self {
        self.signaling = Some(channel.into());
        self
    }

    /// Returns the dial's channel, for a connector that cannot do without.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] of stage `signaling` and kind [`Misuse`](ConnectErrorKind::Misuse) when there is none.
    pub fn channel(&self, transport: TransportId) -> Result<Arc<LinkChannel>, ConnectError> {
        self.signaling.clone().ok_or_else(|| {
            ConnectError::new(transport, "signaling", ConnectErrorKind::Misuse)
                .because("the target has no signaling channel")
        })
    }
}

/// Which side of a dial an endpoint is. The leading side of a session offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialRole {
    /// Reacts to the other's offer.
    Answerer,
    /// Speaks first.
    Offerer,
}

/// Tells a slow path from a silent one while a dial is under way: a connector marks the first answer
/// it gets over the path it tries (a STUN response from the peer, a TCP accept). A connector that
/// cannot tell never marks it, and then a slow network looks like a blocked one.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<watch::Sender<bool>>);

impl Progress {
    /// Says that the path answered.
    pub fn mark_answered(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the path answered.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn answered(&self) {
        // The sender lives in `self`, so this ends only when it is true.
        let _ = self.0.subscribe().wait_for(|answered| *answered).await;
    }
}

const _: fn(&dyn Connector) = |_| {};
