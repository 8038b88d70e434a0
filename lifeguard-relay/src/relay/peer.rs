//! One socket, before and after its hello: the seam behind which the two data paths stand.

use std::{sync::Arc, time::Duration};

use beach_lifeguard_client::{CloseCode, websocket::Violation};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    Shared,
    direct::{self, DirectPeer},
    guard::PeerGuard,
    handle::Order,
    inbound::Inbound,
    outbound::Outgoing,
    pulse::Pulse,
    reference::{self, Peer},
};
use crate::listen::Socket;

/// Which code carries the bytes. Clients cannot tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataPath {
    /// The relay's own: a message goes from the sender's task to the recipient's socket.
    #[default]
    Direct,
    /// A WebSocket library and a queue for each peer: slower, to compare with.
    Reference,
}

impl std::str::FromStr for DataPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "direct" => Ok(Self::Direct),
            "reference" => Ok(Self::Reference),
            _ => Err("there are \"direct\" and \"reference\""),
        }
    }
}

/// A WebSocket that nobody is seated on yet.
pub(super) enum WebSocket {
    Direct(direct::Opening),
    Reference(Box<reference::WebSocket<Socket>>),
}

impl WebSocket {
    /// Takes over a socket whose upgrade is done. `leftover` is what the client sent ahead of our answer.
    pub(super) async fn open(
        path: DataPath,
        socket: Socket,
        leftover: Bytes,
        pulse: Arc<Pulse>,
        buffers: Buffers,
    ) -> Self {
        match path {
            DataPath::Direct => {
                Self::Direct(direct::Opening::new(socket, leftover, pulse, buffers.max_message))
            }
            DataPath::Reference => {
                Self::Reference(Box::new(reference::open(socket, leftover, pulse, buffers).await))
            }
        }
    }

    /// Waits for the first text or binary message, for at most `deadline`.
    ///
    /// # Errors
    ///
    /// [`NoHello`] when none came.
    pub(super) async fn first_message(&mut self, deadline: Duration) -> Result<Outgoing, NoHello> {
        let first = async {
            match self {
                Self::Direct(opening) => opening.first_message().await,
                Self::Reference(ws) => reference::first_message(ws).await,
            }
        };
        timeout(deadline, first).await.unwrap_or(Err(NoHello::Timeout))
    }

    /// Says goodbye.
    pub(super) async fn close(self, order: Order) {
        match self {
            Self::Direct(opening) => opening.close(order).await,
            Self::Reference(mut ws) => reference::close(&mut ws, order).await,
        }
    }

    /// Serves an admitted peer in a task of its own.
    pub(super) fn serve(self, relay: &Shared, inbound: Inbound, guard: PeerGuard) {
        match self {
            Self::Direct(opening) => {
                relay.tasks.spawn(DirectPeer::new(opening, inbound).run(guard));
            }
            Self::Reference(ws) => {
                relay.tasks.spawn(Peer::new(*ws, inbound).run(guard));
            }
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The network or the kernel ended it without a word.
    Lost,
    /// The peer said goodbye.
    Peer,
    /// The relay ended it.
    Relay(Order),
}

impl Ending {
    /// The code under which the end is counted.
    pub(crate) fn code(self) -> CloseCode {
        match self {
            Self::Lost => CloseCode::CONNECTION_LOST,
            Self::Peer => CloseCode::NORMAL,
            Self::Relay(order) => order.code,
        }
    }
}

/// Why no hello came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHello {
    ClientClosed,
    Protocol,
    SocketClosed,
    Timeout,
    TooBig,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffers {
    pub(crate) read: usize,
    pub(crate) write: usize,
    pub(crate) max_message: usize,
}

impl From<Violation> for NoHello {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Protocol | Violation::Utf8 => Self::Protocol,
            Violation::TooBig => Self::TooBig,
        }
    }
}

impl From<Violation> for Order {
    fn from(violation: Violation) -> Self {
        let (code, reason) = match violation {
            Violation::Protocol => (CloseCode::PROTOCOL_ERROR, "protocol_error"),
            Violation::TooBig => (CloseCode::TOO_BIG, "frame_too_large"),
            Violation::Utf8 => (INVALID_UTF8, "invalid_utf8"),
        };
        Self::new(code, reason)
    }
}

/// Text that is not UTF-8 (RFC 6455 §7.4.1).
const INVALID_UTF8: CloseCode = match CloseCode::from_wire(1007) {
    Some(code) => code,
    None => CloseCode::PROTOCOL_ERROR,
};

/// For a close frame to leave.
pub(super) const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// For its answer.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_millis(500);
