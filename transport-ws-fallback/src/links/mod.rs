//! Everything one relay socket knows: who is there, which links are open, what is to be sent.
//! Sans-IO: the socket's shell feeds it frames and time, and carries out what it says.

mod arriving;
mod clock;
mod sending;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
};

use beach_lifeguard_client::{LinkNumber, PeerAddr, close::CloseFrame, control::Control, frame::Window};
use bytes::Bytes;
use transport_core::{CloseCode, Closed, Profile, Text};
use uuid::Uuid;

use crate::{
    early::{Early, EarlyLinks},
    entry::{Ending, Entry},
    heartbeat::Heartbeat,
    link::{Key, Link},
    outcome::Outgoing,
    runtime::{Duration, Instant},
    spares::Ticket,
};

pub(crate) use clock::CLOSING;

/// The state of one socket.
#[derive(Debug)]
pub(crate) struct Links {
    profile: Profile,
    /// The same for the way in: it holds what the windows grant.
    inbound: Profile,
    heartbeat: Heartbeat,
    /// A random number in 0..1, so that clients told to leave together do not.
    jitter: f64,
    peers: HashMap<Uuid, PeerAddr>,
    /// A few: a tree finds them without hashing.
    open: BTreeMap<Key, Entry>,
    /// Links with something to send, each once, served in turn.
    ready: VecDeque<Key>,
    early: EarlyLinks,
    /// The last links that ended: their late frames are discarded, not kept as early ones.
    ended: VecDeque<Key>,
    /// What waits for no turn: heartbeats, pongs, and closes of links that never opened.
    urgent: VecDeque<Outgoing>,
    /// Dials that hold the socket open before they have a link.
    dials: usize,
    /// Window updates to send: at most one for each half of a window that was read.
    windows: VecDeque<Bytes>,
    leave_at: Option<Instant>,
    held_until: Option<Instant>,
    retired_at: Option<Instant>,
    end: Option<(Closed, Instant)>,
    /// The newest that the relay gave.
    ticket: Option<Ticket>,
}

impl Links {
    /// Starts with one dial holding the socket open.
    pub(crate) fn new(profile: Profile, heartbeat: Heartbeat, jitter: f64) -> Self {
        let mut inbound = profile.clone();
        let granted = profile.in_flight.min(profile.reliable.queue_bytes).max(MIN_WINDOW);
        inbound.in_flight = granted;
        inbound.reliable.queue_bytes = granted;
        Self {
            profile,
            inbound,
            heartbeat,
            jitter,
            peers: HashMap::new(),
            open: BTreeMap::new(),
            ready: VecDeque::new(),
            early: EarlyLinks::default(),
            ended: VecDeque::new(),
            urgent: VecDeque::new(),
            dials: 1,
            windows: VecDeque::new(),
            leave_at: None,
            held_until: None,
            retired_at: None,
            end: None,
            ticket: None,
        }
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Notes who is there.
    pub(crate) fn peer_joined(&mut self, peer_id: Uuid, peer: PeerAddr) {
        if self.peers.len() < MAX_PEERS || self.peers.contains_key(&peer_id) {
            self.peers.insert(peer_id, peer);
        }
    }

    /// Where `peer_id` is; `Err` once the socket has ended.
    pub(crate) fn find(&self, peer_id: Uuid) -> Result<Option<PeerAddr>, Closed> {
        match &self.end {
            Some((closed, _)) => Err(closed.clone()),
            None => Ok(self.peers.get(&peer_id).copied()),
        }
    }

    /// The newest ticket for coming back.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.ticket.clone()
    }

    /// The newest link that `peer_id` has opened and this side has not.
    pub(crate) fn called_by(&self, peer_id: Uuid) -> Result<Option<u32>, Closed> {
        Ok(self.find(peer_id)?.and_then(|peer| self.early.newest_of(peer)))
    }

    /// Holds the socket open for one more dial, if it takes any.
    pub(crate) fn hold(&mut self) -> bool {
        let usable = self.end.is_none() && self.retired_at.is_none() && self.leave_at.is_none();
        self.dials += usize::from(usable);
        usable
    }

    /// Ends one hold.
    pub(crate) fn release(&mut self) {
        self.dials = self.dials.saturating_sub(1);
    }

    /// Opens a link on this side and tells the peer. `None` when it is open already.
    ///
    /// The end of the socket comes as the end of the link: one way to learn it.
    pub(crate) fn open(&mut self, key: Key) -> Option<Arc<Link>> {
        if self.open.contains_key(&key) {
            return None;
        }
        let link = Arc::new(Link::new(key, &self.profile, &self.inbound));
        if let Some((closed, _)) = &self.end {
            link.end(closed.clone());
            link.leave();
            return Some(link);
        }
        let window = match self.early.take(key) {
            Some(Early::Closed(close)) => {
                link.end(Closed::peer(close.code, close.reason));
                link.leave();
                self.remember_ended(key);
                return Some(link);
            }
            Some(Early::Opened(window)) => Some(window),
            None => None,
        };
        let entry = Entry::new(link.clone(), window);
        self.open.insert(key, entry);
        self.move_window(&link);
        Some(link)
    }

    /// Whether a link was closed on this side and its last frame has not left.
    pub(crate) fn is_ending(&self, key: Key) -> bool {
        self.open.get(&key).is_some_and(|entry| entry.ending.is_some())
    }

    /// Whether the peer has opened the link too.
    ///
    /// # Errors
    ///
    /// The end of the link.
    pub(crate) fn is_met(&self, link: &Link) -> Result<bool, Closed> {
        match link.outbound.end() {
            Some(closed) => Err(closed),
            None => Ok(self.open.get(&link.key).is_some_and(|entry| entry.window.is_some())),
        }
    }

    /// Notes that a link has something to send.
    pub(crate) fn mark_ready(&mut self, key: Key) -> bool {
        let Some(entry) = self.open.get_mut(&key).filter(|entry| !entry.ready) else { return false };
        entry.ready = true;
        self.ready.push_back(key);
        true
    }

    /// Tells the peer of `link` to go on, if enough was read. The endpoint's links share what the relay
    /// holds for it. Returns whether there is something to write.
    pub(crate) fn move_window(&mut self, link: &Link) -> bool {
        if !self.open.contains_key(&link.key) {
            return false;
        }
        let ahead = self.ahead();
        let Some(window) = link.move_window(ahead, ahead / ALONE) else { return false };
        self.windows.push_back(window.frame(link.key.peer, link.key.link));
        true
    }

    /// How far each peer may be ahead of what was read.
    fn ahead(&self) -> u64 {
        let share = self.inbound.in_flight.get() / self.open.len().max(1);
        share.max(MIN_WINDOW.get()) as u64
    }

    /// Ends a link from this side; the first end wins. Its queue has until `now + flush` to leave.
    pub(crate) fn close(
        &mut self,
        link: &Link,
        code: CloseCode,
        detail: Text,
        flush: Duration,
        now: Instant,
    ) {
        let close = CloseFrame::new(code, detail);
        if !link.end(Closed::local(code, close.reason.clone())) {
            return;
        }
        if let Some(entry) = self.open.get_mut(&link.key) {
            entry.ending = Some(Ending { close, until: now + flush });
            self.mark_ready(link.key);
        }
    }

    /// Whether a link or a dial needs the socket.
    pub(crate) fn in_use(&self) -> bool {
        self.dials > 0 || !self.open.is_empty()
    }

    /// Tells the relay to put a peer out of the session. Whoever may not is closed for it.
    pub(crate) fn evict(&mut self, peer_id: Uuid) {
        // Never left out for want of room: there is one for each decision of a person.
        self.urgent.push_back(Outgoing::Frame(Control::Evict { peer_id }.frame()));
    }

    fn urge(&mut self, frame: Outgoing) {
        if self.urgent.len() < MAX_URGENT {
            self.urgent.push_back(frame);
        }
    }

    fn remember_ended(&mut self, key: Key) {
        if self.ended.len() >= MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(key);
    }
}

pub(crate) fn key(peer: PeerAddr, link: u32) -> Key {
    Key { peer, link: LinkNumber(link) }
}

/// The part of a window that must have been read before the window goes out by itself.
const ALONE: u64 = 2;

/// The least a link may send ahead of its reader, however many links share the socket.
const MIN_WINDOW: NonZeroUsize = NonZeroUsize::new(Window::LEAST.0 as usize).expect("not zero");

/// Peers remembered; a session has far fewer.
const MAX_PEERS: usize = 10_000;

/// Ended links remembered: more than ever overlap.
const MAX_ENDED: usize = 64;

/// Urgent frames that may wait; beyond it they repeat themselves.
const MAX_URGENT: usize = 64;

#[cfg(test)]
mod tests;
