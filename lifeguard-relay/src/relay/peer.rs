//! One socket, before and after its hello. Tests may choose the library's data path to compare ours with.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    activity::Activity,
    core::Core,
    direct::{DirectPeer, Opening},
    ending::{NoHello, Order},
    guard::PeerGuard,
    inbound::Inbound,
    outbound::Outgoing,
};
#[cfg(feature = "reference-path")]
use super::{config::DataPath, reference};
use crate::listen::Socket;

/// A WebSocket whose peer is not in a session yet.
pub(super) enum WebSocket {
    Direct(Opening),
    #[cfg(feature = "reference-path")]
    Reference(Box<reference::WebSocket<Socket>>),
}

impl WebSocket {
    /// Takes over a socket whose upgrade is done. `leftover` is what the client sent ahead of our answer.
    pub(super) async fn open(
        relay: &Core,
        socket: Socket,
        leftover: Bytes,
        activity: Arc<Activity>,
        max_message: usize,
    ) -> Self {
        #[cfg(feature = "reference-path")]
        if relay.config.data_path == DataPath::Reference {
            let ws = reference::open(socket, leftover, activity, max_message).await;
            return Self::Reference(Box::new(ws));
        }
        let _ = relay;
        Self::Direct(Opening::new(socket, leftover, activity, max_message))
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
                #[cfg(feature = "reference-path")]
                Self::Reference(ws) => reference::first_message(ws).await,
            }
        };
        timeout(deadline, first).await.unwrap_or(Err(NoHello::Timeout))
    }

    /// The socket, and what came behind the first message. A library does not give back what it has read ahead.
    pub(super) fn into_bytes(self) -> Result<(Box<Socket>, Vec<u8>), Self> {
        match self {
            Self::Direct(opening) => Ok(opening.into_bytes()),
            #[cfg(feature = "reference-path")]
            reference @ Self::Reference(_) => Err(reference),
        }
    }

    /// Says goodbye.
    pub(super) async fn close(self, order: Order) {
        match self {
            Self::Direct(opening) => opening.close(order).await,
            #[cfg(feature = "reference-path")]
            Self::Reference(mut ws) => reference::close(&mut ws, order).await,
        }
    }

    /// Serves an admitted peer in a task of its own.
    pub(super) fn serve(self, relay: &Core, inbound: Inbound, guard: PeerGuard) {
        match self {
            Self::Direct(opening) => {
                relay.tasks.spawn(DirectPeer::new(opening, inbound).run(guard));
            }
            #[cfg(feature = "reference-path")]
            Self::Reference(ws) => {
                relay.tasks.spawn(reference::Peer::new(*ws, inbound).run(guard));
            }
        }
    }
}
