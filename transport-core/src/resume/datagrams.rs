//! Datagrams on their way out and in: bounded, split and joined, never replayed.

use std::{collections::VecDeque, num::NonZeroUsize};

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{KIND_DATAGRAM, ROOM_FOR_SEAL};
use crate::{
    fragment::{BadFragment, Fragments, JoinLimits, Joiner, Splitter},
    time::Instant,
};

/// Both directions of a session's datagrams.
#[derive(Debug)]
pub(super) struct Datagrams {
    splitter: Splitter,
    outbound: VecDeque<Bytes>,
    outbound_bytes: usize,
    /// The datagram whose fragments are going out.
    fragments: Option<Fragments>,
    joiner: Joiner,
    /// Bytes handed to the owner's events and not yet taken.
    unread_bytes: usize,
    dropped: u64,
}

impl Datagrams {
    pub(super) fn new(limits: JoinLimits) -> Self {
        Self {
            splitter: Splitter::default(),
            outbound: VecDeque::new(),
            outbound_bytes: 0,
            fragments: None,
            joiner: Joiner::new(limits),
            unread_bytes: 0,
            dropped: 0,
        }
    }

    /// Queues a datagram; the oldest ones go when too many wait.
    pub(super) fn push(&mut self, datagram: Bytes) {
        self.outbound_bytes += datagram.len();
        self.outbound.push_back(datagram);
        // One alone always fits: none is longer than the queue.
        while self.outbound_bytes > QUEUE {
            self.outbound_bytes -= self.outbound.pop_front().map_or(0, |oldest| oldest.len());
            self.dropped += 1;
        }
    }

    /// Counts what is dropped before it is queued or joined.
    pub(super) fn refuse(&mut self, count: usize) {
        self.dropped += count as u64;
    }

    /// Gives up the datagram that is half out: its generation carries the rest no more.
    pub(super) fn cut(&mut self) {
        self.dropped += u64::from(self.fragments.take().is_some());
    }

    /// Gives up everything that waits.
    pub(super) fn clear(&mut self) {
        self.cut();
        self.dropped += self.outbound.len() as u64;
        self.outbound = VecDeque::new();
        self.outbound_bytes = 0;
    }

    /// Encodes the next datagram frame, whose fragment has at most `limit` bytes.
    pub(super) fn next_frame(&mut self, limit: NonZeroUsize) -> Option<Bytes> {
        loop {
            if let Some(fragments) = &mut self.fragments {
                let mut frame = BytesMut::with_capacity(1 + fragments.next_len() + ROOM_FOR_SEAL);
                frame.put_u8(KIND_DATAGRAM);
                if fragments.write_next(&mut frame) {
                    if fragments.next_len() == 0 {
                        self.fragments = None;
                    }
                    return Some(frame.freeze());
                }
            }
            let datagram = self.outbound.pop_front()?;
            self.outbound_bytes -= datagram.len();
            self.fragments = self.splitter.split(datagram, limit);
            self.dropped += u64::from(self.fragments.is_none());
        }
    }

    /// Takes a fragment; returns the datagram it completes, unless too many wait for their owner.
    pub(super) fn receive(&mut self, now: Instant, fragment: Bytes) -> Result<Option<Bytes>, BadFragment> {
        let Some(datagram) = self.joiner.push(now, fragment)? else { return Ok(None) };
        if self.unread_bytes + datagram.len() > UNREAD {
            self.dropped += 1;
            return Ok(None);
        }
        self.unread_bytes += datagram.len();
        Ok(Some(datagram))
    }

    /// Notes that the owner took a datagram of `len` bytes.
    pub(super) fn taken(&mut self, len: usize) {
        self.unread_bytes -= len;
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.joiner.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.joiner.poll_timeout()
    }

    /// Returns how many were dropped or never completed.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped + self.joiner.evicted()
    }
}

/// Bytes that wait to go out: one datagram of the largest size, or many small ones.
const QUEUE: usize = 64 * 1024;

/// Bytes of datagrams that wait for an owner who does not poll.
const UNREAD: usize = 256 * 1024;
