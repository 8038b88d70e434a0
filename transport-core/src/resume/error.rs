//! What goes wrong, and whom it costs: a generation or the session.

use super::frame::BadFrame;
use crate::{fragment::BadFragment, ids::Generation};

/// The peer broke the protocol on one generation. The machine has detached that generation;
/// close its transport with [`PROTOCOL_ERROR`](crate::CloseCode::PROTOCOL_ERROR). The session
/// lives on and resumes over the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An ack of something that was never sent.
    #[error("acknowledges {received}, but only {sent} was sent")]
    AckBeyondSent {
        /// What the peer claims to have received.
        received: u64,
        /// What was handed out so far.
        sent: u64,
    },
    /// More after the fin.
    #[error("data after the fin")]
    AfterFin,
    /// The same attach frame again.
    #[error("attached twice")]
    AttachedTwice,
    /// Something else came before the attach frame.
    #[error("a frame before the attach frame")]
    BeforeAttach,
    /// More than the credit allows.
    #[error("sent beyond its credit")]
    BeyondCredit,
    /// A fragment that fits no datagram.
    #[error(transparent)]
    Fragment(#[from] BadFragment),
    /// Bytes that are not a frame.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// The messages ended inside a message.
    #[error("a fin inside a message")]
    FinInsideMessage,
    /// A segment or message beyond the limit.
    #[error("a message that is too long")]
    MessageTooLong,
    /// This generation is not attached: never was, or was detached.
    #[error("generation {0} is not attached")]
    NotAttached(Generation),
    /// A segment number that does not follow the one before.
    #[error("segment {found} where {expected} was expected")]
    SegmentJump {
        /// The number that follows.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The peer speaks another form of these frames.
    #[error("speaks form {0} of the session frames")]
    Version(u8),
    /// An attach frame meant for another generation.
    #[error("attach frame of generation {0} on another one")]
    WrongGeneration(Generation),
    /// A frame on the lane where it does not belong.
    #[error("a frame on the wrong lane")]
    WrongLane,
}

/// An attach that is not newer than what was seen. Ignored: the newest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("generation {offered} is stale, {newest} was seen")]
pub struct StaleGeneration {
    /// The generation that was to be attached.
    pub offered: Generation,
    /// The newest one seen.
    pub newest: Generation,
}
