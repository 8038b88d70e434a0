//! How everybody else reaches one peer: its queue, its waker, the order to end.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use beach_lifeguard_client::{CloseCode, Lane, PeerAddr};
use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use super::{
    idle::{Activity, Tick},
    outbound::{Budget, Evicted, Outbound, Outgoing, Overflow},
    port::{Port, State},
    pulse::Pulse,
    registry::Wire,
    run::Run,
};
use crate::listen::Socket;

/// The shared half of a peer. Whoever holds it can queue messages and end the peer, and never waits.
#[derive(Debug)]
pub(crate) struct PeerHandle {
    pub(crate) address: PeerAddr,
    pub(crate) wire: Wire,
    /// The rollout cohort its token was counted for; the kill switch may name it.
    pub(crate) cohort: Box<str>,
    port: Mutex<Port>,
    waker: AtomicWaker,
    order: OnceLock<Order>,
    pulse: Arc<Pulse>,
    pinged: AtomicU64,
    /// Tick since which bytes wait for the socket, plus one; 0 when none do.
    waiting_since: AtomicU64,
}

/// The relay ends a connection: with which code, and why in one word of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'static str,
}

impl Order {
    pub(crate) const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

impl PeerHandle {
    pub(crate) fn new(
        address: PeerAddr,
        wire: Wire,
        cohort: &str,
        budget: Budget,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self {
            address,
            wire,
            cohort: cohort.into(),
            port: Mutex::new(Port::new(Outbound::new(budget))),
            waker: AtomicWaker::new(),
            order: OnceLock::new(),
            pulse,
            pinged: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
        }
    }

    /// Sends or queues one message. A reliable one that does not fit ends the peer as slow: the sender is never
    /// held for it, and the peer resumes without a loss.
    pub(crate) fn push(&self, lane: Lane, message: Outgoing) -> Evicted {
        let mut port = self.port.lock();
        let pushed = port.queue_all(&[message], lane == Lane::Reliable);
        self.settle(&port, pushed)
    }

    /// As [`push`](Self::push), for all frames of a run at once.
    pub(crate) fn deliver(&self, lane: Lane, run: &Run<'_>) -> Evicted {
        let mut port = self.port.lock();
        let sent = port.send(run, lane == Lane::Reliable);
        self.settle(&port, sent)
    }

    /// Draws the conclusions from what was written to the port.
    fn settle(&self, port: &MutexGuard<'_, Port>, pushed: Result<Evicted, Overflow>) -> Evicted {
        match port.state() {
            State::Open if port.has_socket() => self.wrote(),
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
        self.pinged.store(self.pulse.now(), Relaxed);
        self.push(Lane::Reliable, Outgoing::Ping);
    }

    /// What the sweep judges.
    pub(crate) fn activity(&self) -> Activity {
        Activity {
            read: self.pulse.read(),
            written: self.pulse.written(),
            pinged: self.pinged.load(Relaxed),
            waiting_since: self.waiting_since.load(Relaxed).checked_sub(1),
        }
    }

    /// Bytes that wait for the peer.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.port.lock().outbound.total()
    }

    // What follows is for the peer's own task.

    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Hands over the socket: from now on whoever has something for the peer writes to it.
    pub(super) fn attach(&self, socket: Box<Socket>) {
        let mut port = self.port.lock();
        port.attach(socket);
        self.settle(&port, Ok(Evicted::default()));
    }

    /// Takes the socket back, with what completes the frame that was written in part.
    pub(super) fn detach(&self) -> Option<(Box<Socket>, Vec<u8>)> {
        self.port.lock().detach()
    }

    /// Reads from the attached socket; 0 bytes are its end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut port = self.port.lock();
        let Some(socket) = port.socket() else { return Poll::Ready(Ok(0)) };
        let read = socket.poll_read_into(cx, bytes);
        if let Poll::Ready(Ok(1..)) = read {
            self.pulse.note_read();
        }
        read
    }

    /// Goes on writing when the socket takes more again. Ready when it failed.
    pub(super) fn poll_unblock(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut port = self.port.lock();
        while port.state() == State::Blocked {
            let Some(socket) = port.socket() else { break };
            match socket.poll_writable(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    let before = port.written();
                    port.unblock();
                    if port.written() > before {
                        self.wrote();
                    }
                    if port.state() == State::Blocked {
                        self.blocked();
                    }
                }
            }
        }
        if port.state() == State::Broken { Poll::Ready(()) } else { Poll::Pending }
    }

    fn wrote(&self) {
        self.pulse.note_written();
        self.waiting_since.store(0, Relaxed);
    }

    // What follows is for the reference data path, whose task writes by itself.

    pub(super) fn pop(&self) -> Option<Outgoing> {
        self.port.lock().outbound.pop()
    }

    /// The socket has taken everything it was given.
    pub(super) fn flushed(&self) {
        self.port.lock().outbound.flushed();
        self.waiting_since.store(0, Relaxed);
    }

    /// The socket takes no more for the moment.
    pub(super) fn blocked(&self) {
        let since: Tick = self.pulse.now() + 1;
        let _ = self.waiting_since.compare_exchange(0, since, Relaxed, Relaxed);
    }
}
