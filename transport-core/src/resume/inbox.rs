//! What arrived: the duplicate filter, the joining of segments, and the credit that holds a sender
//! back while the application does not read.

use std::{collections::VecDeque, num::NonZeroUsize};

use bytes::{Bytes, BytesMut};

use super::{MAX_MESSAGE, SEGMENT, error::ProtocolError, frame::Ack, weight};

/// The receiving half of one direction.
#[derive(Debug)]
pub(super) struct Inbox {
    /// The next number expected: everything below was accepted, once.
    next: u64,
    /// Segments of a message whose end has not come yet, and their weight.
    joining: BytesMut,
    joining_weight: u64,
    /// Length and weight of messages the application has been handed and not yet consumed.
    unread: VecDeque<(usize, u64)>,
    unread_bytes: usize,
    /// Bytes of the first unread message that the application consumed already.
    read_ahead: usize,
    /// Weight of everything accepted, and of everything consumed.
    accepted: u64,
    consumed: u64,
    window: u64,
    finished: bool,
}

/// What a segment that was accepted brings about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// The message is not complete yet.
    Nothing,
    /// A whole message.
    Message(Bytes),
}

impl Inbox {
    /// Makes an empty inbox that grants the sender `window` of weight ahead of the application.
    pub(super) fn new(window: NonZeroUsize) -> Self {
        // The longest message must fit, or it could never be completed.
        let window = (window.get() as u64).max(MIN_WINDOW);
        Self {
            next: 0,
            joining: BytesMut::new(),
            joining_weight: 0,
            unread: VecDeque::new(),
            unread_bytes: 0,
            read_ahead: 0,
            accepted: 0,
            consumed: 0,
            window,
            finished: false,
        }
    }

    /// Accepts the segment that is next. The caller has checked its number.
    pub(super) fn accept(&mut self, payload: Bytes, ends_message: bool) -> Result<Accepted, ProtocolError> {
        let weight = self.admit(payload.len())?;
        let len = self.joining.len() + payload.len();
        if len > MAX_MESSAGE.get() {
            return Err(ProtocolError::MessageTooLong);
        }
        self.next += 1;
        self.accepted += weight;
        self.joining_weight += weight;
        if !ends_message {
            self.joining.extend_from_slice(&payload);
            return Ok(Accepted::Nothing);
        }
        let message = if self.joining.is_empty() {
            payload
        } else {
            self.joining.extend_from_slice(&payload);
            std::mem::take(&mut self.joining).freeze()
        };
        self.unread.push_back((len, std::mem::take(&mut self.joining_weight)));
        self.unread_bytes += len;
        Ok(Accepted::Message(message))
    }

    /// Accepts the fin, whose number the caller has checked.
    pub(super) fn finish(&mut self) -> Result<(), ProtocolError> {
        let weight = self.admit(0)?;
        if !self.joining.is_empty() {
            return Err(ProtocolError::FinInsideMessage);
        }
        self.next += 1;
        self.accepted += weight;
        self.consumed += weight;
        self.finished = true;
        Ok(())
    }

    /// Gives credit back for `bytes` of messages the application has taken.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.read_ahead = self.read_ahead.saturating_add(bytes);
        while let Some(&(len, weight)) = self.unread.front() {
            if self.read_ahead < len {
                return;
            }
            self.read_ahead -= len;
            self.unread_bytes -= len;
            self.consumed += weight;
            self.unread.pop_front();
        }
        // Consumed more than was handed out: the rest belongs to nothing.
        self.read_ahead = 0;
        self.unread.shrink_to(16);
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Returns what to tell the sender.
    pub(super) fn ack(&self) -> Ack {
        Ack { received: self.next, credit: self.consumed + self.window }
    }

    /// Returns the credit step worth telling by itself: a quarter of the window.
    pub(super) fn credit_step(&self) -> u64 {
        self.window / 4
    }

    /// Returns the bytes handed to the application and not consumed, as far as known.
    pub(super) fn unread_bytes(&self) -> usize {
        self.unread_bytes - self.read_ahead
    }

    fn admit(&self, len: usize) -> Result<u64, ProtocolError> {
        if self.finished {
            return Err(ProtocolError::AfterFin);
        }
        let weight = weight(len);
        if self.accepted + weight > self.consumed + self.window {
            return Err(ProtocolError::BeyondCredit);
        }
        Ok(weight)
    }
}

/// The weight of the longest message, and of a fin behind it.
pub(super) const MIN_WINDOW: u64 = {
    let segments = MAX_MESSAGE.get().div_ceil(SEGMENT);
    MAX_MESSAGE.get() as u64 + segments as u64 * weight(0) + weight(0)
};
