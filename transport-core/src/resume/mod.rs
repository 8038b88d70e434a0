//! One session over changing transports: nothing accepted is lost, doubled or reordered.
//!
//! A [`Resume`] is the bookkeeping of one side. It numbers what is sent, keeps it until the other
//! side acknowledges it, and sends it again on the next transport. Each attachment of a transport
//! is a *generation*, numbered upwards by the side that leads. On each generation both sides first
//! send an attach frame with what they expect next; when the other's has arrived, sending goes on
//! from there. Older generations may still deliver; a segment that came already is dropped by its
//! number.
//!
//! Sans-IO. The owner's loop, for as long as the session lives:
//!
//! 1. [`attach`](Resume::attach) each new transport, [`detach`](Resume::detach) each dead one;
//! 2. feed what arrives to [`handle_frame`](Resume::handle_frame), and the time to
//!    [`handle_timeout`](Resume::handle_timeout) when [`poll_timeout`](Resume::poll_timeout) has come;
//! 3. after each of these, each `try_send` and each [`consumed`](Resume::consumed), send everything
//!    [`poll_transmit`](Resume::poll_transmit) hands out and act on everything
//!    [`poll_event`](Resume::poll_event) reports. Hand refused frames back with
//!    [`unsend`](Resume::unsend), and say [`unblocked`](Resume::unblocked) once the transport has room.

mod ahead;
mod attachment;
mod config;
mod datagrams;
mod error;
mod event;
pub mod frame;
mod heartbeat;
mod held;
mod inbox;
mod lateness;
mod outbox;
mod receive;
mod repeat;
mod transmit;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
};

use crate::time::{Duration, Instant};

use bytes::Bytes;

pub use self::{
    ahead::{Ahead, SMALL, UNIT},
    config::ResumeConfig,
    error::{ProtocolError, StaleGeneration},
    event::{Event, Expiry, ResumeStats, Transmit},
    receive::{ACK_AT, ACK_EVERY},
};
use self::{
    attachment::Attachment, datagrams::Datagrams, heartbeat::Heartbeat, held::Held, inbox::Inbox,
    outbox::Outbox, repeat::Repeats,
};
use crate::{
    close::{CloseCode, Closed},
    error::{Refusal, Refused},
    ids::Generation,
    lane::Profile,
    secure::SEAL_OVERHEAD,
};

/// One side of a session that survives its transports. See the [module](self) for the call order.
#[derive(Debug)]
pub struct Resume {
    config: ResumeConfig,
    instance: u64,
    peer_instance: Option<u64>,
    outbox: Outbox,
    inbox: Inbox,
    held: Held,
    repeats: Repeats,
    /// The weight the peer grants in all.
    credit: u64,
    /// What the owner lets be under way.
    ahead: Ahead,
    /// What the last ack told about the path, until it is taken.
    round_trip: Option<Duration>,
    acks: Acks,
    heartbeat: Heartbeat,
    attachments: BTreeMap<Generation, Attachment>,
    /// The highest generation ever attached.
    newest: Generation,
    /// The highest generation on which both sides introduced themselves, while it is attached.
    current: Option<Generation>,
    /// Since when no generation is current, once one has been.
    orphaned: Option<Instant>,
    datagrams: Datagrams,
    /// It is the datagrams' turn, when messages wait too.
    datagrams_first: bool,
    events: VecDeque<Event>,
    finished: bool,
    ended: Option<Closed>,
    stats: ResumeStats,
}

/// What is owed to the other side.
#[derive(Debug, Default)]
struct Acks {
    /// Weight received since the last ack.
    owed: u64,
    /// The last credit told.
    told_credit: u64,
    /// When the last ack went.
    told_at: Option<Instant>,
    /// When an ack goes out by itself.
    due: Option<Instant>,
    now: bool,
}

impl Resume {
    /// Makes the state of a session that has not begun.
    ///
    /// `instance` must be random and new for each call: it tells the peer whether this state is the
    /// one it knows. `seed` feeds the jitter of pings and nothing else.
    pub fn new(config: ResumeConfig, instance: u64, seed: u64) -> Self {
        Self {
            instance,
            peer_instance: None,
            outbox: Outbox::new(config.outbox_bytes),
            inbox: Inbox::new(config.window_bytes),
            held: Held::default(),
            repeats: Repeats::default(),
            credit: 0,
            ahead: Ahead::UNLIMITED,
            round_trip: None,
            acks: Acks::default(),
            heartbeat: Heartbeat::new(config.ping_busy, config.ping_idle, seed),
            attachments: BTreeMap::new(),
            newest: Generation(0),
            current: None,
            orphaned: None,
            datagrams: Datagrams::new(config.join),
            datagrams_first: true,
            events: VecDeque::new(),
            finished: false,
            ended: None,
            stats: ResumeStats::default(),
            config,
        }
    }

    /// Accepts a message of 1 byte to [`MAX_MESSAGE`], or hands it back. Accepted means: it is
    /// delivered once and in order, or the session ends and says so.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the untouched payload: `Full` at the bound (wait until
    /// [`writable`](Self::writable)), `TooLarge`, `Empty`, or `Closed` after
    /// [`finish`](Self::finish) or the end.
    pub fn try_send(&mut self, payload: Bytes) -> Result<(), Refused> {
        match self.sending_ended() {
            Some(closed) => Err(Refused::new(payload, closed.into())),
            None => self.outbox.try_push(payload),
        }
    }

    /// Says whether a message of any legal size would be taken.
    pub fn writable(&self) -> bool {
        !self.finished && self.ended.is_none() && self.outbox.has_room()
    }

    /// Accepts a datagram of 1 byte to [`MAX_DATAGRAM`], to be delivered at most once. Never waits:
    /// with no generation attached it is dropped and counted, as is the oldest when too many wait.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the untouched payload: `TooLarge`, `Empty` or `Closed`.
    pub fn try_send_datagram(&mut self, payload: Bytes) -> Result<(), Refused> {
        let why = if let Some(closed) = &self.ended {
            closed.clone().into()
        } else if payload.is_empty() {
            Refusal::Empty
        } else if payload.len() > MAX_DATAGRAM.get() {
            Refusal::TooLarge { limit: MAX_DATAGRAM }
        } else {
            match self.current {
                Some(_) => self.datagrams.push(payload),
                None => self.datagrams.refuse(1),
            }
            return Ok(());
        };
        Err(Refused::new(payload, why))
    }

    /// Ends this direction: what was accepted is still delivered, then the peer sees
    /// [`Event::PeerFin`].
    pub fn finish(&mut self) {
        if self.sending_ended().is_none() {
            self.finished = true;
            self.outbox.finish();
        }
    }

    /// Ends the session at once, in both directions. What is unacknowledged is given up; to close
    /// without loss, [`finish`](Self::finish) and wait until [`is_flushed`](Self::is_flushed).
    /// The peer is told on every generation that is attached, now or later. The first end wins.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.end(Closed::local(code, reason.to_owned()));
    }

    /// Starts an attachment: from here on frames of `generation` may be handled, and the attach
    /// frame is the first that [`poll_transmit`](Self::poll_transmit) hands out for it.
    ///
    /// # Errors
    ///
    /// [`StaleGeneration`] unless it is higher than all seen; nothing has changed then.
    pub fn attach(
        &mut self,
        now: Instant,
        generation: Generation,
        profile: &Profile,
    ) -> Result<(), StaleGeneration> {
        if generation <= self.newest {
            return Err(StaleGeneration { offered: generation, newest: self.newest });
        }
        self.newest = generation;
        self.attachments.insert(generation, Attachment::new(now, profile));
        Ok(())
    }

    /// Ends an attachment, whoever ended its transport. Handle what that transport still
    /// delivered first. Does nothing for a generation that is not attached.
    pub fn detach(&mut self, now: Instant, generation: Generation) {
        if let Some(mut attachment) = self.attachments.remove(&generation) {
            self.datagrams.refuse(attachment.early.take().len());
        }
        if self.current == Some(generation) {
            self.current = None;
            self.orphaned = Some(now);
            self.datagrams.clear();
        }
    }

    /// Gives the peer credit back for `bytes` of messages the application has taken.
    pub fn consumed(&mut self, bytes: usize) {
        self.inbox.consume(bytes);
        if self.inbox.ack().credit >= self.acks.told_credit + self.inbox.credit_step() {
            self.acks.now = true;
        }
    }

    /// Sets how much may be under way, which the owner has measured, and how long segments are. What the transport's
    /// profile says it holds is the limit beyond it.
    pub fn set_ahead(&mut self, ahead: Ahead) {
        self.ahead = ahead;
    }

    /// Says whether something that was accepted waits to be handed out although the peer grants it. After everything that
    /// [`poll_transmit`](Self::poll_transmit) gave was sent, that is because the path is busy.
    pub fn is_held(&self) -> bool {
        self.current.is_some() && self.outbox.is_held(self.credit)
    }

    /// Takes for how long the newest segment that was acknowledged had been under way, if any was since the last call. It
    /// includes what the peer waited with its ack, at most [`ACK_EVERY`] unless there was little to acknowledge.
    pub fn take_round_trip(&mut self) -> Option<Duration> {
        self.round_trip.take()
    }

    /// Sends a ping as soon as something can be sent: [`Event::RttSample`] is what comes of it.
    pub fn ask(&mut self) {
        self.heartbeat.ask();
    }

    /// Advances the clock: acks and pings that are due, incomplete datagrams, the resume window.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ended.is_some() {
            return;
        }
        if self.acks.due.is_some_and(|due| now >= due) {
            self.acks.now = true;
        }
        self.datagrams.handle_timeout(now);
        self.repeats.handle_timeout(now);
        if self.orphaned.is_some_and(|since| now >= since + self.config.resume_window) {
            self.expire(Expiry::Window);
        }
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        match &event {
            Event::Datagram(payload) => self.datagrams.taken(payload.len()),
            Event::Message(_) => self.stats.messages_received += 1,
            _ => {}
        }
        Some(event)
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) and then
    /// [`poll_transmit`](Self::poll_transmit) must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended.is_some() {
            return None;
        }
        let sendable = self.current.is_some_and(|g| self.attachments.get(&g).is_some_and(|a| !a.blocked));
        let ack = self.acks.due.filter(|_| sendable && !self.acks.now);
        let ping = self.heartbeat.due(self.is_busy()).filter(|_| sendable);
        let expiry = self.orphaned.map(|since| since + self.config.resume_window);
        let repeat = self.next_late().map(|(due, _)| due).filter(|_| sendable);
        let behind = self.repeats.behind_until().filter(|_| sendable && self.outbox.is_early());
        [ack, ping, expiry, repeat, behind, self.datagrams.poll_timeout()].into_iter().flatten().min()
    }

    /// Says whether everything that was accepted, a fin included, has been acknowledged.
    pub fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Returns the payload bytes accepted and not yet acknowledged.
    pub fn pending_bytes(&self) -> usize {
        self.outbox.payload_bytes()
    }

    /// Returns for how long the oldest segment under way has waited for its ack. What credit or
    /// the in-flight limit holds back is not under way: that is not the path's fault.
    pub fn oldest_unacked_age(&self, now: Instant) -> Option<Duration> {
        self.current?;
        self.outbox.oldest_sent_at().map(|sent| now.saturating_duration_since(sent))
    }

    /// Returns for how long nothing has been heard on the current generation.
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        self.current?;
        self.heartbeat.last_heard().map(|heard| now.saturating_duration_since(heard))
    }

    /// Returns for how long an attached generation has waited for the peer to introduce itself;
    /// `None` once it has. Whoever dialled it decides when that is too long.
    pub fn introducing(&self, now: Instant, generation: Generation) -> Option<Duration> {
        let attachment = self.attachments.get(&generation).filter(|attachment| !attachment.introduced)?;
        Some(now.saturating_duration_since(attachment.since))
    }

    /// Returns the generation that carries what is sent.
    pub fn current(&self) -> Option<Generation> {
        self.current
    }

    /// Returns how the session ended, if it has.
    pub fn ended(&self) -> Option<&Closed> {
        self.ended.as_ref()
    }

    /// Returns counters and gauges.
    pub fn stats(&self) -> ResumeStats {
        ResumeStats {
            pending_bytes: self.outbox.payload_bytes(),
            in_flight: self.outbox.in_flight(),
            unread_bytes: self.inbox.unread_bytes(),
            rtt: self.heartbeat.rtt(),
            current: self.current,
            datagrams_dropped: self.datagrams.dropped(),
            ..self.stats
        }
    }

    /// Returns the segment that is to be repeated next, and when.
    fn next_late(&self) -> Option<(Instant, u64)> {
        let attachment = self.attachments.get(&self.current?).filter(|_| self.repeats.allowed())?;
        let ping = self.heartbeat.rtt();
        let due = |segment: outbox::UnderWay| Some((self.repeats.due(&segment, ping)?, segment.seq));
        self.outbox.little_under_way(attachment.limits.repeat).filter_map(due).min()
    }

    fn sending_ended(&self) -> Option<Closed> {
        let finished = || Closed::local(CloseCode::NORMAL, "finished sending");
        self.ended.clone().or_else(|| self.finished.then(finished))
    }

    fn is_busy(&self) -> bool {
        self.outbox.in_flight() > 0
    }

    fn end(&mut self, closed: Closed) {
        if self.ended.is_none() {
            self.ended = Some(closed);
            self.outbox.clear();
            self.datagrams.clear();
            let early = self.attachments.values_mut().map(|attachment| attachment.early.take().len()).sum();
            self.datagrams.refuse(early);
        }
    }

    fn expire(&mut self, why: Expiry) {
        let unacknowledged = self.outbox.payload_bytes();
        self.events.push_back(Event::Expired { why, unacknowledged });
        self.end(Closed::local(CloseCode::GAP, "the session could not be resumed"));
    }

    fn gap(&mut self, from: u64, to: u64) {
        self.events.push_back(Event::Gap { from, to });
        self.end(Closed::local(CloseCode::GAP, "messages were lost with the peer's state"));
    }
}

/// The longest message, in bytes: 1 MiB. Longer ones belong into several messages, or one of them
/// holds everything else up for seconds on a slow path.
pub const MAX_MESSAGE: NonZeroUsize = NonZeroUsize::new(1024 * 1024).expect("not 0");

/// The longest datagram, in bytes: 64 KiB. Of a longer one some fragment would be lost too often.
pub const MAX_DATAGRAM: NonZeroUsize = NonZeroUsize::new(64 * 1024).expect("not 0");

/// Payload bytes of the longest segment: two messages of the 16 KiB that every data channel takes, with
/// headers and seal, and one frame of a relay (ADR 0008).
pub const SEGMENT: usize = 30 * 1024;

/// What flow control counts for a segment beside its payload: about the headers of a data frame,
/// the seal and a relay frame, so that many small messages weigh what they really cost.
pub const SEGMENT_OVERHEAD: u64 = 48;

/// Payload bytes of the longest segment that is repeated: with headers and seal one packet.
pub const REPEATED: usize = 1_024;

/// How often a segment is repeated on one generation. Of one that is lost each time the reliable lane takes care.
pub const MOST_REPEATS: u8 = 5;

const _: () = assert!(SEGMENT + 2 * (frame::DATA_OVERHEAD + SEAL_OVERHEAD) <= 2 * 16 * 1024);

const fn weight(payload: usize) -> u64 {
    payload as u64 + SEGMENT_OVERHEAD
}
