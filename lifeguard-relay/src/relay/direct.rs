//! The relay's own data path: one read, and one write for each recipient.
//!
//! A task reads into a buffer that all connections of its thread share, finds the frames in it, and writes them to
//! their recipients' sockets itself ([`writer`](super::writer)). A connection owns memory only while a frame is
//! incomplete or its peer is behind.

use std::{
    cell::RefCell,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use beach_lifeguard_client::{
    Lane,
    websocket::{HeadBytes, Opcode, Violation, close_payload},
};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    activity::Activity,
    ending::{ANSWER_DEADLINE, CLOSE_DEADLINE, Ending, NoHello, Order},
    guard::PeerGuard,
    inbound::Inbound,
    outbound::Outgoing,
    throttle::Throttle,
    ws::{Frame, Item, Reader},
};
use crate::listen::Socket;

/// What all connections of a thread read into.
struct Scratch {
    bytes: Box<[u8]>,
    items: Vec<Item>,
    frames: Vec<Frame>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        bytes: vec![0; READ_BYTES].into(),
        items: Vec::new(),
        frames: Vec::new(),
    });
}

/// A socket whose peer has not said hello.
pub(super) struct Opening {
    socket: Box<Socket>,
    reader: Reader,
    /// Read, and not looked at yet.
    ahead: Vec<u8>,
    activity: Arc<Activity>,
}

impl Opening {
    pub(super) fn new(socket: Socket, leftover: Bytes, activity: Arc<Activity>, max_message: usize) -> Self {
        Self { socket: Box::new(socket), reader: Reader::new(max_message), ahead: leftover.into(), activity }
    }

    /// Waits for the first text or binary message. Loses nothing when it is dropped.
    pub(super) async fn first_message(&mut self) -> Result<Outgoing, NoHello> {
        loop {
            if let Some(message) = self.look()? {
                return Ok(message);
            }
            poll_fn(|cx| self.poll_more(cx)).await?;
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoHello>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = ready!(self.socket.poll_read_into(cx, &mut scratch.bytes));
            let read = read.ok().filter(|read| *read > 0).ok_or(NoHello::SocketClosed)?;
            self.activity.note_read();
            self.ahead.extend_from_slice(&scratch.bytes[..read]);
            Poll::Ready(Ok(()))
        })
    }

    /// Looks for the first message in what was read; what lies behind it stays where it is.
    fn look(&mut self) -> Result<Option<Outgoing>, NoHello> {
        let (mut ahead, mut items) = (mem::take(&mut self.ahead), Vec::new());
        if self.reader.is_partial() {
            let (whole, taken) = self.reader.complete(&ahead)?;
            if let Some(mut whole) = whole {
                self.reader.read(&mut whole, true, &mut items)?;
                ahead.drain(..taken);
                if let Some(message) = self.first_of(&whole, items.drain(..))? {
                    self.ahead = ahead;
                    return Ok(Some(message));
                }
            } else {
                return Ok(None);
            }
        }
        let read = self.reader.read(&mut ahead, true, &mut items)?;
        let message = self.first_of(&ahead, items.into_iter())?;
        self.ahead = ahead.split_off(read);
        Ok(message)
    }

    fn first_of(
        &mut self,
        bytes: &[u8],
        items: impl Iterator<Item = Item>,
    ) -> Result<Option<Outgoing>, NoHello> {
        for item in items {
            let (frame, bytes) = match &item {
                Item::Data(frame) => (frame, bytes),
                Item::Assembled(bytes, frame) => (frame, &bytes[..]),
                Item::Close(_) => return Err(NoHello::ClientClosed),
                Item::Pong(_) => continue,
                Item::Ping(payload) => {
                    let pong = [HeadBytes::server(Opcode::Pong, payload.len()).as_bytes(), payload].concat();
                    // A stranger who asks and does not read the answer need not be here.
                    match self.socket.write_now(&pong) {
                        Ok(sent) if sent == pong.len() => continue,
                        _ => return Err(NoHello::SocketClosed),
                    }
                }
            };
            let payload = Bytes::copy_from_slice(&bytes[frame.payload()]);
            return Ok(Some(if frame.text { Outgoing::Text(payload) } else { Outgoing::Binary(payload) }));
        }
        Ok(None)
    }

    /// The socket, and what came behind the first message: not a byte of it was changed.
    pub(super) fn into_bytes(self) -> (Box<Socket>, Vec<u8>) {
        (self.socket, self.ahead)
    }

    /// Says goodbye to a stranger.
    pub(super) async fn close(mut self, order: Order) {
        farewell(&mut self.socket, &mut self.reader, Vec::new(), order).await;
    }
}

/// One admitted peer: it reads, and goes on writing when its socket had been full.
#[derive(Debug)]
pub(super) struct DirectPeer {
    inbound: Inbound,
    reader: Reader,
    /// Came with the hello.
    ahead: Vec<u8>,
    throttle: Throttle,
    /// The code of the peer's goodbye, which is given back (RFC 6455 §5.5.1).
    parting: Option<u16>,
}

impl DirectPeer {
    /// From here on whoever has something for the peer writes it.
    pub(super) fn new(opening: Opening, inbound: Inbound) -> Self {
        let Opening { socket, reader, ahead, activity: _ } = opening;
        inbound.handle.attach(socket);
        Self { inbound, reader, ahead, throttle: Throttle::default(), parting: None }
    }

    /// Serves the peer until it ends, then lets go of what `guard` holds.
    ///
    /// One block over captured values, and the rare goodbye boxed: this future is what an idle connection
    /// keeps, and an `async fn` would keep its arguments twice.
    #[expect(clippy::manual_async_fn, reason = "an idle connection would cost more")]
    pub(super) fn run(mut self, guard: PeerGuard) -> impl Future<Output = ()> {
        async move {
            let ending = poll_fn(|cx| self.poll(cx)).await;
            Box::pin(self.goodbye(ending)).await;
            guard.ended(ending);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        self.inbound.handle.register(cx.waker());
        if let Some(order) = self.inbound.handle.order() {
            return Poll::Ready(Ending::Relay(order));
        }
        if let Poll::Ready(ending) = self.poll_read(cx) {
            return Poll::Ready(ending);
        }
        // Our own frames may have ended us: a peer that does not read the answers to its mistakes.
        if let Some(order) = self.inbound.handle.order() {
            return Poll::Ready(Ending::Relay(order));
        }
        self.inbound.handle.poll_unblock(cx).map(|()| Ending::Lost)
    }

    /// Reads until there is nothing to read; the runtime's budget ends a loop that would starve others.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            if let Some(order) = ready!(self.throttle.poll(cx, &mut self.inbound)) {
                return Poll::Ready(Ending::Relay(order));
            }
            let taken = SCRATCH.with_borrow_mut(|scratch| {
                let Scratch { bytes, items, frames } = scratch;
                if !self.ahead.is_empty() {
                    let mut ahead = mem::take(&mut self.ahead);
                    return Poll::Ready(self.take(&mut ahead, items, frames));
                }
                match ready!(self.inbound.handle.poll_read(cx, bytes)) {
                    Ok(0) | Err(_) => Poll::Ready(Err(Ending::Lost)),
                    Ok(read) => Poll::Ready(self.take(&mut bytes[..read], items, frames)),
                }
            });
            if let Err(ending) = ready!(taken) {
                return Poll::Ready(ending);
            }
        }
    }

    /// Takes what one read gave.
    fn take(
        &mut self,
        bytes: &mut [u8],
        items: &mut Vec<Item>,
        frames: &mut Vec<Frame>,
    ) -> Result<(), Ending> {
        items.clear();
        let Self { inbound, reader, parting, .. } = self;
        reader.feed(bytes, items, |bytes, items| {
            frames.clear();
            for item in items.drain(..) {
                match item {
                    Item::Data(frame) => frames.push(frame),
                    Item::Assembled(mut bytes_of_its_own, frame) => {
                        inbound.take_frames(bytes, frames)?;
                        frames.clear();
                        inbound.take_frames(&mut bytes_of_its_own, &[frame])?;
                    }
                    Item::Ping(payload) => {
                        inbound.tab.charge(payload.len());
                        inbound.handle.push(Lane::Reliable, Outgoing::Pong(payload.into()));
                    }
                    Item::Pong(len) => inbound.tab.charge(len),
                    Item::Close(code) => {
                        *parting = code;
                        inbound.take_frames(bytes, frames)?;
                        return Err(Ending::Peer);
                    }
                }
            }
            inbound.take_frames(bytes, frames)?;
            Ok(())
        })
    }

    async fn goodbye(&mut self, ending: Ending) {
        let Some((mut socket, rest)) = self.inbound.handle.detach() else { return };
        match ending {
            Ending::Lost => {}
            Ending::Peer => {
                let answer = [rest, close_frame(self.parting, "")].concat();
                let _ = timeout(CLOSE_DEADLINE, say(&mut socket, &answer)).await;
            }
            Ending::Relay(order) => {
                farewell(&mut socket, &mut self.reader, rest, self.inbound.spoken(order)).await
            }
        }
    }
}

/// Sends `rest` of a frame and a close frame, then lets the peer answer: closing a socket with unread input
/// would make the kernel send a reset that overtakes the code. What is queued is not waited for.
pub(super) async fn farewell(socket: &mut Socket, reader: &mut Reader, rest: Vec<u8>, order: Order) {
    let last = [rest, close_frame(Some(order.code.get()), order.reason)].concat();
    if timeout(CLOSE_DEADLINE, say(socket, &last)).await.is_ok_and(|said| said.is_ok()) {
        let _ = timeout(ANSWER_DEADLINE, answered(socket, reader)).await;
    }
}

fn close_frame(code: Option<u16>, reason: &str) -> Vec<u8> {
    let payload = close_payload(code, reason);
    [HeadBytes::server(Opcode::Close, payload.len()).as_bytes(), &payload].concat()
}

async fn say(socket: &mut Socket, bytes: &[u8]) -> std::io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

/// Reads until the peer has said goodbye too, whatever else it sends before.
async fn answered(socket: &mut Socket, reader: &mut Reader) {
    let mut bytes = vec![0; ANSWER_BYTES];
    // Behind a violation nothing can be made out any more; what comes is still read.
    let mut readable = true;
    while let Ok(read @ 1..) = socket.read(&mut bytes).await {
        let heard = reader.feed(&mut bytes[..read], &mut Vec::new(), |_, items| {
            let closed = items.drain(..).any(|item| matches!(item, Item::Close(_)));
            if closed { Err(Heard::Goodbye) } else { Ok(()) }
        });
        match heard {
            Err(Heard::Goodbye) if readable => return,
            Err(Heard::Violation) => readable = false,
            _ => {}
        }
    }
}

enum Heard {
    Goodbye,
    Violation,
}

impl From<Violation> for Heard {
    fn from(_: Violation) -> Self {
        Self::Violation
    }
}

/// Holds the largest frame and a good part of the next.
const READ_BYTES: usize = 128 * 1024;
/// Enough for a goodbye.
const ANSWER_BYTES: usize = 1_024;
