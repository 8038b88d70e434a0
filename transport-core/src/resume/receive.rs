//! What arrived, and what follows from it.

use std::cmp::Ordering;

use bytes::Bytes;

use super::{
    Resume, SMALL,
    error::ProtocolError,
    event::{Event, Expiry},
    frame::{Ack, Attach, Data, End, Frame, TAKES_REPEATS, VERSION},
    inbox::Accepted,
    weight,
};
use crate::{
    close::Closed,
    ids::Generation,
    lane::Lane,
    time::{Duration, Instant},
};

impl Resume {
    /// Handles a frame that arrived on the transport of `generation`. After the end of the session
    /// frames are ignored.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] costs the peer this generation, which is detached: close its transport.
    pub fn handle_frame(
        &mut self,
        now: Instant,
        generation: Generation,
        lane: Lane,
        frame: Bytes,
    ) -> Result<(), ProtocolError> {
        if self.ended.is_some() {
            return Ok(());
        }
        if !self.attachments.contains_key(&generation) {
            return Err(ProtocolError::NotAttached(generation));
        }
        let handled = Frame::decode(frame)
            .map_err(ProtocolError::from)
            .and_then(|frame| self.handle(now, generation, lane, frame));
        if handled.is_err() {
            self.detach(now, generation);
        } else if self.current == Some(generation) {
            self.heartbeat.heard(now);
        }
        handled
    }

    fn handle(
        &mut self,
        now: Instant,
        generation: Generation,
        lane: Lane,
        frame: Frame,
    ) -> Result<(), ProtocolError> {
        let lossy = matches!(frame, Frame::Datagram(_) | Frame::Heard(_) | Frame::Repeat { .. });
        if (lane == Lane::Datagram) != lossy {
            return Err(ProtocolError::WrongLane);
        }
        let attachment =
            self.attachments.get_mut(&generation).ok_or(ProtocolError::NotAttached(generation))?;
        match frame {
            Frame::Attach(attach) => return self.handle_attach(now, generation, attach),
            // The lanes are not ordered against each other: a datagram may overtake the attach frame, and until that
            // has come nobody knows whether it is from the peer's state that this session is with.
            Frame::Datagram(fragment) if !attachment.introduced => {
                if !attachment.early.push(fragment) {
                    self.datagrams.refuse(1);
                }
            }
            Frame::Datagram(fragment) => self.handle_fragment(now, fragment)?,
            // It comes on the reliable lane too, or is answered once more.
            Frame::Heard(_) | Frame::Repeat { .. } if !attachment.introduced => {}
            Frame::Heard(heard) => {
                if self.current == Some(generation) {
                    self.repeats.heard(now, &heard, self.outbox.lane_end());
                }
                self.handle_ack(now, generation, heard.ack)?;
            }
            Frame::Repeat { id, data } => {
                attachment.heard = Some(attachment.heard.map_or(id, |newest| newest.max(id)));
                self.handle_repeat(now, generation, data)?;
            }
            _ if !attachment.introduced => return Err(ProtocolError::BeforeAttach),
            Frame::Ack(ack) => self.handle_ack(now, generation, ack)?,
            Frame::Data(data) => self.handle_data(now, generation, data)?,
            Frame::Fin { seq } => self.handle_fin(now, generation, seq)?,
            Frame::Ping(id) => {
                attachment.pong = Some(id);
                if id & TAKES_REPEATS != 0 {
                    self.repeats.allow();
                }
            }
            Frame::Pong(id) => {
                if self.current == Some(generation)
                    && let Some(sample) = self.heartbeat.pong(now, id & !TAKES_REPEATS)
                {
                    self.events.push_back(Event::RttSample(sample));
                }
            }
            Frame::Drain => self.events.push_back(Event::Drained { generation }),
            Frame::Close { code, reason } => {
                self.events.push_back(Event::PeerClosed { code, reason: reason.clone() });
                self.end(Closed::peer(code, reason));
            }
        }
        Ok(())
    }

    fn handle_attach(
        &mut self,
        now: Instant,
        generation: Generation,
        attach: Attach,
    ) -> Result<(), ProtocolError> {
        let attachment =
            self.attachments.get_mut(&generation).ok_or(ProtocolError::NotAttached(generation))?;
        if attach.version != VERSION {
            return Err(ProtocolError::Version(attach.version));
        }
        if attach.generation != generation {
            return Err(ProtocolError::WrongGeneration(attach.generation));
        }
        if std::mem::replace(&mut attachment.introduced, true) {
            return Err(ProtocolError::AttachedTwice);
        }
        if *self.peer_instance.get_or_insert(attach.instance) != attach.instance {
            self.expire(Expiry::PeerRestarted);
            return Ok(());
        }
        let next = attach.ack.received;
        if next > self.outbox.sent() {
            // The peer remembers more than was sent: this side's state is the one that was lost.
            self.gap(self.outbox.sent(), next);
            return Ok(());
        }
        // A number below what was acknowledged is old news, not a loss: the attach frame was
        // overtaken by acks on an older generation. Should the peer really have lost them, the
        // first segment here jumps past what it expects, and it says `Gap` itself.
        self.handle_ack(now, generation, attach.ack)?;
        // Never back to a generation that a newer one took over from, even if that one has died
        // since: the peer was told, or is about to be, that nothing more comes there.
        let superseded = self.attachments.get(&generation).is_some_and(|a| a.superseded);
        if !superseded {
            self.switch(now, generation, next);
        }
        let early = self.attachments.get_mut(&generation).map(|attachment| attachment.early.take());
        early.into_iter().flatten().try_for_each(|fragment| self.handle_fragment(now, fragment))
    }

    fn handle_fragment(&mut self, now: Instant, fragment: Bytes) -> Result<(), ProtocolError> {
        let datagram = self.datagrams.receive(now, fragment)?;
        self.events.extend(datagram.map(Event::Datagram));
        Ok(())
    }

    fn switch(&mut self, now: Instant, generation: Generation, next: u64) {
        self.current = Some(generation);
        self.orphaned = None;
        for (_, older) in self.attachments.range_mut(..generation) {
            older.superseded = true;
        }
        let resent_segments = self.outbox.rewind(next);
        self.datagrams.cut();
        self.heartbeat.restart(now);
        self.repeats.restart();
        let told = self.attachments.get(&generation).and_then(|attachment| attachment.told_next);
        // What arrived since this side introduced itself has not been acknowledged here.
        self.acks.now |= told.is_some_and(|told| told < self.inbox.next());
        self.stats.attachments += 1;
        self.stats.segments_resent += resent_segments;
        self.events.push_back(Event::Attached { generation, resent_segments });
    }

    fn handle_ack(&mut self, now: Instant, generation: Generation, ack: Ack) -> Result<(), ProtocolError> {
        let before = self.outbox.base();
        let handed_out = self
            .outbox
            .acknowledge(ack.received)
            .map_err(|sent| ProtocolError::AckBeyondSent { received: ack.received, sent })?;
        let here = self.current == Some(generation);
        let round_trip = handed_out.filter(|_| here).map(|at| now.saturating_duration_since(at));
        self.round_trip = round_trip.or(self.round_trip);
        if here && self.outbox.base() > before {
            self.repeats.acknowledged(now, round_trip);
        }
        self.credit = self.credit.max(ack.credit);
        Ok(())
    }

    fn handle_data(&mut self, now: Instant, generation: Generation, data: Data) -> Result<(), ProtocolError> {
        if let Some(ack) = data.ack {
            self.handle_ack(now, generation, ack)?;
        }
        let seq = data.seq;
        if !self.check_order(generation, seq)? {
            return Ok(());
        }
        let attachment =
            self.attachments.get_mut(&generation).ok_or(ProtocolError::NotAttached(generation))?;
        let Some((segment, ends_message)) = attachment.join(data)? else {
            // A sender that hears nothing until a segment is whole takes a narrow path for a dead one.
            self.acks.due.get_or_insert(now + self.config.ack_delay);
            return Ok(());
        };
        self.owe_ack(now, generation, weight(segment.len()));
        if seq < self.inbox.next() {
            self.stats.duplicates += 1;
        } else {
            self.accept(segment, ends_message)?;
        }
        Ok(())
    }

    /// Takes the segment that is next, and those that waited for it.
    fn accept(&mut self, mut segment: Bytes, mut ends_message: bool) -> Result<(), ProtocolError> {
        loop {
            if let Accepted::Message(message) = self.inbox.accept(segment, ends_message)? {
                self.events.push_back(Event::Message(message));
            }
            let Some(held) = self.held.take(self.inbox.next()) else { return Ok(()) };
            (segment, ends_message) = held;
        }
    }

    /// A segment on the datagram lane: perhaps before its turn, perhaps a copy of one that came already. Its number says
    /// so, whichever generation brings it: a segment stays as it is once it was sent.
    fn handle_repeat(
        &mut self,
        now: Instant,
        generation: Generation,
        data: Data,
    ) -> Result<(), ProtocolError> {
        if let Some(ack) = data.ack {
            self.handle_ack(now, generation, ack)?;
        }
        let (next, ends_message) = (self.inbox.next(), data.end == End::Message);
        match data.seq.cmp(&next) {
            Ordering::Less => self.stats.duplicates += 1,
            Ordering::Equal => {
                // An ack can ride on what answers it. None is due: the repeat is answered, and the copy on the reliable
                // lane acknowledged.
                self.acks.owed += weight(data.payload.len());
                self.accept(data.payload, ends_message)?;
            }
            Ordering::Greater => self.held.keep(data.seq, next, data.payload, ends_message),
        }
        Ok(())
    }

    fn handle_fin(&mut self, now: Instant, generation: Generation, seq: u64) -> Result<(), ProtocolError> {
        if !self.check_order(generation, seq)? {
            return Ok(());
        }
        let attachment =
            self.attachments.get_mut(&generation).ok_or(ProtocolError::NotAttached(generation))?;
        if attachment.inside_segment() {
            return Err(ProtocolError::FinInsideMessage);
        }
        attachment.advance(seq);
        if seq < self.inbox.next() {
            self.stats.duplicates += 1;
        } else {
            self.inbox.finish()?;
            self.events.push_back(Event::PeerFin);
        }
        self.owe_ack(now, generation, weight(0));
        // Nothing follows that the ack could ride on.
        self.acks.now = true;
        Ok(())
    }

    /// Checks a segment's number. `false` when it opened a gap, which has ended the session.
    fn check_order(&mut self, generation: Generation, seq: u64) -> Result<bool, ProtocolError> {
        let attachment =
            self.attachments.get_mut(&generation).ok_or(ProtocolError::NotAttached(generation))?;
        if attachment.told_next.is_none() {
            // The peer cannot know where to start.
            return Err(ProtocolError::BeforeAttach);
        }
        let expected = self.inbox.next();
        attachment.check_order(seq, expected)?;
        if seq > expected {
            // Numbers only grow by one inside a generation, so this is its first segment.
            self.gap(expected, seq);
            return Ok(false);
        }
        Ok(true)
    }

    fn owe_ack(&mut self, now: Instant, generation: Generation, arrived: u64) {
        let Some(attachment) = self.attachments.get_mut(&generation) else { return };
        attachment.arrived += arrived;
        let enough = ACK_AT.min(attachment.limits.in_flight as u64 / 4).min(attachment.arrived / 4);
        self.acks.owed += arrived;
        // Keys and echoes: something goes the other way soon that an ack can ride on.
        let few = self.acks.owed <= weight(SMALL);
        let rested = self.acks.told_at.is_none_or(|told| now >= told + ACK_EVERY);
        self.acks.now |= !few && (self.acks.owed >= enough || rested);
        // Where the peer repeats what is not acknowledged in time, it is soon told.
        let patient = few && !(self.repeats.allowed() && attachment.limits.repeat > 0);
        let due = now + if patient { self.config.ack_delay } else { self.config.ack_delay.min(ACK_EVERY) };
        // Counted from the ack before: what a path bundles arrives at once, and its sender has waited for all of it.
        let due = self.acks.told_at.filter(|_| !few).map_or(due, |told| due.min(told + ACK_EVERY));
        self.acks.due = Some(self.acks.due.map_or(due, |earlier| earlier.min(due)));
    }
}

/// Weight received at which an ack goes out by itself, in bytes; a quarter of what the path holds if that is less, and of
/// all that came on this generation so far, so that a sender which starts with little learns soon that the path carries
/// more. A sender that keeps its path busy has this much more under way than the path itself holds, which a key's echo
/// waits for.
pub const ACK_AT: u64 = 16 * 1024;

/// The same in time: on a path slower than [`ACK_AT`] in this time there is an ack as often as this, or for each segment.
pub const ACK_EVERY: Duration = Duration::from_millis(25);
