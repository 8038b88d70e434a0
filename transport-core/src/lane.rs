//! The two lanes of a transport and what each of them promises.

use std::{borrow::Cow, num::NonZeroUsize};

pub use beach_terms::Lane;
use bytes::Bytes;

use crate::ids::TransportId;

/// Whether a lane's promise is the path's own or acted out on top of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// Acted out: a WebSocket delivers datagrams in order and with head-of-line blocking.
    Emulated,
    /// The path itself behaves this way.
    Native,
}

/// What one lane of a transport can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneProfile {
    /// Native or emulated.
    pub carriage: Carriage,
    /// Largest message in bytes; a larger one is refused with
    /// [`Refusal::TooLarge`](crate::Refusal::TooLarge).
    pub max_message: NonZeroUsize,
    /// Bytes that may wait unsent. At or above it `Reliable` refuses and `Datagram` evicts.
    pub queue_bytes: NonZeroUsize,
}

/// What a live transport is and how much it holds. Fixed for the life of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The registered name of the transport, as in `docs/TRANSPORTS.md`.
    pub transport: TransportId,
    /// The path in words a person understands, without secrets: `"udp, host to host"`.
    pub path: Cow<'static, str>,
    /// What tells this very path from any other, the same bytes on both ends (channel binding, RFC 5056): the
    /// handshake of [`Secure`](crate::secure::Secure) fails where somebody in the middle joins two paths. Empty for
    /// a path that has no keys of its own.
    pub channel_binding: Bytes,
    /// The datagram lane.
    pub datagram: LaneProfile,
    /// The reliable lane. Its `max_message` is at least [`MIN_RELIABLE_MESSAGE`].
    pub reliable: LaneProfile,
    /// Unacknowledged bytes the whole path holds for one peer before something along it must
    /// drop or cut. The session never has more than this on the wire.
    pub in_flight: NonZeroUsize,
}

impl LaneProfile {
    /// Describes a lane of which the path itself keeps the promise.
    pub const fn native(max_message: NonZeroUsize, queue_bytes: NonZeroUsize) -> Self {
        Self { carriage: Carriage::Native, max_message, queue_bytes }
    }

    /// Describes a lane that is acted out on top of another.
    pub const fn emulated(max_message: NonZeroUsize, queue_bytes: NonZeroUsize) -> Self {
        Self { carriage: Carriage::Emulated, max_message, queue_bytes }
    }
}

impl Profile {
    /// Describes a transport whose path has no keys of its own and holds no more than its reliable lane.
    pub fn new(
        transport: TransportId,
        path: impl Into<Cow<'static, str>>,
        datagram: LaneProfile,
        reliable: LaneProfile,
    ) -> Self {
        let in_flight = reliable.queue_bytes;
        Self { transport, path: path.into(), channel_binding: Bytes::new(), datagram, reliable, in_flight }
    }

    /// Sets how many unacknowledged bytes the whole path holds.
    #[must_use]
    pub fn holding(mut self, in_flight: NonZeroUsize) -> Self {
        self.in_flight = in_flight;
        self
    }

    /// Sets what tells this very path from any other.
    #[must_use]
    pub fn bound_to(mut self, channel_binding: Bytes) -> Self {
        self.channel_binding = channel_binding;
        self
    }

    /// Returns the profile of one lane.
    pub fn lane(&self, lane: Lane) -> &LaneProfile {
        match lane {
            Lane::Datagram => &self.datagram,
            Lane::Reliable => &self.reliable,
        }
    }
}

/// The smallest `max_message` a reliable lane may announce: 1,200 bytes, the datagram every
/// QUIC path must carry (RFC 9000 §14). A medium with less joins its own pieces.
pub const MIN_RELIABLE_MESSAGE: usize = 1_200;
