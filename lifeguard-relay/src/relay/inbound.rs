//! What a peer's messages mean: forwarded, answered or refused.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use beach_lifeguard_client::{
    Access, CloseCode, Header, Kind, Lane, PeerAddr, Role,
    close::CloseFrame,
    control::Control,
    frame::{self, HEADER_BYTES},
};
use bytes::Bytes;

use super::{
    core::Core,
    ending::Order,
    fanout::{Routed, broadcast_v1, route},
    handle::PeerHandle,
    limits::Tab,
    notice,
    outbound::Outgoing,
    registry::{Session, Wire},
    run::Run,
    session::SessionShared,
    ws::Frame,
};

/// The way from one peer's socket to everybody else.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(super) handle: Arc<PeerHandle>,
    pub(super) tab: Tab,
    relay: Arc<Core>,
    session: Arc<Session<Arc<PeerHandle>, SessionShared>>,
    role: Role,
    access: Access,
}

impl Inbound {
    pub(super) fn new(
        relay: Arc<Core>,
        session: Arc<Session<Arc<PeerHandle>, SessionShared>>,
        handle: Arc<PeerHandle>,
        (role, access): (Role, Access),
    ) -> Self {
        let limits = &relay.config.limits;
        let bytes = match access {
            Access::Full => limits.connection_bytes,
            Access::ReadOnly => limits.read_only_bytes,
        };
        let tab = Tab::new(bytes, limits.connection_frames);
        Self { handle, tab, relay, session, role, access }
    }

    /// Takes one message of the reference data path.
    ///
    /// # Errors
    ///
    /// The order to end the connection.
    #[cfg(feature = "reference-path")]
    pub(super) fn take(&mut self, message: &Outgoing) -> Result<(), Order> {
        let head =
            beach_lifeguard_client::websocket::HeadBytes::server(message.opcode(), message.bytes().len());
        let mut bytes = [head.as_bytes(), message.bytes()].concat();
        let text = matches!(message, Outgoing::Text(_));
        let frame = Frame { text, start: 0, payload: head.as_bytes().len(), end: bytes.len() };
        self.take_frames(&mut bytes, &[frame])
    }

    /// Takes the frames of one read, which follow each other in `bytes` without a gap. Those with the same
    /// destination and lane travel together.
    ///
    /// # Errors
    ///
    /// The order to end the connection; what came before the fault is forwarded.
    pub(super) fn take_frames(&mut self, bytes: &mut [u8], frames: &[Frame]) -> Result<(), Order> {
        match self.handle.wire {
            _ if frames.is_empty() => Ok(()),
            Wire::V1 => {
                self.take_v1(&Run::new(bytes, frames));
                Ok(())
            }
            Wire::V2 => self.take_v2(bytes, frames),
        }
    }

    fn take_v2(&mut self, bytes: &mut [u8], frames: &[Frame]) -> Result<(), Order> {
        // Where the current run began, and where it goes.
        let (mut from, mut way) = (0, None);
        for (at, frame) in frames.iter().enumerate() {
            let next = self.way(&mut bytes[frame.payload()], frame.text);
            if way.is_some() && next != Ok(way) {
                self.forward(way.take(), &Run::new(bytes, &frames[from..at]))?;
            }
            let next = next?;
            if way.is_none() {
                from = at;
            }
            way = next;
        }
        self.forward(way, &Run::new(bytes, &frames[from..]))
    }

    /// Where a frame goes; its recipients will see the sender's address in that place. `None` for one that goes
    /// nowhere because it was for the relay.
    fn way(&mut self, frame: &mut [u8], text: bool) -> Result<Option<Way>, Order> {
        if text {
            return Err(Order::new(CloseCode::BAD_FRAME, "unexpected_frame"));
        }
        let header = Header::decode(frame).map_err(|_| Order::new(CloseCode::BAD_FRAME, "bad_frame"))?;
        match header.kind {
            Kind::Data | Kind::Close => {
                // The header was decoded from these bytes, so it is there.
                let _ = frame::set_peer(frame, self.handle.address);
                Ok(Some(Way { to: header.peer, lane: header.lane }))
            }
            Kind::Heartbeat if frame.len() == HEADER_BYTES => {
                self.tab.charge(frame.len());
                self.answer(Header::relay(Kind::Heartbeat).frame(&[]));
                Ok(None)
            }
            Kind::Control => {
                self.tab.charge(frame.len());
                self.obey(&frame[HEADER_BYTES..]).map(|()| None)
            }
            Kind::Heartbeat | Kind::Unknown(_) => Err(Order::new(CloseCode::BAD_FRAME, "unexpected_frame")),
        }
    }

    /// Does what a host asks of the relay itself.
    fn obey(&self, control: &[u8]) -> Result<(), Order> {
        let Ok(Control::Evict { peer_id }) = Control::decode(control) else {
            return Err(Order::new(CloseCode::BAD_FRAME, "unexpected_frame"));
        };
        if self.role != Role::Host {
            return Err(Order::new(CloseCode::ROLE, "role_forbids"));
        }
        if let Some(peer) = self.session.evict(peer_id, notice::tell) {
            self.relay.metrics.peer_evicted();
            peer.end(Order::new(CloseCode::REMOVED, "removed"));
        }
        Ok(())
    }

    fn forward(&mut self, way: Option<Way>, run: &Run<'_>) -> Result<(), Order> {
        let Some(Way { to, lane }) = way else { return Ok(()) };
        let routed = self.session.with_roster(|roster| {
            route(roster, self.handle.address, to, |peer| self.deliver(peer, lane, run))
        });
        run.payloads().for_each(|frame| self.tab.charge(frame.len()));
        match routed {
            Routed::Delivered(copies) => self.count(run, copies),
            Routed::Departed => self.tell_departed(to, run),
            Routed::Fenced => run.payloads().for_each(|_| self.relay.metrics.frame_undeliverable()),
            Routed::Forbidden => return Err(Order::new(CloseCode::ROLE, "role_forbids")),
        }
        Ok(())
    }

    fn tell_departed(&self, to: PeerAddr, run: &Run<'_>) {
        for frame in run.payloads() {
            self.relay.metrics.frame_undeliverable();
            if let Ok(Header { kind: Kind::Data, link, .. }) = Header::decode(frame) {
                let gone = CloseFrame::new(CloseCode::GOING_AWAY, "peer_left").encode();
                self.answer(Header::close(to, link).frame(&gone));
            }
        }
    }

    /// v1: every message goes to everybody else, as it is.
    fn take_v1(&mut self, run: &Run<'_>) {
        run.payloads().for_each(|message| self.tab.charge(message.len()));
        if self.access == Access::ReadOnly {
            run.payloads().for_each(|_| self.relay.metrics.read_only_dropped());
            return;
        }
        let routed = self.session.with_roster(|roster| {
            broadcast_v1(roster, self.handle.address, |peer| self.deliver(peer, Lane::Reliable, run))
        });
        if let Routed::Delivered(copies) = routed {
            self.count(run, copies);
        }
    }

    fn deliver(&self, peer: &Arc<PeerHandle>, lane: Lane, run: &Run<'_>) {
        let evicted = peer.deliver(lane, run, self.handle.last_read());
        if evicted.frames > 0 {
            self.relay.metrics.datagrams_evicted(evicted.frames);
        }
    }

    fn count(&mut self, run: &Run<'_>, copies: usize) {
        let mut messages = 0;
        let sizes = run.payloads().map(|message| {
            messages += 1;
            self.tab.charge_copies(message.len(), copies);
            message.len()
        });
        self.relay.metrics.forwarded(sizes, copies);
        self.session.shared.forwarded.fetch_add(messages * copies as u64, Relaxed);
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

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    to: PeerAddr,
    lane: Lane,
}
