//! What a dial has of the socket before it has a link.

use std::sync::Arc;

use tokio::sync::watch;
use transport_core::{Closed, Generation, PeerId};

use super::Socket;
use crate::{links::key, token::uuid, transport::WsTransport};

/// Keeps a socket open for a dial that has no link yet.
#[derive(Debug)]
pub(crate) struct DialGuard(pub(super) Arc<Socket>);

impl DialGuard {
    /// Opens link number `generation` to `peer`, and waits until the peer has opened it too. `None` when
    /// it is open already.
    ///
    /// The peer may not be at the relay yet, or still be known by the address of a connection that is
    /// dead: the link follows it to its newest one.
    ///
    /// # Errors
    ///
    /// The end of the link or of the socket.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the peer is told that the link is given up.
    pub(crate) async fn open(&self, peer: PeerId, generation: u32) -> Result<Option<WsTransport>, Closed> {
        let peer_id = uuid(peer.as_bytes());
        let mut opened: Option<WsTransport> = None;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let address = self.0.links.lock().find(peer_id)?;
            if address.is_none_or(|address| opened.as_ref().is_some_and(|link| link.peer() != address)) {
                opened = None;
            }
            if let (None, Some(address)) = (&opened, address) {
                let key = key(address, generation);
                let (link, is_ending) = {
                    let mut links = self.0.links.lock();
                    (links.open(key), links.is_ending(key))
                };
                self.0.outgoing.notify_one();
                let Some(link) = link else {
                    if is_ending {
                        // Of an attempt before, on a path that takes nothing at the moment.
                        changed.await;
                        continue;
                    }
                    return Ok(None);
                };
                opened = Some(WsTransport::new(self.0.links.lock().profile().clone(), self.0.clone(), link));
            }
            if let Some(link) = opened.take_if(|link| link.is_met() != Ok(false)) {
                return link.is_met().map(|_| Some(link));
            }
            changed.await;
        }
    }

    /// Tells each link that `peer` opens and nobody here has opened, until the socket ends.
    pub(crate) async fn attend(&self, peer: PeerId, calls: &watch::Sender<Generation>) -> Closed {
        let peer_id = uuid(peer.as_bytes());
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.0.links.lock().called_by(peer_id) {
                Err(closed) => return closed,
                Ok(None) => {}
                Ok(Some(link)) => {
                    calls.send_if_modified(|known| {
                        let is_new = known.0 != link;
                        known.0 = link;
                        is_new
                    });
                }
            }
            changed.await;
        }
    }
}

impl Drop for DialGuard {
    fn drop(&mut self) {
        self.0.links.lock().release();
        self.0.outgoing.notify_one();
        self.0.rescheduled.notify_one();
    }
}
