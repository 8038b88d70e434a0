//! One link: a peer, a number, and a queue for each direction.

use beach_lifeguard_client::{LinkId, PeerAddr};
use transport_core::{Closed, Inbound, LaneQueue, Profile, Stats};

/// Which link: the relay's address of the peer and the generation both agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) peer: PeerAddr,
    pub(crate) link: LinkId,
}

/// What the socket and the transport share of one link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) key: Key,
    /// Filled by the application, emptied by the socket's writer.
    pub(crate) outbound: LaneQueue,
    /// Filled by the socket's reader, emptied by the application.
    pub(crate) inbound: LaneQueue,
}

impl Link {
    pub(crate) fn new(key: Key, profile: &Profile) -> Self {
        Self { key, outbound: LaneQueue::new(profile), inbound: LaneQueue::new(profile) }
    }

    /// Ends both directions. Only called under the lock of [`Links`](crate::links::Links), so both
    /// tell the same end.
    pub(crate) fn end(&self, closed: Closed) -> bool {
        self.inbound.close(closed.clone());
        self.outbound.close(closed)
    }

    pub(crate) async fn recv(&self) -> Result<Inbound, Closed> {
        self.inbound.pop().await
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
