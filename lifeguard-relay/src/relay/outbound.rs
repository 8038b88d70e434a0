//! What waits to be written to one peer, bounded in bytes. Sans-IO.

use std::collections::VecDeque;

use beach_lifeguard_client::websocket::Opcode;
use bytes::Bytes;

/// One WebSocket message on its way to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// A binary message: every v2 frame, and v1's binary ones.
    Binary(Bytes),
    /// A text message; the bytes were valid UTF-8 when they came in.
    Text(Bytes),
    /// Asks whether the peer is there.
    Ping,
    /// The answer to a peer that asked the same.
    Pong(Bytes),
}

impl Outgoing {
    /// Bytes this message is charged with: its own, and the slot that holds it.
    pub(crate) fn cost(&self) -> usize {
        self.bytes().len() + SLOT_BYTES
    }

    /// The payload, whatever its type.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Binary(bytes) | Self::Text(bytes) | Self::Pong(bytes) => bytes,
            Self::Ping => &[],
        }
    }

    /// The payload to keep.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Binary(bytes) | Self::Text(bytes) | Self::Pong(bytes) => bytes,
            Self::Ping => Bytes::new(),
        }
    }

    /// What kind of frame carries it.
    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            Self::Binary(_) => Opcode::Binary,
            Self::Text(_) => Opcode::Text,
            Self::Ping => Opcode::Ping,
            Self::Pong(_) => Opcode::Pong,
        }
    }
}

/// How much may wait for one peer, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Above this, counting what the socket has not taken yet, a peer is slow.
    pub(crate) reliable: usize,
    /// Datagrams beyond this push out the oldest ones.
    pub(crate) datagram: usize,
    /// Room above `reliable` for the one message that crosses it. The peer is cut at the sum.
    pub(crate) slack: usize,
}

/// Both lanes towards one peer.
///
/// Reliable messages are never dropped: a peer that cannot take one is over its budget and must be
/// cut, which it can resume from. Datagrams make room: the oldest goes first, and is counted.
#[derive(Debug)]
pub(crate) struct Outbound {
    budget: Budget,
    reliable: VecDeque<Outgoing>,
    datagram: VecDeque<Outgoing>,
    reliable_bytes: usize,
    datagram_bytes: usize,
    /// Handed to the socket, not yet taken by the kernel.
    unflushed: usize,
    /// Serve the datagram lane next when both wait, so that neither starves.
    datagram_next: bool,
}

impl Outbound {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            reliable: VecDeque::new(),
            datagram: VecDeque::new(),
            reliable_bytes: 0,
            datagram_bytes: 0,
            unflushed: 0,
            datagram_next: false,
        }
    }

    /// Queues a reliable message; waiting datagrams give way to it.
    ///
    /// # Errors
    ///
    /// [`Overflow`] when the peer is over its budget even without any datagram. The message was not
    /// queued and the peer must be cut.
    pub(crate) fn push_reliable(&mut self, message: Outgoing) -> Result<Evicted, Overflow> {
        let cost = message.cost();
        let limit = self.budget.reliable + self.budget.slack;
        if self.reliable_bytes + self.unflushed + cost > limit {
            return Err(Overflow);
        }
        self.reliable_bytes += cost;
        self.reliable.push_back(message);
        Ok(self.evict_datagrams(self.budget.datagram))
    }

    /// Queues a datagram, evicting the oldest ones beyond the lane's budget.
    pub(crate) fn push_datagram(&mut self, message: Outgoing) -> Evicted {
        self.datagram_bytes += message.cost();
        self.datagram.push_back(message);
        self.evict_datagrams(self.budget.datagram)
    }

    /// Takes the next message for the socket; it counts as unflushed until [`flushed`](Self::flushed).
    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let datagram_first = self.datagram_next || self.reliable.is_empty();
        let message = if datagram_first && !self.datagram.is_empty() {
            let message = self.datagram.pop_front()?;
            self.datagram_bytes -= message.cost();
            self.datagram_next = false;
            message
        } else {
            let message = self.reliable.pop_front()?;
            self.reliable_bytes -= message.cost();
            self.datagram_next = true;
            message
        };
        self.unflushed += message.cost();
        if self.is_empty() {
            // A burst must not leave its ring buffers behind: idle peers are many.
            self.reliable.shrink_to(RING_KEPT);
            self.datagram.shrink_to(RING_KEPT);
        }
        Some(message)
    }

    /// Whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.reliable.is_empty() && self.datagram.is_empty()
    }

    /// Counts bytes that wait beside the queue, in front of it, as unflushed.
    pub(crate) fn add_unflushed(&mut self, bytes: usize) {
        self.unflushed += bytes;
    }

    /// The kernel has taken everything that was popped.
    pub(crate) fn flushed(&mut self) {
        self.unflushed = 0;
    }

    /// Bytes held for this peer.
    pub(crate) fn total(&self) -> usize {
        self.reliable_bytes + self.datagram_bytes + self.unflushed
    }

    fn evict_datagrams(&mut self, lane_budget: usize) -> Evicted {
        let mut evicted = Evicted::default();
        let limit = self.budget.reliable + self.budget.slack;
        // The newest datagram may stay alone even when it is larger than the lane's budget.
        while self.datagram_bytes > 0
            && (self.total() > limit || (self.datagram_bytes > lane_budget && self.datagram.len() > 1))
        {
            let Some(oldest) = self.datagram.pop_front() else { break };
            self.datagram_bytes -= oldest.cost();
            evicted.frames += 1;
            evicted.bytes += oldest.bytes().len() as u64;
        }
        evicted
    }
}

/// Datagrams that made room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Evicted {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

/// The peer is over its reliable budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

/// What one queued message costs beside its payload: the slot in the ring.
const SLOT_BYTES: usize = size_of::<Outgoing>();
/// Slots an empty ring keeps.
const RING_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: Budget = Budget { reliable: 1_000, datagram: 300, slack: 200 };

    fn message(len: usize) -> Outgoing {
        Outgoing::Binary(vec![7; len].into())
    }

    #[test]
    fn reliable_is_refused_only_past_budget_and_slack() {
        let mut queue = Outbound::new(BUDGET);
        let cost = message(100).cost();
        let fits = (BUDGET.reliable + BUDGET.slack) / cost;
        for _ in 0..fits {
            assert_eq!(queue.push_reliable(message(100)), Ok(Evicted::default()));
        }
        assert_eq!(queue.push_reliable(message(100)), Err(Overflow));
        // What the socket has not taken yet still counts.
        queue.pop().unwrap();
        assert_eq!(queue.push_reliable(message(100)), Err(Overflow));
        queue.flushed();
        assert!(queue.push_reliable(message(100)).is_ok());
    }

    #[test]
    fn the_oldest_datagram_goes_first_and_is_counted() {
        let mut queue = Outbound::new(BUDGET);
        assert_eq!(queue.push_datagram(Outgoing::Binary(vec![1; 100].into())), Evicted::default());
        assert_eq!(queue.push_datagram(Outgoing::Binary(vec![2; 100].into())), Evicted::default());
        assert_eq!(
            queue.push_datagram(Outgoing::Binary(vec![3; 100].into())),
            Evicted { frames: 1, bytes: 100 }
        );
        assert_eq!(queue.pop(), Some(Outgoing::Binary(vec![2; 100].into())));
    }

    #[test]
    fn datagrams_give_way_to_reliable_messages() {
        let mut queue = Outbound::new(BUDGET);
        queue.push_datagram(message(200));
        let evicted: Vec<_> = (0..8).map(|_| queue.push_reliable(message(100)).unwrap()).collect();
        assert_eq!(evicted.iter().filter(|e| **e == Evicted { frames: 1, bytes: 200 }).count(), 1);
        assert_eq!(queue.datagram_bytes, 0);
    }

    #[test]
    fn lanes_take_turns() {
        let mut queue = Outbound::new(BUDGET);
        for n in [1, 2] {
            queue.push_reliable(message(n)).unwrap();
            queue.push_datagram(message(n * 10));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|m| m.bytes().len()).collect();
        assert_eq!(order, [1, 10, 2, 20]);
    }

    proptest! {
        #[test]
        fn memory_stays_under_the_cap_and_reliable_order_is_kept(
            script in prop::collection::vec((0u8..4, 1usize..400), 1..400)
        ) {
            let mut queue = Outbound::new(BUDGET);
            let (mut accepted, mut seen, mut stamp) = (VecDeque::new(), 0u32, 0u32);
            for (what, len) in script {
                match what {
                    0 => {
                        let mut payload = stamp.to_be_bytes().to_vec();
                        payload.resize(len.max(4), 0);
                        if queue.push_reliable(Outgoing::Text(payload.into())).is_ok() {
                            accepted.push_back(stamp);
                        }
                        stamp += 1;
                    }
                    1 => { queue.push_datagram(message(len)); }
                    2 => if let Some(Outgoing::Text(bytes)) = queue.pop() {
                        let got = u32::from_be_bytes(bytes[..4].try_into().unwrap());
                        prop_assert_eq!(Some(got), accepted.pop_front());
                        seen += 1;
                    },
                    _ => queue.flushed(),
                }
                prop_assert!(queue.total() <= BUDGET.reliable + BUDGET.slack + 64 || queue.datagram.len() <= 1);
            }
            prop_assert!(seen <= stamp);
        }
    }
}
