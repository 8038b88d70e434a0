//! What goes out next, and on which generation.

use super::{
    Acks, Resume,
    event::Transmit,
    frame::{Ack, Attach, Data, Frame, Heard, TAKES_REPEATS, VERSION},
    outbox::Piece,
};
use crate::{close::Initiator, ids::Generation, lane::Lane, time::Instant};

impl Resume {
    /// Hands out the next frame to send, or `None` when there is nothing to say, no credit, or no
    /// transport with room. Newer generations come first; on each, control frames come before
    /// data, so that no ack waits behind bulk.
    ///
    /// The frame counts as sent. A transport that refuses it with `Full` gives it back through
    /// [`unsend`](Self::unsend); one that is closed is detached.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let mut next = self.attachments.last_key_value().map(|(generation, _)| *generation);
        while let Some(generation) = next {
            if let Some(transmit) = self.next_for(now, generation) {
                return Some(transmit);
            }
            next = self.attachments.range(..generation).next_back().map(|(older, _)| *older);
        }
        None
    }

    /// Takes back a frame that the transport refused with `Full`: it is the next one handed out
    /// for its generation, once [`unblocked`](Self::unblocked) says there is room. Several are
    /// given back in the reverse of the order in which they were handed out.
    pub fn unsend(&mut self, transmit: Transmit) {
        if let Some(attachment) = self.attachments.get_mut(&transmit.generation) {
            attachment.blocked = true;
            // Even when superseded or over: an attach frame among them must not be missing before
            // the drain or close frame that follows.
            attachment.returned.push_front(transmit);
        }
    }

    /// Says that the transport of `generation` has room again.
    pub fn unblocked(&mut self, generation: Generation) {
        if let Some(attachment) = self.attachments.get_mut(&generation) {
            attachment.blocked = false;
        }
    }

    /// Returns the generations that wait for [`unblocked`](Self::unblocked).
    pub fn blocked(&self) -> impl Iterator<Item = Generation> + '_ {
        self.attachments
            .iter()
            .filter(|(_, attachment)| attachment.blocked)
            .map(|(generation, _)| *generation)
    }

    fn next_for(&mut self, now: Instant, generation: Generation) -> Option<Transmit> {
        let attachment = self.attachments.get_mut(&generation)?;
        if attachment.blocked {
            return None;
        }
        if let Some(transmit) = attachment.returned.pop_front() {
            return Some(transmit);
        }
        if let Some(frame) = self.next_control(now, generation) {
            return Some(Transmit { generation, lane: Lane::Reliable, payload: frame.encode() });
        }
        if self.current != Some(generation) || self.ended.is_some() {
            return None;
        }
        if let Some(frame) =
            self.next_heard(generation).or_else(|| self.next_repeat(now)).or_else(|| self.next_early(now))
        {
            return Some(Transmit { generation, lane: Lane::Datagram, payload: frame.encode() });
        }
        // Neither datagrams nor messages may starve the other.
        self.datagrams_first = !self.datagrams_first;
        if self.datagrams_first {
            self.next_datagram(generation).or_else(|| self.next_data(now, generation))
        } else {
            self.next_data(now, generation).or_else(|| self.next_datagram(generation))
        }
    }

    fn next_control(&mut self, now: Instant, generation: Generation) -> Option<Frame> {
        let current = self.current == Some(generation);
        let attachment = self.attachments.get_mut(&generation)?;
        if attachment.told_next.is_none() {
            // A session that this side ended still introduces itself, to tell the peer so.
            let ended_by_peer = self.ended.as_ref().is_some_and(|end| end.initiator != Initiator::Local);
            if attachment.superseded || ended_by_peer {
                return None;
            }
            let ack = self.inbox.ack();
            attachment.told_next = Some(ack.received);
            self.acks.told_credit = self.acks.told_credit.max(ack.credit);
            let (version, instance) = (VERSION, self.instance);
            return Some(Frame::Attach(Attach { version, generation, instance, ack }));
        }
        if let Some(closed) = &self.ended {
            let ours = closed.initiator == Initiator::Local && !attachment.close_sent;
            attachment.close_sent = true;
            let (code, reason) = (closed.code, closed.detail.clone());
            return ours.then_some(Frame::Close { code, reason });
        }
        if let Some(id) = attachment.pong.take() {
            return Some(Frame::Pong(id));
        }
        if attachment.superseded && !attachment.drain_sent {
            attachment.drain_sent = true;
            return Some(Frame::Drain);
        }
        if !current {
            return None;
        }
        let busy = self.is_busy();
        if let Some(id) = self.heartbeat.ping(now, busy) {
            return Some(Frame::Ping(id | TAKES_REPEATS));
        }
        if self.acks.now { Some(Frame::Ack(self.take_ack(now))) } else { None }
    }

    fn next_data(&mut self, now: Instant, generation: Generation) -> Option<Transmit> {
        if self.outbox.is_early() && self.repeats.behind(now).is_some() {
            // What the peer says it heard need not wait in that lane.
            return None;
        }
        let limits = self.attachments.get(&generation)?.limits;
        let ahead = self.ahead.within(limits.in_flight);
        let frame = match self.outbox.next(now, limits.piece, ahead, self.credit)? {
            Piece::Fin { seq } => Frame::Fin { seq },
            Piece::Data { seq, end, payload } => {
                let ack = (self.acks.owed > 0).then(|| self.take_ack(now));
                Frame::Data(Data { seq, end, ack, payload })
            }
        };
        Some(Transmit { generation, lane: Lane::Reliable, payload: frame.encode() })
    }

    fn next_heard(&mut self, generation: Generation) -> Option<Frame> {
        let attachment = self.attachments.get_mut(&generation)?;
        let id = attachment.heard.take()?;
        Some(Frame::Heard(Heard { id, lane: attachment.lane_next(), ack: self.inbox.ack() }))
    }

    fn next_repeat(&mut self, now: Instant) -> Option<Frame> {
        let (_, seq) = self.next_late().filter(|(due, _)| *due <= now)?;
        let data = self.outbox.repeat(now, seq)?;
        self.stats.segments_repeated += 1;
        self.repeats.spend(now, data.payload.len());
        Some(self.lossy(now, data))
    }

    /// Takes a small segment past a reliable lane that stands still.
    fn next_early(&mut self, now: Instant) -> Option<Frame> {
        self.repeats.behind(now)?;
        let longest = self.attachments.get(&self.current?)?.limits.repeat;
        let data = self.outbox.next_early(now, longest, self.credit)?;
        Some(self.lossy(now, data))
    }

    fn lossy(&mut self, now: Instant, data: Data) -> Frame {
        let id = self.repeats.number(now);
        // What it tells stays owed: it may be lost.
        Frame::Repeat { id, data: Data { ack: Some(self.inbox.ack()), ..data } }
    }

    fn next_datagram(&mut self, generation: Generation) -> Option<Transmit> {
        let limit = self.attachments.get(&generation)?.limits.fragment?;
        let payload = self.datagrams.next_frame(limit)?;
        Some(Transmit { generation, lane: Lane::Datagram, payload })
    }

    fn take_ack(&mut self, now: Instant) -> Ack {
        let ack = self.inbox.ack();
        self.acks = Acks { told_credit: ack.credit, told_at: Some(now), ..Acks::default() };
        ack
    }
}
