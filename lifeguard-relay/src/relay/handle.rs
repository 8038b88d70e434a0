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
use parking_lot::Mutex;

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
            writer: Mutex::new(Writer::new(Outbound::new(budget), activity.now())),
            waker: AtomicWaker::new(),
            order: OnceLock::new(),
            activity,
            pinged: AtomicU64::new(0),
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
        let now = self.activity.now();
        self.write(|writer| writer.queue_all(&[message], lane == Lane::Reliable, now))
    }

    /// As [`push`](Self::push), for all frames of a run at once. `now` may be when the run was read: for a thousand
    /// recipients the clock is not asked a thousand times.
    pub(crate) fn deliver(&self, lane: Lane, run: &Run<'_>, now: Tick) -> Evicted {
        self.write(|writer| writer.send(run, lane == Lane::Reliable, now))
    }

    /// Lets `write` have the writer, and draws the conclusions.
    fn write(&self, write: impl FnOnce(&mut Writer) -> Result<Evicted, Overflow>) -> Evicted {
        let mut writer = self.writer.lock();
        let before = writer.state();
        let pushed = write(&mut writer);
        // Where the socket has stopped, its own task waits for it; where there is none, that task writes everything.
        if writer.state() != before || !writer.has_socket() {
            self.waker.wake();
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
        let writer = self.writer.lock();
        let written = writer.moved();
        #[cfg(feature = "reference-path")]
        let written = written.max(self.activity.written());
        Observed {
            read: self.activity.read(),
            written,
            pinged: self.pinged.load(Relaxed),
            waiting_since: writer.waiting_since(),
        }
    }

    /// When something last came from the peer.
    pub(super) fn last_read(&self) -> Tick {
        self.activity.read()
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
        let now = self.activity.now();
        self.write(|writer| {
            writer.attach(*socket, now);
            Ok(Evicted::default())
        });
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
                Poll::Ready(Ok(())) => writer.unblock(self.activity.now()),
            }
        }
        if writer.state() == State::Broken { Poll::Ready(()) } else { Poll::Pending }
    }

    // What follows is for the reference data path, whose task writes by itself.

    /// The socket takes no more for the moment.
    #[cfg(feature = "reference-path")]
    pub(super) fn blocked(&self) {
        self.writer.lock().blocked(self.activity.now());
    }

    #[cfg(feature = "reference-path")]
    pub(super) fn pop(&self) -> Option<Outgoing> {
        self.writer.lock().outbound.pop()
    }

    /// The socket has taken everything it was given.
    #[cfg(feature = "reference-path")]
    pub(super) fn flushed(&self) {
        let mut writer = self.writer.lock();
        writer.outbound.flushed();
        writer.caught_up(self.activity.now());
    }
}
