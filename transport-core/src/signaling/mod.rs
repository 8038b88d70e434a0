//! How two peers that share no path yet reach each other: opaque envelopes through a room.
//!
//! [`Signaling`] moves sealed bytes and knows who is present. [`Exchange`] sits on top: it seals and
//! opens, gives each dial attempt its private [`LinkChannel`], and hands everything else to the
//! negotiator. The trait lives here and not beside WebRTC because the negotiator speaks over it even
//! when WebRTC is not compiled in (`docs/adr/0002-signaling-in-core.md`).

mod exchange;
mod link;
mod mailboxes;
mod memory;
mod message;
mod pairs;
mod sealed;
mod words;

use std::{borrow::Cow, fmt};

use async_trait::async_trait;
use bytes::Bytes;

use crate::ids::PeerId;

pub use exchange::{Exchange, ExchangeEvent};
pub use link::LinkChannel;
pub use memory::{MemoryRoom, MemorySignaling};
pub use message::{ByeReason, Message};
pub use sealed::{MAX_ENVELOPE, Opened, SealError, Sealer};

/// Moves opaque envelopes between the peers of one session.
#[async_trait]
pub trait Signaling: fmt::Debug + Send + Sync + 'static {
    /// Sends one envelope of at most [`MAX_ENVELOPE`] bytes to `to`. Delivery is not promised; the
    /// stages above have deadlines.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] when it certainly did not leave.
    async fn send(&self, to: PeerId, envelope: Bytes) -> Result<(), SignalingError>;

    /// Takes the next event. One consumer. An implementation reconnects by itself and says
    /// [`SignalingEvent::Down`] and [`SignalingEvent::Up`] meanwhile.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] only when it will never work again: refused, or closed by this side.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn recv(&self) -> Result<SignalingEvent, SignalingError>;

    /// Says that this machine may have moved or slept: a connection that looks alive may lead nowhere and is
    /// to be tried out at once. Does not wait. By default nothing is done.
    fn doubt(&self) {}
}

/// What comes out of a signaling room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalingEvent {
    /// The way to the room is lost; it is being sought again.
    Down {
        /// Why, for a person.
        detail: String,
        /// What somebody can do about.
        obstacle: Obstacle,
    },
    /// Sealed bytes from another peer.
    Envelope {
        /// Who the room says sent it; the seal proves it.
        from: PeerId,
        /// The sealed bytes.
        envelope: Bytes,
    },
    /// A peer is in the room: it was there when this side came, or just entered.
    Joined {
        /// Who.
        peer: PeerId,
    },
    /// A peer left the room. Says nothing about its transports.
    Left {
        /// Who.
        peer: PeerId,
    },
    /// The room is reachable (again).
    Up,
}

/// Why signaling failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignalingError {
    /// This side closed it.
    #[error("signaling is closed")]
    Closed,
    /// The room said no.
    #[error("the signaling service refused: {label}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Refused {
        /// From a closed set: `unknown_session`, `membership_invalid`, …
        label: Cow<'static, str>,
        /// What else is known about it, for a person; may be empty.
        detail: String,
    },
    /// The envelope is larger than [`MAX_ENVELOPE`].
    #[error("an envelope holds at most {MAX_ENVELOPE} bytes")]
    TooLarge,
    /// The room cannot be reached at the moment.
    #[error("the signaling service is unreachable: {detail}")]
    Unreachable {
        /// Why, for a person.
        detail: String,
        /// What somebody can do about.
        obstacle: Obstacle,
    },
}

/// What keeps this side from the room, where a person can do something about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// A captive portal: somebody has to log in there, and the room is back at once.
    LoginPage,
    /// The room shows another certificate than the one it is known by: it has a new one, or somebody stands in between.
    OtherCertificate,
    /// The certificate comes from an authority that is not trusted here.
    Untrusted,
    /// None that is known: the room may be down, or the network.
    #[default]
    Unknown,
}

impl SignalingError {
    /// Says that the room said no, by a label of the closed set.
    pub fn refused(label: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused { label: label.into(), detail: String::new() }
    }
}
