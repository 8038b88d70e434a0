//! How everybody else reaches one peer: its queue, its waker, the order to end.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use beach_lifeguard_client::{CloseCode, Lane, PeerAddr};
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::{
    idle::{Activity, Tick},
    outbound::{Budget, Evicted, Outbound, Outgoing},
    pulse::Pulse,
    registry::Wire,
};

/// The shared half of a peer. Whoever holds it can queue messages and end the peer, and never waits.
#[derive(Debug)]
pub(crate) struct PeerHandle {
    pub(crate) address: PeerAddr,
    pub(crate) wire: Wire,
    /// The rollout cohort its token was counted for; the kill switch may name it.
    pub(crate) cohort: Box<str>,
    outbound: Mutex<Outbound>,
    waker: AtomicWaker,
    order: OnceLock<Order>,
    pulse: Arc<Pulse>,
    pinged: AtomicU64,
    ping_due: AtomicBool,
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
            outbound: Mutex::new(Outbound::new(budget)),
            waker: AtomicWaker::new(),
            order: OnceLock::new(),
            pulse,
            pinged: AtomicU64::new(0),
            ping_due: AtomicBool::new(false),
            waiting_since: AtomicU64::new(0),
        }
    }

    /// Queues one message. A reliable one that does not fit ends the peer as slow: the sender is never
    /// held for it, and the peer resumes without a loss.
    pub(crate) fn push(&self, lane: Lane, message: Outgoing) -> Evicted {
        let pushed = {
            let mut outbound = self.outbound.lock();
            match lane {
                Lane::Datagram => Ok(outbound.push_datagram(message)),
                Lane::Reliable => outbound.push_reliable(message),
            }
        };
        let evicted = pushed.unwrap_or_else(|_| {
            self.end(Order::new(CloseCode::SLOW_CONSUMER, "over_budget"));
            Evicted::default()
        });
        self.waker.wake();
        evicted
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

    /// Asks the peer's task to ping it.
    pub(crate) fn ping(&self) {
        self.pinged.store(self.pulse.now(), Relaxed);
        self.ping_due.store(true, Relaxed);
        self.waker.wake();
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
        self.outbound.lock().total()
    }

    // What follows is for the peer's own task.

    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(super) fn take_ping(&self) -> bool {
        self.ping_due.swap(false, Relaxed)
    }

    pub(super) fn pop(&self) -> Option<Outgoing> {
        self.outbound.lock().pop()
    }

    /// The socket has taken everything it was given.
    pub(super) fn flushed(&self) {
        self.outbound.lock().flushed();
        self.waiting_since.store(0, Relaxed);
    }

    /// The socket takes no more for the moment.
    pub(super) fn blocked(&self) {
        let since: Tick = self.pulse.now() + 1;
        let _ = self.waiting_since.compare_exchange(0, since, Relaxed, Relaxed);
    }
}
