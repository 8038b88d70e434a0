//! A pair of transports in memory: the reference implementation of the contract, with faults.

use std::{num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

use crate::{
    close::{CloseCode, Closed},
    error::{Refusal, Refused},
    ids::TransportId,
    lane::{Lane, LaneProfile, Profile},
    queue::LaneQueue,
    stats::Stats,
    transport::{Inbound, Transport},
};

/// The registered name of the memory transport.
pub const ID: TransportId = TransportId::from_static("memory");

/// Describes a memory transport whose lanes both hold `queue_bytes` and take messages up to
/// `max_message` bytes.
///
/// # Panics
///
/// If either is 0.
pub fn profile(queue_bytes: usize, max_message: usize) -> Profile {
    let queue_bytes = NonZeroUsize::new(queue_bytes).expect("a queue holds at least one byte");
    let max_message = NonZeroUsize::new(max_message).expect("a message has at least one byte");
    let lane = LaneProfile::native(max_message, queue_bytes);
    Profile::new(ID, "memory", lane.clone(), lane)
}

/// Connects two ends, and returns the link between them, on which faults are injected.
pub fn pair(profile: Profile) -> (MemoryTransport, MemoryTransport, MemoryLink) {
    let link = Arc::new(Link { pipes: [Pipe::new(&profile), Pipe::new(&profile)], ending: Mutex::new(()) });
    let end = |side| MemoryTransport { profile: profile.clone(), link: link.clone(), side };
    (end(Side::A), end(Side::B), MemoryLink(link.clone()))
}

/// One end of a memory link.
#[derive(Debug)]
pub struct MemoryTransport {
    profile: Profile,
    link: Arc<Link>,
    side: Side,
}

/// One of the two ends, or the direction that starts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first end that [`pair`] returns.
    A,
    /// The second.
    B,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The wire between two memory transports: cut it, stall it, lose its datagrams.
#[derive(Debug, Clone)]
pub struct MemoryLink(Arc<Link>);

impl MemoryLink {
    /// Ends the link as a network does: both ends see it, what was on the way is lost.
    pub fn cut(&self) {
        let _ending = self.0.ending.lock();
        for pipe in &self.0.pipes {
            pipe.queue.clear();
            pipe.queue.close(Closed::network("cut"));
        }
    }

    /// Stops delivery in the direction that starts at `from`, without a word to anybody.
    pub fn stall(&self, from: Side) {
        self.0.pipe(from).stalled.send_replace(true);
    }

    /// Lets a stalled direction go on.
    pub fn heal(&self, from: Side) {
        self.0.pipe(from).stalled.send_replace(false);
    }

    /// Loses each datagram that leaves `from` with probability `rate` (0 to 1), drawn from `seed`.
    pub fn lose_datagrams(&self, from: Side, rate: f64, seed: u64) {
        *self.0.pipe(from).loss.lock() = Some((rate.clamp(0.0, 1.0), ChaCha8Rng::seed_from_u64(seed)));
    }
}

/// Both directions. `ending` makes a close take effect on both at once, so the first one wins.
#[derive(Debug)]
struct Link {
    pipes: [Pipe; 2],
    ending: Mutex<()>,
}

/// One direction. Its queue ends with the close as its *reader* sees it.
#[derive(Debug)]
struct Pipe {
    queue: LaneQueue,
    stalled: watch::Sender<bool>,
    loss: Mutex<Option<(f64, ChaCha8Rng)>>,
}

impl Pipe {
    fn new(profile: &Profile) -> Self {
        Self { queue: LaneQueue::new(profile), stalled: watch::Sender::new(false), loss: Mutex::new(None) }
    }

    fn loses_this_one(&self) -> bool {
        self.loss.lock().as_mut().is_some_and(|(rate, random)| random.random_bool(*rate))
    }
}

impl Link {
    fn pipe(&self, from: Side) -> &Pipe {
        match from {
            Side::A => &self.pipes[0],
            Side::B => &self.pipes[1],
        }
    }

    fn close(&self, by: Side, code: CloseCode, detail: &str, flush: bool) {
        let _ending = self.ending.lock();
        if self.pipe(by.other()).queue.close(Closed::local(code, detail.to_owned())) {
            if !flush {
                self.pipe(by).queue.clear();
            }
            self.pipe(by).queue.close(Closed::peer(code, detail.to_owned()));
        }
    }
}

impl MemoryTransport {
    fn outbound(&self) -> &Pipe {
        self.link.pipe(self.side)
    }

    fn inbound(&self) -> &Pipe {
        self.link.pipe(self.side.other())
    }

    /// The end as this side sees it: the inbound pipe has it.
    fn own_view(&self, seen_by_peer: Closed) -> Closed {
        self.inbound().queue.end().unwrap_or(seen_by_peer)
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        let legal = !payload.is_empty() && payload.len() <= self.profile.lane(lane).max_message.get();
        let open = self.outbound().queue.end().is_none();
        if lane == Lane::Datagram && legal && open && self.outbound().loses_this_one() {
            self.outbound().queue.lose_datagram(&payload);
            return Ok(());
        }
        self.outbound().queue.try_push(lane, payload).map_err(|refused| match refused.why {
            Refusal::Closed(closed) => Refused::new(refused.payload, self.own_view(closed).into()),
            _ => refused,
        })
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        self.outbound().queue.writable(lane).await.map_err(|closed| self.own_view(closed))
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        let pipe = self.inbound();
        let mut stalled = pipe.stalled.subscribe();
        loop {
            if *stalled.borrow_and_update() {
                tokio::select! {
                    _ = stalled.changed() => {}
                    closed = pipe.queue.closed() => return Err(closed),
                }
            } else {
                tokio::select! {
                    biased;
                    _ = stalled.changed() => {}
                    inbound = pipe.queue.pop() => return inbound,
                }
            }
        }
    }

    fn close(&self, code: CloseCode, detail: &str) {
        self.link.close(self.side, code, detail, true);
    }

    async fn closed(&self) -> Closed {
        self.inbound().queue.closed().await
    }

    fn stats(&self) -> Stats {
        let mut stats = self.outbound().queue.stats();
        let inbound = self.inbound().queue.stats();
        for (lane, inbound) in
            [(&mut stats.datagram, inbound.datagram), (&mut stats.reliable, inbound.reliable)]
        {
            lane.received_messages = inbound.sent_messages;
            lane.received_bytes = inbound.sent_bytes;
        }
        stats
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.link.close(self.side, CloseCode::GOING_AWAY, "dropped", false);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::close::Initiator;

    fn hello() -> Bytes {
        Bytes::from_static(b"hello")
    }

    #[tokio::test]
    async fn a_close_is_told_after_what_was_accepted_before_it() {
        let (a, b, _link) = pair(profile(100, 10));
        a.try_send(Lane::Reliable, hello()).unwrap();
        a.close(CloseCode::NORMAL, "bye");
        assert_eq!(b.recv().await.unwrap().payload, hello());
        assert_eq!(b.recv().await.unwrap_err(), Closed::peer(CloseCode::NORMAL, "bye"));
        assert_eq!(a.recv().await.unwrap_err(), Closed::local(CloseCode::NORMAL, "bye"));
        let refused = b.try_send(Lane::Reliable, hello()).unwrap_err();
        assert_eq!(refused, Refused::new(hello(), Closed::peer(CloseCode::NORMAL, "bye").into()));
    }

    #[tokio::test]
    async fn a_stalled_direction_delivers_nothing_until_it_heals() {
        let (a, b, link) = pair(profile(100, 10));
        link.stall(Side::A);
        a.try_send(Lane::Reliable, hello()).unwrap();
        assert!(b.recv().now_or_never().is_none());
        link.heal(Side::A);
        assert_eq!(b.recv().await.unwrap().payload, hello());
        link.stall(Side::A);
        a.try_send(Lane::Reliable, hello()).unwrap();
        link.cut();
        assert_eq!(b.recv().await.unwrap_err().initiator, Initiator::Network);
    }

    #[test]
    fn dropping_an_end_closes_without_flushing() {
        let (a, b, _link) = pair(profile(100, 10));
        a.try_send(Lane::Reliable, hello()).unwrap();
        drop(a);
        let closed = b.recv().now_or_never().unwrap().unwrap_err();
        assert_eq!((closed.initiator, closed.code), (Initiator::Peer, CloseCode::GOING_AWAY));
    }

    #[test]
    fn seeded_loss_takes_datagrams_and_leaves_the_reliable_lane_alone() {
        let (a, b, link) = pair(profile(100_000, 10));
        link.lose_datagrams(Side::A, 0.5, 1);
        for _ in 0..1000 {
            a.try_send(Lane::Datagram, hello()).unwrap();
            a.try_send(Lane::Reliable, hello()).unwrap();
        }
        while b.recv().now_or_never().is_some() {}
        let stats = b.stats();
        assert_eq!(stats.reliable.received_messages, 1000);
        assert!((400..600).contains(&stats.datagram.received_messages), "{stats:?}");
    }
}
