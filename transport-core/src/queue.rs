//! A queue of both lanes, bounded in bytes, that every transport can put between its application
//! side and its path.

use std::{collections::VecDeque, num::NonZeroUsize};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use crate::{
    close::Closed,
    error::{Refusal, Refused},
    lane::{Lane, Profile},
    stats::{LaneStats, Stats},
    transport::Inbound,
};

/// Both lanes of one direction, each with its byte budget.
///
/// `Reliable` refuses once its queued bytes reach the budget; below it, one message of any legal
/// size is taken, so the queue holds at most `budget - 1 + max_message` bytes. `Datagram` evicts its
/// oldest. Works as an outbound queue and, filled by a reader task, as an inbound one.
#[derive(Debug)]
pub struct LaneQueue {
    limits: [Limits; 2],
    state: Mutex<State>,
    /// Wakes the one consumer of both lanes; keeps a permit when nobody waits.
    readable: Notify,
    /// The same for the one consumer of each lane.
    lane_readable: [Notify; 2],
    /// Wakes everybody who waits for room or for the end.
    changed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    max_message: NonZeroUsize,
    budget: usize,
}

#[derive(Debug, Default)]
struct State {
    lanes: [LaneState; 2],
    /// Serve the datagram lane next, when both have something: neither may starve the other.
    datagram_next: bool,
    end: Option<Closed>,
}

#[derive(Debug, Default)]
struct LaneState {
    messages: VecDeque<Bytes>,
    stats: LaneStats,
}

impl LaneQueue {
    /// Makes an empty queue with the limits of `profile`.
    pub fn new(profile: &Profile) -> Self {
        let limits = Lane::ALL.map(|lane| {
            let lane = profile.lane(lane);
            Limits { max_message: lane.max_message, budget: lane.queue_bytes.get() }
        });
        Self {
            limits,
            state: Mutex::default(),
            readable: Notify::new(),
            lane_readable: Lane::ALL.map(|_| Notify::new()),
            changed: Notify::new(),
        }
    }

    /// Accepts one message, or hands it back. See [`Transport::try_send`](crate::Transport::try_send).
    ///
    /// # Errors
    ///
    /// [`Refused`] with the untouched payload.
    pub fn try_push(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        let limits = self.limits[index(lane)];
        let mut state = self.state.lock();
        let why = if let Some(closed) = &state.end {
            closed.clone().into()
        } else if payload.is_empty() {
            Refusal::Empty
        } else if payload.len() > limits.max_message.get() {
            Refusal::TooLarge { limit: limits.max_message }
        } else if lane == Lane::Reliable && state.lanes[index(lane)].stats.queued_bytes >= limits.budget {
            Refusal::Full
        } else {
            state.lanes[index(lane)].push(payload);
            if lane == Lane::Datagram {
                state.lanes[index(lane)].evict_down_to(limits.budget);
            }
            drop(state);
            self.readable.notify_one();
            self.lane_readable[index(lane)].notify_one();
            return Ok(());
        };
        Err(Refused::new(payload, why))
    }

    /// Waits until `lane` takes a message. `Datagram` always does.
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) was called.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; holds nothing.
    pub async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        self.wait(|state| {
            if let Some(closed) = &state.end {
                return Some(Err(closed.clone()));
            }
            let queued = state.lanes[index(lane)].stats.queued_bytes;
            (lane == Lane::Datagram || queued < self.limits[index(lane)].budget).then_some(Ok(()))
        })
        .await
    }

    /// Takes the oldest message of `lane`, if there is one.
    pub fn try_pop(&self, lane: Lane) -> Option<Bytes> {
        let payload = self.state.lock().lanes[index(lane)].pop()?;
        self.changed.notify_waiters();
        Some(payload)
    }

    /// Takes the next message of either lane, if there is one. The lanes take turns.
    pub fn try_pop_any(&self) -> Option<Inbound> {
        let inbound = self.state.lock().pop_any()?;
        self.changed.notify_waiters();
        Some(inbound)
    }

    /// Waits for a message of either lane. One consumer at a time.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the queue was closed and everything in it was taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is taken in the last, synchronous step.
    pub async fn pop(&self) -> Result<Inbound, Closed> {
        self.take(&self.readable, State::pop_any).await
    }

    /// Waits for a message of `lane` alone. One consumer of each lane at a time, so that two writers can empty one
    /// queue and a full lane holds up no other: what a native datagram lane needs (contract 1.4). Not together with
    /// [`pop`](Self::pop).
    ///
    /// # Errors
    ///
    /// [`Closed`] once the queue was closed and everything on this lane was taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is taken in the last, synchronous step.
    pub async fn pop_lane(&self, lane: Lane) -> Result<Bytes, Closed> {
        self.take(&self.lane_readable[index(lane)], |state| state.lanes[index(lane)].pop()).await
    }

    /// Waits until `pop` finds something, or there is nothing left to find.
    async fn take<T>(&self, readable: &Notify, pop: impl Fn(&mut State) -> Option<T>) -> Result<T, Closed> {
        loop {
            let woken = readable.notified();
            {
                let mut state = self.state.lock();
                if let Some(taken) = pop(&mut state) {
                    drop(state);
                    self.changed.notify_waiters();
                    return Ok(taken);
                }
                if let Some(closed) = &state.end {
                    let closed = closed.clone();
                    drop(state);
                    // Leave the permit for the next call, which must answer at once too.
                    readable.notify_one();
                    return Err(closed);
                }
            }
            woken.await;
        }
    }

    /// Ends the queue: nothing more is accepted, what is inside can still be taken. The first call
    /// wins; returns whether this was it.
    pub fn close(&self, closed: Closed) -> bool {
        let mut state = self.state.lock();
        let first = state.end.is_none();
        if first {
            state.end = Some(closed);
        }
        drop(state);
        self.readable.notify_one();
        self.lane_readable.iter().for_each(Notify::notify_one);
        self.changed.notify_waiters();
        first
    }

    /// Throws away what waits inside, for links that die without a flush. The datagram lane counts it
    /// as dropped; the reliable lane drops nothing while the link lives, and this is its end.
    pub fn clear(&self) {
        Lane::ALL.into_iter().for_each(|lane| self.clear_lane(lane));
    }

    /// The same for one lane.
    pub fn clear_lane(&self, lane: Lane) {
        let mut state = self.state.lock();
        match lane {
            Lane::Datagram => state.lanes[index(lane)].evict_down_to(0),
            Lane::Reliable => state.lanes[index(lane)].forget(),
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Counts a datagram as accepted that the path will lose: its reader must not see it as sent.
    pub(crate) fn lose_datagram(&self, payload: &Bytes) {
        let stats = &mut self.state.lock().lanes[index(Lane::Datagram)].stats;
        stats.accepted_messages += 1;
        stats.accepted_bytes += payload.len() as u64;
    }

    /// Returns how the queue was ended, if it was.
    pub fn end(&self) -> Option<Closed> {
        self.state.lock().end.clone()
    }

    /// Waits for the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) -> Closed {
        self.wait(|state| state.end.clone()).await
    }

    /// Waits until nothing is left to take, for a bounded flush before a close.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn drained(&self, lane: Lane) {
        self.wait(|state| state.lanes[index(lane)].messages.is_empty().then_some(())).await;
    }

    /// Returns counters and gauges; what left the queue counts as sent.
    pub fn stats(&self) -> Stats {
        let state = self.state.lock();
        let [datagram, reliable] = Lane::ALL.map(|lane| state.lanes[index(lane)].stats);
        Stats::new(datagram, reliable)
    }

    async fn wait<T>(&self, ready: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let woken: Notified<'_> = self.changed.notified();
            if let Some(answer) = ready(&self.state.lock()) {
                return answer;
            }
            woken.await;
        }
    }
}

impl State {
    fn pop_any(&mut self) -> Option<Inbound> {
        let first = if self.datagram_next { Lane::Datagram } else { Lane::Reliable };
        let second = if self.datagram_next { Lane::Reliable } else { Lane::Datagram };
        let (lane, payload) = [first, second]
            .into_iter()
            .find_map(|lane| self.lanes[index(lane)].pop().map(|payload| (lane, payload)))?;
        self.datagram_next = lane == Lane::Reliable;
        Some(Inbound { lane, payload })
    }
}

impl LaneState {
    fn push(&mut self, payload: Bytes) {
        self.stats.accepted_messages += 1;
        self.stats.accepted_bytes += payload.len() as u64;
        self.stats.queued_bytes += payload.len();
        self.messages.push_back(payload);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let payload = self.messages.pop_front()?;
        self.stats.sent_messages += 1;
        self.stats.sent_bytes += payload.len() as u64;
        self.stats.queued_bytes -= payload.len();
        if self.messages.is_empty() {
            // An idle link must not keep the memory of its busiest moment.
            self.messages.shrink_to(16);
        }
        Some(payload)
    }

    /// Takes everything away without counting it.
    fn forget(&mut self) {
        self.messages.clear();
        self.stats.queued_bytes = 0;
    }

    /// Drops the oldest until at most `budget` bytes wait; the newest survives a smaller budget.
    fn evict_down_to(&mut self, budget: usize) {
        let keep = usize::from(budget > 0);
        while self.stats.queued_bytes > budget && self.messages.len() > keep {
            let Some(payload) = self.messages.pop_front() else { break };
            self.stats.queued_bytes -= payload.len();
            self.stats.dropped_messages += 1;
        }
    }
}

const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Datagram => 0,
        Lane::Reliable => 1,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{close::CloseCode, memory};

    fn queue(budget: usize, max_message: usize) -> LaneQueue {
        LaneQueue::new(&memory::profile(budget, max_message))
    }

    fn bytes(len: usize) -> Bytes {
        Bytes::from(vec![7; len])
    }

    #[test]
    fn one_byte_below_the_budget_takes_a_whole_message_and_at_the_budget_none() {
        let queue = queue(100, 60);
        queue.try_push(Lane::Reliable, bytes(60)).unwrap();
        queue.try_push(Lane::Reliable, bytes(39)).unwrap();
        assert!(queue.writable(Lane::Reliable).now_or_never().is_some());
        queue.try_push(Lane::Reliable, bytes(60)).unwrap();
        assert!(queue.writable(Lane::Reliable).now_or_never().is_none());
        let refused = queue.try_push(Lane::Reliable, bytes(1)).unwrap_err();
        assert_eq!((refused.payload.len(), refused.why), (1, Refusal::Full));
    }

    #[test]
    fn empty_and_oversized_messages_come_back_untouched() {
        let queue = queue(100, 60);
        let limit = NonZeroUsize::new(60).unwrap();
        for lane in Lane::ALL {
            assert_eq!(queue.try_push(lane, Bytes::new()).unwrap_err().why, Refusal::Empty);
            let refused = queue.try_push(lane, bytes(61)).unwrap_err();
            assert_eq!(refused, Refused::new(bytes(61), Refusal::TooLarge { limit }));
        }
    }

    #[test]
    fn the_datagram_lane_evicts_its_oldest_and_counts_it() {
        let queue = queue(100, 60);
        for fill in 0..4u8 {
            queue.try_push(Lane::Datagram, Bytes::from(vec![fill; 50])).unwrap();
        }
        let stats = queue.stats().datagram;
        assert_eq!((stats.accepted_messages, stats.dropped_messages, stats.queued_bytes), (4, 2, 100));
        assert_eq!(queue.try_pop(Lane::Datagram).unwrap()[0], 2);
    }

    #[test]
    fn what_is_inside_is_drained_before_the_end_is_reported_again_and_again() {
        let queue = queue(100, 60);
        queue.try_push(Lane::Reliable, bytes(1)).unwrap();
        assert!(queue.close(Closed::local(CloseCode::NORMAL, "done")));
        assert!(!queue.close(Closed::network("too late")));
        assert!(queue.pop().now_or_never().unwrap().is_ok());
        for _ in 0..3 {
            assert_eq!(queue.pop().now_or_never().unwrap().unwrap_err().code, CloseCode::NORMAL);
        }
        assert!(matches!(queue.try_push(Lane::Datagram, bytes(1)).unwrap_err().why, Refusal::Closed(_)));
    }

    #[test]
    fn clearing_counts_datagrams_as_dropped_and_reliable_messages_not() {
        let queue = queue(100, 60);
        for lane in Lane::ALL {
            queue.try_push(lane, bytes(50)).unwrap();
        }
        queue.clear();
        let stats = queue.stats();
        assert_eq!((stats.datagram.dropped_messages, stats.reliable.dropped_messages), (1, 0));
        assert_eq!((stats.datagram.queued_bytes, stats.reliable.queued_bytes), (0, 0));
        assert_eq!(queue.try_pop_any(), None);
    }

    #[test]
    fn lanes_take_turns_when_both_have_something() {
        let queue = queue(1000, 60);
        for _ in 0..2 {
            queue.try_push(Lane::Reliable, bytes(1)).unwrap();
            queue.try_push(Lane::Datagram, bytes(2)).unwrap();
        }
        let order: Vec<Lane> = std::iter::from_fn(|| queue.try_pop_any()).map(|m| m.lane).collect();
        assert_eq!(order, [Lane::Reliable, Lane::Datagram, Lane::Reliable, Lane::Datagram]);
    }

    #[tokio::test]
    async fn a_consumer_of_one_lane_is_woken_by_it_alone_and_told_the_end_when_it_is_empty() {
        let queue = queue(100, 60);
        queue.try_push(Lane::Reliable, bytes(1)).unwrap();
        assert!(queue.pop_lane(Lane::Datagram).now_or_never().is_none());
        let (popped, pushed) =
            tokio::join!(queue.pop_lane(Lane::Datagram), async { queue.try_push(Lane::Datagram, bytes(2)) });
        assert_eq!((popped.unwrap().len(), pushed), (2, Ok(())));
        let (end, _) = tokio::join!(queue.pop_lane(Lane::Datagram), async {
            queue.close(Closed::local(CloseCode::NORMAL, "done"))
        });
        assert_eq!(end.unwrap_err().code, CloseCode::NORMAL);
        assert_eq!(queue.pop_lane(Lane::Reliable).await.unwrap().len(), 1);
        for _ in 0..2 {
            assert!(queue.pop_lane(Lane::Reliable).now_or_never().unwrap().is_err());
        }
    }

    #[tokio::test]
    async fn room_and_the_end_wake_those_who_wait() {
        let queue = queue(1, 60);
        queue.try_push(Lane::Reliable, bytes(1)).unwrap();
        let (room, popped) = tokio::join!(queue.writable(Lane::Reliable), async { queue.pop().await });
        assert!(room.is_ok() && popped.is_ok());
        let (end, _) = tokio::join!(queue.closed(), async { queue.close(Closed::network("gone")) });
        assert_eq!(end.code, CloseCode::CONNECTION_LOST);
    }
}
