//! What makes transports.

use std::fmt;

use async_trait::async_trait;

use crate::{
    error::ConnectError,
    ids::{Generation, PeerId, SessionId, TransportId},
    transport::Transport,
};

/// Produces transports of one kind. Addresses, credentials and the way to signal live in the
/// connector's own configuration.
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
}

/// Whom to reach, and as which side.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        Self { session, local, peer, role, generation }
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

const _: fn(&dyn Connector) = |_| {};
