//! The way to one peer's socket: written to by whoever has something for the peer.
//!
//! A message goes from the sender's task to the recipient's socket at once, without waking anybody. Only when the
//! socket takes no more does it wait in the queue, and the recipient's own task writes on when it can. So a peer that
//! keeps up costs one write for each read of its sender, and a slow one costs nobody else anything.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use beach_lifeguard_client::websocket::HeadBytes;
use bytes::Bytes;

use super::{
    idle::Tick,
    outbound::{Evicted, Outbound, Outgoing, Overflow},
    run::Run,
};
use crate::listen::Socket;

/// A socket and what waits for it.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` before the peer is served, after it was told goodbye, and when another data path writes for it.
    socket: Option<Socket>,
    state: State,
    /// When the socket last took something.
    moved: Tick,
    /// Since when something has been waiting for the socket, if it has.
    waiting_since: Option<Tick>,
    pub(super) outbound: Outbound,
    /// Taken from the queue; the first may be written in part.
    writing: VecDeque<Piece>,
}

/// What is known of the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has taken all it was given, so nothing waits for it.
    Open,
    /// It took less than it was given; its own task waits for it.
    Blocked,
    /// It failed; its own task has yet to notice.
    Broken,
    /// A message did not fit, and the peer is being cut. Nothing is written any more: it would follow a gap.
    Overfull,
}

/// One frame, or the rest of one.
#[derive(Debug)]
struct Piece {
    /// `None` for the rest of a frame.
    head: Option<HeadBytes>,
    payload: Bytes,
    /// Bytes of both that are gone.
    sent: usize,
}

impl Piece {
    fn parts(&self) -> [&[u8]; 2] {
        let head = self.head.as_ref().map_or(&[][..], HeadBytes::as_bytes);
        let in_head = self.sent.min(head.len());
        [&head[in_head..], &self.payload[self.sent - in_head..]]
    }

    /// Whether the peer has part of it, so that nothing else may come before its end.
    fn has_begun(&self) -> bool {
        self.head.is_none() || self.sent > 0
    }

    fn left(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

impl Writer {
    /// Without a socket for the time being. Every `now` is a tick of the relay's clock.
    pub(crate) fn new(outbound: Outbound, now: Tick) -> Self {
        let (socket, state, writing) = (None, State::Open, VecDeque::new());
        Self { socket, state, moved: now, waiting_since: None, outbound, writing }
    }

    /// Gives it the socket; what is queued is written first.
    pub(crate) fn attach(&mut self, socket: Socket, now: Tick) {
        self.socket = Some(socket);
        self.drain(now);
    }

    /// Takes the socket away, with what completes the frame that was written in part.
    pub(crate) fn detach(&mut self) -> Option<(Box<Socket>, Vec<u8>)> {
        let rest = self.writing.front().filter(|piece| piece.has_begun()).map(|piece| piece.parts().concat());
        self.writing = VecDeque::new();
        Some((Box::new(self.socket.take()?), rest.unwrap_or_default()))
    }

    pub(crate) fn socket(&mut self) -> Option<&mut Socket> {
        self.socket.as_mut()
    }

    pub(crate) fn has_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// When the socket last took something.
    pub(crate) fn moved(&self) -> Tick {
        self.moved
    }

    /// Since when something has been waiting for the socket without a byte going, if it has.
    pub(crate) fn waiting_since(&self) -> Option<Tick> {
        self.waiting_since
    }

    /// What is known of the socket.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Writes a run, or queues what the socket does not take.
    ///
    /// # Errors
    ///
    /// [`Overflow`] when a reliable message does not fit; the peer must be cut.
    pub(crate) fn send(&mut self, run: &Run<'_>, reliable: bool, now: Tick) -> Result<Evicted, Overflow> {
        let Some(socket) = self.socket.as_mut().filter(|_| self.state == State::Open) else {
            return self.queue_all(run.messages(), reliable, now);
        };
        let wire = run.wire();
        match socket.write_now(wire) {
            Ok(sent) if sent == wire.len() => {
                let flushed = socket.flush_now();
                self.moved = now;
                if let Err(error) = flushed {
                    self.note(&error, now);
                }
                Ok(Evicted::default())
            }
            Ok(sent) => {
                self.moved = now;
                let (rest, messages) = run.after(sent);
                if !rest.is_empty() {
                    self.outbound.add_unflushed(rest.len());
                    self.writing.push_back(Piece { head: None, payload: rest, sent: 0 });
                }
                self.queue_all(messages, reliable, now)
            }
            Err(error) => {
                self.note(&error, now);
                self.queue_all(run.messages(), reliable, now)
            }
        }
    }

    /// Queues messages and writes what the socket takes.
    ///
    /// # Errors
    ///
    /// [`Overflow`] when a reliable message does not fit; the peer must be cut.
    pub(crate) fn queue_all(
        &mut self,
        messages: &[Outgoing],
        reliable: bool,
        now: Tick,
    ) -> Result<Evicted, Overflow> {
        let mut evicted = Evicted::default();
        for message in messages {
            evicted += if reliable {
                self.outbound.push_reliable(message.clone()).inspect_err(|_| self.state = State::Overfull)?
            } else {
                self.outbound.push_datagram(message.clone())
            };
        }
        self.drain(now);
        Ok(evicted)
    }

    /// The socket may take more: goes on writing.
    pub(crate) fn unblock(&mut self, now: Tick) {
        if self.state == State::Blocked {
            self.state = State::Open;
            self.drain(now);
        }
    }

    /// Something waits for the socket from now on, if nothing did before.
    pub(crate) fn blocked(&mut self, now: Tick) {
        self.waiting_since.get_or_insert(now);
    }

    /// The socket has taken all it was given.
    pub(crate) fn caught_up(&mut self, now: Tick) {
        self.moved = now;
        self.waiting_since = None;
    }

    /// Writes what is queued, until nothing is or the socket takes no more.
    fn drain(&mut self, now: Tick) {
        if self.state == State::Open && self.socket.is_some() {
            match self.try_drain(now) {
                Ok(()) => self.caught_up(now),
                Err(error) => self.note(&error, now),
            }
        }
    }

    fn try_drain(&mut self, now: Tick) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        loop {
            if self.writing.is_empty() {
                self.outbound.flushed();
                let next = std::iter::from_fn(|| self.outbound.pop()).take(PIECES).map(Piece::from);
                self.writing.extend(next);
            }
            if self.writing.is_empty() {
                if self.writing.capacity() > PIECES_KEPT {
                    self.writing = VecDeque::new();
                }
                return socket.flush_now();
            }
            let mut slices = [IoSlice::new(&[]); 2 * PIECES];
            let parts = self.writing.iter().flat_map(Piece::parts);
            let mut count = 0;
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
                count += 1;
            }
            let mut sent = socket.write_vectored_now(&slices[..count])?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            (self.moved, self.waiting_since) = (now, None);
            while let Some(piece) = self.writing.front_mut() {
                let taken = sent.min(piece.left());
                piece.sent += taken;
                sent -= taken;
                if piece.left() > 0 {
                    break;
                }
                self.writing.pop_front();
            }
        }
    }

    fn note(&mut self, error: &io::Error, now: Tick) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.state = State::Blocked;
            self.blocked(now);
        } else {
            self.state = State::Broken;
        }
    }
}

impl From<Outgoing> for Piece {
    fn from(message: Outgoing) -> Self {
        let head = HeadBytes::server(message.opcode(), message.bytes().len());
        Self { head: Some(head), payload: message.into_bytes(), sent: 0 }
    }
}

/// Frames of one write.
const PIECES: usize = 32;
/// Places an idle writer keeps.
const PIECES_KEPT: usize = 4;

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
