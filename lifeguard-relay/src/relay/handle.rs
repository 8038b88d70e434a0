//! How everybody else reaches one peer: its queue, its waker, the order to end.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use beach_lifeguard_client::{Claims, CloseCode, Lane, PeerAddr};
use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use super::{
    activity::Activity,
    ending::Order,
    idle::{Observed, Tick},
    outbound::{Budget, Evicted, Outbound, Outgoing, Overflow},
    registry::Wire,
    run::Run,
    writer::{State, Writer},
};
use crate::listen::Socket;

/// The shared half of a peer. Whoever holds it can queue messages and end the peer, and never waits.
#[derive(Debug)]
pub(crate) struct PeerHandle {
    pub(crate) address: PeerAddr,
    pub(crate) wire: Wire,
    /// The rollout cohort its token was counted for; the kill switch may name it.
    pub(crate) cohort: Box<str>,
    /// What admitted it, for its rejoin tickets. v1 has none.
    pub(crate) claims: Option<Box<Claims>>,
    writer: Mutex<Writer>,
    waker: AtomicWaker,
    order: OnceLock<Order>,
    activity: Arc<Activity>,
    pinged: AtomicU64,
    /// Tick since which bytes wait for the socket, plus one; 0 when none do.
    waiting_since: AtomicU64,
}

impl PeerHandle {
    pub(crate) fn new(
        address: PeerAddr,
        wire: Wire,
        cohort: &str,
        budget: Budget,
        activity: Arc<Activity>,
    ) -> Self {
        Self {
            address,
            wire,
            cohort: cohort.into(),
            claims: None,
            writer: Mutex::new(Writer::new(Outbound::new(budget))),
            waker: AtomicWaker::new(),
            order: OnceLock::new(),
            activity,
            pinged: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
        }
    }

    /// Has what admitted it at hand for rejoin tickets.
    #[must_use]
    pub(crate) fn admitted_by(mut self, claims: &Claims) -> Self {
        self.claims = Some(Box::new(claims.clone()));
        self
    }

    /// Sends or queues one message. A reliable one that does not fit ends the peer as slow: the sender is never
    /// held for it, and the peer resumes without a loss.
    pub(crate) fn push(&self, lane: Lane, message: Outgoing) -> Evicted {
        let mut writer = self.writer.lock();
        let pushed = writer.queue_all(&[message], lane == Lane::Reliable);
        self.settle(&writer, pushed)
    }

    /// As [`push`](Self::push), for all frames of a run at once.
    pub(crate) fn deliver(&self, lane: Lane, run: &Run<'_>) -> Evicted {
        let mut writer = self.writer.lock();
        let sent = writer.send(run, lane == Lane::Reliable);
        self.settle(&writer, sent)
    }

    /// Draws the conclusions from what was written to the writer.
    fn settle(&self, writer: &MutexGuard<'_, Writer>, pushed: Result<Evicted, Overflow>) -> Evicted {
        match writer.state() {
            State::Open if writer.has_socket() => self.wrote(),
            State::Open => self.waker.wake(),
            State::Blocked => {
                self.blocked();
                self.waker.wake();
            }
            State::Broken => self.waker.wake(),
        }
        pushed.unwrap_or_else(|Overflow| {
            self.end(Order::new(CloseCode::SLOW_CONSUMER, "over_budget"));
            Evicted::default()
        })
    }

    /// Orders the peer to end; the first order counts.
    pub(crate) fn end(&self, order: Order) {
        if self.order.set(order).is_ok() {
            self.waker.wake();
        }
    }

    /// The order to end, if there is one.
    pub(crate) fn order(&self) -> Option<Order> {
        self.order.get().copied()
    }

    /// Asks the peer whether it is there.
    pub(crate) fn ping(&self) {
        self.pinged.store(self.activity.now(), Relaxed);
        self.push(Lane::Reliable, Outgoing::Ping);
    }

    /// What the sweep judges.
    pub(crate) fn observed(&self) -> Observed {
        Observed {
            read: self.activity.read(),
            written: self.activity.written(),
            pinged: self.pinged.load(Relaxed),
            waiting_since: self.waiting_since.load(Relaxed).checked_sub(1),
        }
    }

    /// Bytes that wait for the peer.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.writer.lock().outbound.total()
    }

    // What follows is for the peer's own task.

    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Hands over the socket: from now on whoever has something for the peer writes to it.
    pub(super) fn attach(&self, socket: Box<Socket>) {
        let mut writer = self.writer.lock();
        writer.attach(socket);
        self.settle(&writer, Ok(Evicted::default()));
    }

    /// Takes the socket back, with what completes the frame that was written in part.
    pub(super) fn detach(&self) -> Option<(Box<Socket>, Vec<u8>)> {
        self.writer.lock().detach()
    }

    /// Reads from the attached socket; 0 bytes are its end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut writer = self.writer.lock();
        let Some(socket) = writer.socket() else { return Poll::Ready(Ok(0)) };
        let read = socket.poll_read_into(cx, bytes);
        if let Poll::Ready(Ok(1..)) = read {
            self.activity.note_read();
        }
        read
    }

    /// Goes on writing when the socket takes more again. Ready when it failed.
    pub(super) fn poll_unblock(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut writer = self.writer.lock();
        while writer.state() == State::Blocked {
            let Some(socket) = writer.socket() else { break };
            match socket.poll_writable(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    let before = writer.written();
                    writer.unblock();
                    if writer.written() > before {
                        self.wrote();
                    }
                    if writer.state() == State::Blocked {
                        self.blocked();
                    }
                }
            }
        }
        if writer.state() == State::Broken { Poll::Ready(()) } else { Poll::Pending }
    }

    fn wrote(&self) {
        self.activity.note_written();
        self.waiting_since.store(0, Relaxed);
    }

    /// The socket takes no more for the moment.
    pub(super) fn blocked(&self) {
        let since: Tick = self.activity.now() + 1;
        let _ = self.waiting_since.compare_exchange(0, since, Relaxed, Relaxed);
    }

    // What follows is for the reference data path, whose task writes by itself.

    #[cfg(feature = "reference-path")]
    pub(super) fn pop(&self) -> Option<Outgoing> {
        self.writer.lock().outbound.pop()
    }

    /// The socket has taken everything it was given.
    #[cfg(feature = "reference-path")]
    pub(super) fn flushed(&self) {
        self.writer.lock().outbound.flushed();
        self.waiting_since.store(0, Relaxed);
    }
}
