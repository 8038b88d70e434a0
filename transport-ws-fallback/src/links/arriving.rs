//! What the relay sent: frames, pings, and what becomes of links by them.

use beach_lifeguard_client::{
    Header, Kind, PeerAddr, close::CloseFrame, control::Control, frame::Window, token::TokenKind,
};
use bytes::Bytes;
use transport_core::{CloseCode, Closed, Inbound, Lane};

use super::{Links, clock::drained};
use crate::{
    early::Early,
    link::Key,
    outcome::{Arrival, Outgoing},
    runtime::{Duration, Instant},
    spares::Ticket,
};

impl Links {
    /// Takes a binary message of the relay.
    ///
    /// # Errors
    ///
    /// The end of the socket, when the relay speaks what nobody understands.
    pub(crate) fn on_frame(&mut self, frame: Bytes, now: Instant) -> Result<Arrival, Closed> {
        let settled = self.heartbeat.on_received(now);
        let broken = || Closed::local(CloseCode::BAD_FRAME, "the relay sent an unreadable frame");
        let window = Window::read(&frame).map_err(|_| broken())?;
        let (header, payload) = Header::split(frame).map_err(|_| broken())?;
        let key = Key { peer: header.peer, link: header.link };
        let mut arrival = Arrival { deliver: None, changed: settled };
        match (header.kind, window) {
            (Kind::Data, Some(window)) => {
                self.on_window(key, window, now);
                arrival.changed = true;
            }
            (Kind::Data, None) => {
                let Arrival { deliver, changed } = self.on_data(key, header.lane, payload);
                arrival = Arrival { deliver, changed: changed || settled };
            }
            (Kind::Close, _) => {
                let close = CloseFrame::decode(&payload).map_err(|_| broken())?;
                self.on_close(key, close, now);
                arrival.changed = true;
            }
            (Kind::Control, _) => {
                self.on_control(Control::decode(&payload).map_err(|_| broken())?, now);
                arrival.changed = true;
            }
            (Kind::Heartbeat, _) => {
                if self.heartbeat.on_heartbeat() {
                    self.urge(Outgoing::heartbeat());
                    arrival.changed = true;
                }
            }
            (Kind::Unknown(_), _) => {}
        }
        Ok(arrival)
    }

    /// Takes a WebSocket ping, which is answered.
    pub(crate) fn on_ping(&mut self, payload: Bytes, now: Instant) -> Arrival {
        self.heartbeat.on_received(now);
        self.urge(Outgoing::Pong(payload));
        Arrival { deliver: None, changed: true }
    }

    /// Takes a WebSocket pong: a sign of life.
    pub(crate) fn on_pong(&mut self, now: Instant) -> Arrival {
        Arrival { deliver: None, changed: self.heartbeat.on_received(now) }
    }

    pub(super) fn on_data(&mut self, key: Key, lane: Lane, payload: Bytes) -> Arrival {
        if let Some(entry) = self.open.get(&key) {
            return Arrival {
                deliver: Some((entry.link.clone(), Inbound { lane, payload })),
                changed: false,
            };
        }
        // The peer sends once it knows that this side has opened: this link is over.
        let stray = !self.ended.contains(&key);
        if stray {
            self.abandon(key, "this link is not open");
        }
        Arrival { deliver: None, changed: stray }
    }

    /// The peer has opened the link, or lets us go on.
    pub(super) fn on_window(&mut self, key: Key, window: Window, now: Instant) {
        if let Some(entry) = self.open.get_mut(&key) {
            entry.window = entry.window.max(Some(window));
            self.mark_ready(key);
        } else if !self.ended.contains(&key) && !self.early.keep(key, Early::Opened(window), now) {
            self.abandon(key, "too many links at once");
        }
    }

    pub(super) fn on_close(&mut self, key: Key, close: CloseFrame, now: Instant) {
        if let Some(entry) = self.open.remove(&key) {
            entry.link.end(Closed::peer(close.code, close.reason));
            self.remember_ended(key);
        } else if !self.ended.contains(&key) {
            self.early.keep(key, Early::Closed(close), now);
        }
    }

    pub(super) fn on_control(&mut self, control: Control, now: Instant) {
        match control {
            Control::PeerJoined(presence) => self.peer_joined(presence.peer_id, presence.peer),
            Control::PeerLeft { peer } => self.on_peer_left(peer),
            Control::Drain { after, spread } => {
                let wait = (after + spread.mul_f64(self.jitter)).min(MAX_DRAIN);
                self.leave_at.get_or_insert(now + wait);
            }
            Control::RateLimited { retry_after } => self.held_until = Some(now + retry_after.min(MAX_HOLD)),
            Control::Ticket { token, life } => {
                self.ticket = Some(Ticket { token, until: now + life.min(MAX_TICKET) });
            }
            Control::Evict { .. } | Control::Unknown => {}
        }
    }

    pub(super) fn on_peer_left(&mut self, peer: PeerAddr) {
        self.peers.retain(|_, address| *address != peer);
        self.early.forget(peer);
        // From a draining relay everybody leaves, each at a moment of its own.
        let why = match self.leave_at {
            Some(_) => drained(),
            None => Closed::network("the peer lost its connection to the relay"),
        };
        let gone: Vec<Key> = self.open.keys().filter(|key| key.peer == peer).copied().collect();
        for key in gone {
            if let Some(entry) = self.open.remove(&key) {
                entry.link.end(why.clone());
                self.remember_ended(key);
            }
        }
    }

    /// Tells a peer that a link which never opened here is over.
    pub(super) fn abandon(&mut self, key: Key, reason: &'static str) {
        self.remember_ended(key);
        let close = CloseFrame::new(CloseCode::GOING_AWAY, reason);
        self.urge(Outgoing::Frame(Header::close(key.peer, key.link).frame(&close.encode())));
    }
}

/// The longest pause and the longest drain a relay can ask for.
pub(super) const MAX_HOLD: Duration = Duration::from_secs(5);
const MAX_DRAIN: Duration = Duration::from_secs(600);
/// No ticket is kept longer, whatever the relay says.
const MAX_TICKET: Duration = Duration::from_secs(TokenKind::Rejoin.max_life_secs());
