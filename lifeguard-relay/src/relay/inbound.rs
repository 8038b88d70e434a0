//! What a peer's messages mean: forwarded, answered or refused.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use beach_lifeguard_client::{
    Access, CloseCode, Header, Kind, Lane, PeerAddr,
    close::CloseFrame,
    control::Control,
    frame::{self, HEADER_BYTES},
};
use bytes::{Bytes, BytesMut};

use super::{
    Shared,
    fanout::{Routed, broadcast_v1, route},
    handle::{Order, PeerHandle},
    limits::Tab,
    outbound::Outgoing,
    registry::{Session, Wire},
    session::SessionShared,
};

/// The way from one peer's socket to everybody else.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(super) handle: Arc<PeerHandle>,
    pub(super) tab: Tab,
    relay: Arc<Shared>,
    session: Arc<Session<Arc<PeerHandle>, SessionShared>>,
    access: Access,
}

impl Inbound {
    pub(super) fn new(
        relay: Arc<Shared>,
        session: Arc<Session<Arc<PeerHandle>, SessionShared>>,
        handle: Arc<PeerHandle>,
        access: Access,
    ) -> Self {
        let limits = &relay.config.limits;
        let bytes = match access {
            Access::Full => limits.connection_bytes,
            Access::ReadOnly => limits.read_only_bytes,
        };
        let tab = Tab::new(bytes, limits.connection_frames);
        Self { handle, tab, relay, session, access }
    }

    /// Takes one message off the socket.
    ///
    /// # Errors
    ///
    /// The order to end the connection.
    pub(super) fn take(&mut self, message: Outgoing) -> Result<(), Order> {
        match (self.handle.wire, message) {
            (Wire::V1, message) => {
                self.take_v1(message);
                Ok(())
            }
            (Wire::V2, Outgoing::Binary(frame)) => self.take_v2(frame),
            (Wire::V2, Outgoing::Text(_)) => Err(Order::new(CloseCode::BAD_FRAME, "unexpected_frame")),
        }
    }

    fn take_v2(&mut self, frame: Bytes) -> Result<(), Order> {
        let header = Header::decode(&frame).map_err(|_| Order::new(CloseCode::BAD_FRAME, "bad_frame"))?;
        match header.kind {
            Kind::Data | Kind::Close => self.forward(header, &frame),
            Kind::Heartbeat if frame.len() == HEADER_BYTES => {
                self.tab.charge(frame.len());
                self.answer(Header::relay(Kind::Heartbeat).frame(&[]));
                Ok(())
            }
            Kind::Heartbeat | Kind::Control | Kind::Unknown(_) => {
                Err(Order::new(CloseCode::BAD_FRAME, "unexpected_frame"))
            }
        }
    }

    fn forward(&mut self, header: Header, frame: &[u8]) -> Result<(), Order> {
        let message = Outgoing::Binary(readdressed(frame, self.handle.address));
        let routed = self.session.with_roster(|roster| {
            route(roster, self.handle.address, header.peer, |peer| self.deliver(peer, header.lane, &message))
        });
        self.tab.charge(frame.len());
        match routed {
            Routed::Delivered(copies) => self.count(frame.len(), copies),
            Routed::Departed if header.kind == Kind::Data => {
                self.relay.metrics.frame_undeliverable();
                let gone = CloseFrame::new(CloseCode::GOING_AWAY, "peer_left").encode();
                self.answer(Header::close(header.peer, header.link).frame(&gone));
            }
            Routed::Departed | Routed::Fenced => self.relay.metrics.frame_undeliverable(),
            Routed::Forbidden => return Err(Order::new(CloseCode::ROLE, "role_forbids")),
        }
        Ok(())
    }

    /// v1: every message goes to everybody else, as it is.
    fn take_v1(&mut self, message: Outgoing) {
        let len = message.bytes().len();
        self.tab.charge(len);
        if self.access == Access::ReadOnly {
            self.relay.metrics.read_only_dropped();
            return;
        }
        // Its own copy: a slice of the read buffer would keep the whole buffer alive in a slow queue.
        let message = match message {
            Outgoing::Binary(bytes) => Outgoing::Binary(Bytes::copy_from_slice(&bytes)),
            Outgoing::Text(bytes) => Outgoing::Text(Bytes::copy_from_slice(&bytes)),
        };
        let routed = self.session.with_roster(|roster| {
            broadcast_v1(roster, self.handle.address, |peer| self.deliver(peer, Lane::Reliable, &message))
        });
        if let Routed::Delivered(copies) = routed {
            self.count(len, copies);
        }
    }

    fn deliver(&self, peer: &Arc<PeerHandle>, lane: Lane, message: &Outgoing) {
        let evicted = peer.push(lane, message.clone());
        if evicted.frames > 0 {
            self.relay.metrics.datagrams_evicted(evicted.frames);
        }
    }

    fn count(&mut self, len: usize, copies: usize) {
        self.tab.charge_copies(len, copies);
        self.relay.metrics.forwarded(len, copies);
        self.session.shared.forwarded.fetch_add(copies as u64, Relaxed);
    }

    /// Pays what can be paid; returns how long the sender must be held, if it must.
    pub(super) fn settle(&mut self) -> Option<Duration> {
        self.tab.settle(&self.session.shared.meter, &self.relay.egress)
    }

    /// How long a sender may be held without a break before it is cut.
    pub(super) fn patience(&self) -> Duration {
        self.relay.config.limits.patience
    }

    /// The order in the words of the peer's wire: deployed v1 clients know the idle recycler's by heart.
    pub(super) fn spoken(&self, order: Order) -> Order {
        match (self.handle.wire, order.code) {
            (Wire::V1, CloseCode::IDLE) => Order::new(CloseCode::POLICY, "idle timeout"),
            _ => order,
        }
    }

    /// Tells the sender something about itself. v1 has no words for it.
    pub(super) fn tell_sender(&self, control: &Control) {
        self.relay.metrics.rate_limited();
        if self.handle.wire == Wire::V2 {
            self.answer(control.frame());
        }
    }

    fn answer(&self, frame: Bytes) {
        self.handle.push(Lane::Reliable, Outgoing::Binary(frame));
    }
}

/// The frame as its recipients see it: the sender's seat where the destination was. A copy of its own,
/// exactly as large as the frame: a slice of the read buffer would keep all of that alive in the queue of
/// whoever is slow.
fn readdressed(frame: &[u8], source: PeerAddr) -> Bytes {
    let mut copy = BytesMut::from(frame);
    // The header was decoded from these bytes, so it is there.
    let _ = frame::set_peer(&mut copy, source);
    copy.freeze()
}
