//! One link to one peer, as a `Transport`.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use beach_lifeguard_client::PeerAddr;
use bytes::Bytes;
use transport_core::{CloseCode, Closed, Inbound, Initiator, Lane, Profile, Refused, Stats, Transport};

use crate::{link::Link, socket::Socket};

/// A link through the relay. The socket underneath is shared with the endpoint's other links.
pub struct WsTransport {
    profile: Profile,
    socket: Arc<Socket>,
    link: Arc<Link>,
}

impl WsTransport {
    pub(crate) fn new(profile: Profile, socket: Arc<Socket>, link: Arc<Link>) -> Self {
        Self { profile, socket, link }
    }

    /// Where the peer was when this link was opened.
    pub(crate) fn peer(&self) -> PeerAddr {
        self.link.key.peer
    }

    /// Whether the peer has opened the link too.
    pub(crate) fn is_met(&self) -> Result<bool, Closed> {
        self.socket.is_met(&self.link)
    }
}

#[async_trait]
impl Transport for WsTransport {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        self.link.outbound.try_push(lane, payload)?;
        self.socket.mark_ready(&self.link);
        Ok(())
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        self.link.outbound.writable(lane).await
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        let inbound = self.link.recv().await?;
        if self.link.has_read() {
            self.socket.move_window(&self.link);
        }
        Ok(inbound)
    }

    fn close(&self, code: CloseCode, detail: &str) {
        self.socket.close(&self.link, code, detail, FLUSH);
    }

    async fn closed(&self) -> Closed {
        let closed = self.link.outbound.closed().await;
        if closed.initiator == Initiator::Local {
            self.socket.left(&self.link).await;
        }
        closed
    }

    fn stats(&self) -> Stats {
        self.link.stats()
    }
}

impl fmt::Debug for WsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WsTransport");
        shown.field("link", &self.link.key).field("end", &self.link.outbound.end()).finish_non_exhaustive()
    }
}

impl Drop for WsTransport {
    fn drop(&mut self) {
        self.socket.close(&self.link, CloseCode::GOING_AWAY, "dropped", Duration::ZERO);
    }
}

/// How long accepted reliable messages have to leave after a close (`docs/contract.md` §6.4).
const FLUSH: Duration = Duration::from_secs(2);
