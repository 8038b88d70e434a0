//! One link to one peer, as a `Transport`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use transport_core::{CloseCode, Closed, Inbound, Lane, Profile, Refused, Stats, Transport};

use crate::{link::Link, socket::Socket};

/// A link through the relay. The socket underneath is shared with the endpoint's other links.
#[derive(Debug)]
pub struct WsTransport {
    profile: Profile,
    socket: Arc<Socket>,
    link: Arc<Link>,
}

impl WsTransport {
    pub(crate) fn new(profile: Profile, socket: Arc<Socket>, link: Arc<Link>) -> Self {
        Self { profile, socket, link }
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
        self.link.outbound.closed().await
    }

    fn stats(&self) -> Stats {
        self.link.stats()
    }
}

impl Drop for WsTransport {
    fn drop(&mut self) {
        self.socket.close(&self.link, CloseCode::GOING_AWAY, "dropped", Duration::ZERO);
    }
}

/// How long accepted reliable messages have to leave after a close (`docs/contract.md` §6.4).
const FLUSH: Duration = Duration::from_secs(2);
