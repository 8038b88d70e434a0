//! What the links of a socket tell its shell to do.

use std::sync::Arc;

use beach_lifeguard_client::{Header, Kind, frame::HEADER_BYTES};
use bytes::Bytes;
use transport_core::{Closed, Inbound};

use crate::{entry::Entry, link::Link, runtime::Instant};

/// What a frame led to.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    /// A message for an open link.
    pub(crate) deliver: Option<(Arc<Link>, Inbound)>,
    /// Something else changed: the writer, the watch and the waiting dials should look again.
    pub(crate) changed: bool,
}

/// One WebSocket message on its way to the relay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// A message of a link. Joined only where it is sent: it may be large.
    Data(Header, Bytes),
    /// Any other frame, whole.
    Frame(Bytes),
    /// A WebSocket ping: the socket is in doubt.
    Ping,
    /// The answer to a WebSocket ping.
    Pong(Bytes),
}

impl Outgoing {
    /// A sign of life, or the answer to one.
    pub(crate) fn heartbeat() -> Self {
        Self::Frame(Header::relay(Kind::Heartbeat).frame(&[]))
    }

    /// Bytes of its payload, the relay's header included.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Data(_, payload) => HEADER_BYTES + payload.len(),
            Self::Frame(bytes) | Self::Pong(bytes) => bytes.len(),
            Self::Ping => 0,
        }
    }
}

/// What the writer does next.
#[derive(Debug)]
pub(crate) struct Batch {
    /// What to write, then to flush once.
    pub(crate) frames: Vec<Outgoing>,
    /// Links whose last frame is among them: they have left once it is written.
    pub(crate) leaving: Vec<Entry>,
    /// Nobody uses the socket any more and everything was said: close it.
    pub(crate) done: bool,
    /// The relay asked for a pause until then.
    pub(crate) resume_at: Option<Instant>,
    /// An answer is awaited from now on: the watch must look earlier than it meant to.
    pub(crate) awaits: bool,
}

/// What the clock led to.
#[derive(Debug)]
pub(crate) enum Tick {
    /// The socket's time is over.
    End(Closed),
    /// Look again then, or when something changed.
    Wait {
        until: Instant,
        /// The writer has something to do.
        write: bool,
    },
}
