//! One link: a peer, a number, and a queue for each direction.

use beach_lifeguard_client::{LinkNumber, PeerAddr, frame::Window};
use parking_lot::Mutex;
use tokio::sync::watch;
use transport_core::{Closed, Inbound, Lane, LaneQueue, Profile, Stats};

/// Which link: the relay's address of the peer and the generation both agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) peer: PeerAddr,
    pub(crate) link: LinkNumber,
}

/// What the socket and the transport share of one link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) key: Key,
    /// Filled by the application, emptied by the socket's writer.
    pub(crate) outbound: LaneQueue,
    /// Filled by the socket's reader, emptied by the application.
    pub(crate) inbound: LaneQueue,
    /// What the peer may send.
    grant: Mutex<Grant>,
    /// Whether the socket has written everything of this link that it will ever write.
    left: watch::Sender<bool>,
}

/// The window this side gives, in weight since the link opened ([`Window::weight`]).
#[derive(Debug)]
struct Grant {
    read: u64,
    announced: u64,
    /// What was read when the window was last looked at.
    looked: u64,
}

impl Link {
    /// `inbound` is the profile of what may wait unread; its reliable lane must hold what is granted.
    pub(crate) fn new(key: Key, outbound: &Profile, inbound: &Profile) -> Self {
        let grant = Mutex::new(Grant { read: 0, announced: 0, looked: 0 });
        Self {
            key,
            outbound: LaneQueue::new(outbound),
            inbound: LaneQueue::new(inbound),
            grant,
            left: watch::Sender::new(false),
        }
    }

    /// Moves the window to `ahead` beyond what was read, if that moves it by `step` at least.
    pub(crate) fn move_window(&self, ahead: u64, step: u64) -> Option<Window> {
        let mut grant = self.grant.lock();
        let limit = grant.read + ahead;
        (limit >= grant.announced + step).then(|| {
            grant.announced = limit;
            Window(limit)
        })
    }

    /// Ends both directions. Only called under the lock of [`Links`](crate::links::Links), so both
    /// tell the same end.
    pub(crate) fn end(&self, closed: Closed) -> bool {
        self.inbound.close(closed.clone());
        self.outbound.close(closed)
    }

    /// Notes that nothing more of this link will be written.
    pub(crate) fn leave(&self) {
        self.left.send_replace(true);
    }

    /// Waits until nothing more of this link will be written.
    pub(crate) async fn left(&self) {
        // The sender lives in `self`.
        let _ = self.left.subscribe().wait_for(|left| *left).await;
    }

    /// Whether enough was read since the last time that the window may be worth moving.
    pub(crate) fn has_read(&self) -> bool {
        let mut grant = self.grant.lock();
        let enough = grant.read - grant.looked >= LOOK_EVERY;
        if enough {
            grant.looked = grant.read;
        }
        enough
    }

    /// Takes the next message; a reliable one counts for the window.
    pub(crate) async fn recv(&self) -> Result<Inbound, Closed> {
        let inbound = self.inbound.pop().await?;
        if inbound.lane == Lane::Reliable {
            self.grant.lock().read += Window::weight(inbound.payload.len());
        }
        Ok(inbound)
    }

    /// Counters of both directions. Received is what was handed out: an evicted datagram never was.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.outbound.stats();
        let inbound = self.inbound.stats();
        for (lane, inbound) in
            [(&mut stats.datagram, inbound.datagram), (&mut stats.reliable, inbound.reliable)]
        {
            lane.received_messages = inbound.sent_messages;
            lane.received_bytes = inbound.sent_bytes;
        }
        stats
    }
}

/// Weight read between two looks at the window: a quarter of the smallest one.
const LOOK_EVERY: u64 = Window::LEAST.0 / 4;
