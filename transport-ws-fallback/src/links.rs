//! Everything one relay socket knows: who is there, which links are open, what is to be sent.
//! Sans-IO: the socket's shell feeds it frames and time, and carries out what it says.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
};

use beach_lifeguard_client::{
    Header, Kind, LinkId, PeerAddr, close::CloseFrame, control::Control, frame::Window,
};
use bytes::Bytes;
use transport_core::{CloseCode, Closed, Inbound, Lane, Profile, Text};
use uuid::Uuid;

use crate::{
    early::{Early, EarlyLinks},
    entry::{Ending, Entry},
    heartbeat::{Beat, Heartbeat},
    link::{Key, Link},
    outcome::{Arrival, Batch, Outgoing, Tick},
    runtime::{Duration, Instant},
};

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

    /// Takes a binary message of the relay.
    ///
    /// # Errors
    ///
    /// The end of the socket, when the relay speaks what nobody understands.
    pub(crate) fn on_frame(&mut self, frame: Bytes, now: Instant) -> Result<Arrival, Closed> {
        self.heartbeat.on_received(now);
        let broken = || Closed::local(CloseCode::BAD_FRAME, "the relay sent an unreadable frame");
        let window = Window::read(&frame).map_err(|_| broken())?;
        let (header, payload) = Header::split(frame).map_err(|_| broken())?;
        let key = Key { peer: header.peer, link: header.link };
        let mut arrival = Arrival::default();
        match (header.kind, window) {
            (Kind::Data, Some(window)) => {
                self.on_window(key, window, now);
                arrival.changed = true;
            }
            (Kind::Data, None) => arrival = self.on_data(key, header.lane, payload),
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
        self.heartbeat.on_received(now);
        Arrival::default()
    }

    /// Collects what is to be written: urgent frames first, then one message of each link in turn.
    pub(crate) fn next_batch(&mut self, now: Instant) -> Batch {
        let windows = self.windows.drain(..).map(Outgoing::Frame);
        let mut frames: Vec<Outgoing> = self.urgent.drain(..).chain(windows).collect();
        let held = self.held_until.filter(|until| now < *until);
        let (mut bytes, mut leaving) = (0, Vec::new());
        while held.is_none() && bytes < BATCH_BYTES {
            let Some(frame) = self.next_frame(now, &mut leaving) else { break };
            bytes += frame.len();
            frames.push(frame);
        }
        if !frames.is_empty() {
            self.heartbeat.on_sent(now);
            let ahead = self.ahead();
            let riding = self.open.values().filter_map(|entry| {
                let window = entry.link.move_window(ahead, ahead / RIDING)?;
                Some(Outgoing::Frame(window.frame(entry.link.key.peer, entry.link.key.link)))
            });
            frames.extend(riding);
        }
        let done = frames.is_empty() && self.dials == 0 && self.open.is_empty();
        if done {
            self.retired_at.get_or_insert(now);
        }
        Batch { frames, leaving, done, resume_at: held }
    }

    /// Looks at the clock.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        if let Some((closed, _)) = &self.end {
            return Tick::End(closed.clone());
        }
        if self.leave_at.is_some_and(|at| at <= now) {
            return Tick::End(drained());
        }
        let overdue = self.overdue();
        if overdue.is_some_and(|at| at <= now) {
            return Tick::End(Closed::local(CloseCode::NORMAL, "nobody uses it any more"));
        }
        let late: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, entry)| entry.flush_until().is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        let mut write = false;
        for key in late {
            write |= self.mark_ready(key);
        }
        for key in self.early.expire(now) {
            self.abandon(key, "nobody here opened this link");
        }
        let mut beat = self.heartbeat.poll(now);
        if beat == Beat::Send {
            self.urge(Outgoing::heartbeat());
            beat = self.heartbeat.poll(now);
        }
        let Beat::Wait(beat) = beat else {
            let silent = self.heartbeat.patience().as_secs_f32();
            return Tick::End(Closed::network(format!("no sign of life from the relay for {silent} s")));
        };
        let flush = self.open.values().filter_map(Entry::flush_until).filter(|at| now < *at).min();
        let others = [self.leave_at, self.early.next_expiry(), overdue, flush];
        let until = others.into_iter().flatten().fold(beat, Instant::min);
        Tick::Wait { until, write: write || !self.urgent.is_empty() }
    }

    /// Ends the socket and every link on it; the first end wins.
    pub(crate) fn end(&mut self, closed: Closed, now: Instant) {
        if self.end.is_some() {
            return;
        }
        for entry in self.open.values() {
            entry.link.end(closed.clone());
        }
        self.open.clear();
        self.ready.clear();
        self.end = Some((closed, now));
    }

    /// How and when the socket ended, if it has.
    pub(crate) fn ended(&self) -> Option<&(Closed, Instant)> {
        self.end.as_ref()
    }

    /// Leaves a draining relay now instead of at the drawn moment: a new dial must not wait.
    pub(crate) fn leave_if_draining(&mut self, now: Instant) {
        if self.leave_at.is_some() {
            self.end(drained(), now);
        }
    }

    fn next_frame(&mut self, now: Instant, leaving: &mut Vec<Entry>) -> Option<Outgoing> {
        loop {
            let key = self.ready.pop_front()?;
            let Some(entry) = self.open.get_mut(&key) else { continue };
            let overdue = entry.ending.as_ref().is_some_and(|ending| ending.until <= now);
            if let Some(Inbound { lane, payload }) = if overdue { None } else { entry.next_message() } {
                self.ready.push_back(key);
                return Some(Outgoing::Data(Header::data(lane, key.peer, key.link), payload));
            }
            entry.ready = false;
            if entry.is_blocked() && !overdue {
                continue;
            }
            if let Some(ending) = entry.ending.take() {
                leaving.extend(self.open.remove(&key));
                self.remember_ended(key);
                let close = Header::close(key.peer, key.link).frame(&ending.close.encode());
                return Some(Outgoing::Frame(close));
            }
        }
    }

    fn on_data(&mut self, key: Key, lane: Lane, payload: Bytes) -> Arrival {
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
    fn on_window(&mut self, key: Key, window: Window, now: Instant) {
        if let Some(entry) = self.open.get_mut(&key) {
            entry.window = entry.window.max(Some(window));
            self.mark_ready(key);
        } else if !self.ended.contains(&key) && !self.early.keep(key, Early::Opened(window), now) {
            self.abandon(key, "too many links at once");
        }
    }

    fn on_close(&mut self, key: Key, close: CloseFrame, now: Instant) {
        if let Some(entry) = self.open.remove(&key) {
            entry.link.end(Closed::peer(close.code, close.reason));
            self.remember_ended(key);
        } else if !self.ended.contains(&key) {
            self.early.keep(key, Early::Closed(close), now);
        }
    }

    fn on_control(&mut self, control: Control, now: Instant) {
        match control {
            Control::PeerJoined(presence) => self.peer_joined(presence.peer_id, presence.peer),
            Control::PeerLeft { peer } => self.on_peer_left(peer),
            Control::Drain { after, spread } => {
                let wait = (after + spread.mul_f64(self.jitter)).min(MAX_DRAIN);
                self.leave_at.get_or_insert(now + wait);
            }
            Control::RateLimited { retry_after } => self.held_until = Some(now + retry_after.min(MAX_HOLD)),
            Control::Unknown => {}
        }
    }

    fn on_peer_left(&mut self, peer: PeerAddr) {
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
    fn abandon(&mut self, key: Key, reason: &'static str) {
        self.remember_ended(key);
        let close = CloseFrame::new(CloseCode::GOING_AWAY, reason);
        self.urge(Outgoing::Frame(Header::close(key.peer, key.link).frame(&close.encode())));
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

    /// When a socket that nobody uses must be gone, though the path takes nothing.
    fn overdue(&self) -> Option<Instant> {
        if let Some(at) = self.retired_at {
            return Some(at + CLOSING);
        }
        let endings = self.open.values().map(Entry::flush_until);
        let last = endings.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        (self.dials == 0).then_some(last + CLOSING)
    }
}

pub(crate) fn key(peer: PeerAddr, link: u32) -> Key {
    Key { peer, link: LinkId(link) }
}

fn drained() -> Closed {
    Closed::peer(CloseCode::DRAIN, "the relay drains")
}

/// Bytes written before one flush: enough to make the system call cheap, little enough that a
/// keystroke of another link waits for one batch only.
const BATCH_BYTES: usize = 64 << 10;

/// A window goes out by itself once this part of it was read …
const ALONE: u64 = 2;
/// … and with whatever is written anyway, an acknowledgement most of the time, once this part was.
const RIDING: u64 = 8;

/// The least a link may send ahead of its reader, however many links share the socket.
const MIN_WINDOW: NonZeroUsize = NonZeroUsize::new(Window::LEAST.0 as usize).expect("not zero");

/// Peers remembered; a session has far fewer.
const MAX_PEERS: usize = 10_000;

/// Ended links remembered: more than ever overlap.
const MAX_ENDED: usize = 64;

/// Urgent frames that may wait; beyond it they repeat themselves.
const MAX_URGENT: usize = 64;

/// The longest pause and the longest drain a relay can ask for.
const MAX_HOLD: Duration = Duration::from_secs(5);
const MAX_DRAIN: Duration = Duration::from_secs(600);

/// How long saying goodbye may take.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
