//! A transport over a simulated path: the lines of [`netlab`](crate::netlab) without sockets, so that
//! a paused clock can run years of bad weather in seconds.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use transport_core::{
    CloseCode, Closed, Inbound, Initiator, Lane, LaneProfile, LaneQueue, Profile, Refused, Stats, Transport,
    TransportId,
};

use crate::netlab::{Fault, Line, Medium, Toward, Way};

/// Opens a path with this weather and returns its two ends, and the path itself.
pub fn open(fault: Fault, limits: Limits) -> (SimTransport, SimTransport, SimPath) {
    let lane = LaneProfile::native(limits.max_message, limits.queue_bytes);
    let profile = Profile::new(TransportId::from_static("x-simulated"), "simulated", lane.clone(), lane);
    let end = || Arc::new(End { outbound: LaneQueue::new(&profile), inbound: LaneQueue::new(&profile) });
    let (a, b) = (end(), end());
    let weather = watch::Sender::new(fault);
    let mut tasks = JoinSet::new();
    for (from, to, toward) in [(&a, &b, Toward::Target), (&b, &a, Toward::Client)] {
        tasks.spawn(carry(from.clone(), to.clone(), toward, weather.subscribe(), limits.queue_bytes.get()));
    }
    let near = SimTransport { profile: profile.clone(), end: a.clone() };
    let far = SimTransport { profile, end: b.clone() };
    (near, far, SimPath { weather, ends: [a, b], _tasks: tasks })
}

/// What a simulated transport holds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of both lanes, in bytes.
    pub max_message: NonZeroUsize,
    /// Of both lanes, in bytes.
    pub queue_bytes: NonZeroUsize,
}

/// The path between two simulated ends. It ends with this value.
#[derive(Debug)]
pub struct SimPath {
    weather: watch::Sender<Fault>,
    ends: [Arc<End>; 2],
    _tasks: JoinSet<()>,
}

impl SimPath {
    /// Changes the weather.
    pub fn set(&self, fault: Fault) {
        self.weather.send_replace(fault);
    }

    /// Lets the path die without a word; each end finds out for itself after its own time.
    pub fn cut(&mut self, detect: [Duration; 2]) {
        self.set(Fault::both(Way::STALLED));
        for (end, after) in self.ends.iter().zip(detect) {
            let end = end.clone();
            self._tasks.spawn(async move {
                tokio::time::sleep(after).await;
                end.finish(Closed::network("the path died"));
            });
        }
    }
}

/// One end.
#[derive(Debug)]
struct End {
    outbound: LaneQueue,
    inbound: LaneQueue,
}

impl End {
    /// Ends this side; the first call wins.
    fn finish(&self, closed: Closed) {
        if self.outbound.close(closed.clone()) {
            self.inbound.close(closed);
        }
    }
}

/// A transport over a [`SimPath`].
#[derive(Debug)]
pub struct SimTransport {
    profile: Profile,
    end: Arc<End>,
}

#[async_trait]
impl Transport for SimTransport {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        self.end.outbound.try_push(lane, payload)
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        self.end.outbound.writable(lane).await
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        self.end.inbound.pop().await
    }

    fn close(&self, code: CloseCode, detail: &str) {
        let mut kept = detail.len().min(123);
        while !detail.is_char_boundary(kept) {
            kept -= 1;
        }
        self.end.finish(Closed::local(code, detail[..kept].to_owned()));
    }

    async fn closed(&self) -> Closed {
        self.end.inbound.closed().await
    }

    fn stats(&self) -> Stats {
        let (mut stats, inbound) = (self.end.outbound.stats(), self.end.inbound.stats());
        for (out, arrived) in
            [(&mut stats.datagram, inbound.datagram), (&mut stats.reliable, inbound.reliable)]
        {
            out.received_messages = arrived.accepted_messages;
            out.received_bytes = arrived.accepted_bytes;
        }
        stats
    }
}

impl Drop for SimTransport {
    fn drop(&mut self) {
        if self.end.outbound.end().is_none() {
            self.end.outbound.clear();
        }
        self.close(CloseCode::GOING_AWAY, "dropped");
    }
}

/// Moves one direction: out of one end's queue, through a line for each lane, into the other's.
async fn carry(
    from: Arc<End>,
    to: Arc<End>,
    toward: Toward,
    mut weather: watch::Receiver<Fault>,
    budget: usize,
) {
    let (way, seed) = toward.weather(&weather.borrow_and_update(), 0);
    let mut datagrams = Line::new(Medium::Packets, way, seed);
    let mut reliable = Line::new(Medium::Stream, way, seed);
    let mut goodbye = None;
    loop {
        let room = to.inbound.stats().reliable.queued_bytes < budget;
        let due = [datagrams.next_due(), reliable.next_due().filter(|_| room)].into_iter().flatten().min();
        tokio::select! {
            biased;
            changed = weather.changed() => {
                if changed.is_err() {
                    return;
                }
                let (way, seed) = toward.weather(&weather.borrow_and_update(), 0);
                datagrams.set(way, seed);
                reliable.set(way, seed);
            }
            popped = from.outbound.pop(), if goodbye.is_none() && reliable.has_room() => match popped {
                Ok(Inbound { lane: Lane::Datagram, payload }) => datagrams.push(now(), payload),
                Ok(Inbound { lane: Lane::Reliable, payload }) => reliable.push(now(), payload),
                Err(closed) if closed.initiator == Initiator::Local => {
                    // The end travels behind everything else.
                    reliable.push(now(), Bytes::new());
                    goodbye = Some(closed);
                }
                Err(_) => return,
            },
            () = sleep_until(due.map_or_else(Instant::now, Instant::from_std)), if due.is_some() => {}
            read = to.inbound.writable(Lane::Reliable), if !room => {
                if read.is_err() {
                    return;
                }
            }
        }
        while let Some(payload) = datagrams.pop(now()) {
            // An end that is gone takes nothing; the loop finds out through its own queue.
            let _ = to.inbound.try_push(Lane::Datagram, payload);
        }
        while to.inbound.stats().reliable.queued_bytes < budget {
            let Some(payload) = reliable.pop(now()) else { break };
            if payload.is_empty() {
                if let Some(closed) = goodbye {
                    to.finish(Closed::peer(closed.code, closed.detail));
                }
                return;
            }
            if to.inbound.try_push(Lane::Reliable, payload).is_err() {
                return;
            }
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
