//! A transport whose messages take their time.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use transport_core::{
    CloseCode, Closed, Inbound, Initiator, Lane, Profile, Refused, Stats, Transport, memory::MemoryTransport,
};

use crate::runtime::{Duration, Instant, now, sleep_until};

/// A memory transport that hands out each message `delay` after it arrived, in the same order.
#[derive(Debug)]
pub(super) struct Delayed {
    inner: MemoryTransport,
    delay: watch::Receiver<Duration>,
    way: Mutex<Way>,
}

/// What has left and is not there yet.
#[derive(Debug, Default)]
struct Way {
    messages: VecDeque<(Instant, Inbound)>,
    bytes: usize,
    end: Option<Closed>,
}

impl Delayed {
    pub(super) fn new(inner: MemoryTransport, delay: watch::Receiver<Duration>) -> Self {
        Self { inner, delay, way: Mutex::default() }
    }
}

#[async_trait]
impl Transport for Delayed {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        self.inner.try_send(lane, payload)
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        self.inner.writable(lane).await
    }

    // Nothing is taken from the queue before the last, synchronous step.
    async fn recv(&self) -> Result<Inbound, Closed> {
        loop {
            let (due, takes_more) = {
                let way = self.way.lock();
                if let (true, Some(end)) = (way.messages.is_empty(), &way.end) {
                    return Err(end.clone());
                }
                let due = way.messages.front().map(|(due, _)| *due);
                (due, way.end.is_none() && way.bytes < WAY)
            };
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or_else(now)), if due.is_some() => {
                    let mut way = self.way.lock();
                    if let Some((_, message)) = way.messages.pop_front() {
                        way.bytes -= message.payload.len();
                        return Ok(message);
                    }
                }
                received = self.inner.recv(), if takes_more => {
                    let delay = *self.delay.borrow();
                    let mut way = self.way.lock();
                    match received {
                        Ok(message) if delay.is_zero() && way.messages.is_empty() => return Ok(message),
                        Ok(message) => {
                            // A delay that has become shorter overtakes nobody.
                            let last = way.messages.back().map_or_else(now, |(due, _)| *due);
                            way.bytes += message.payload.len();
                            way.messages.push_back((last.max(now() + delay), message));
                        }
                        Err(end) => {
                            if end.initiator == Initiator::Network {
                                // A cut takes with it what was on the way.
                                *way = Way::default();
                            }
                            way.end = Some(end);
                        }
                    }
                }
            }
        }
    }

    fn close(&self, code: CloseCode, detail: &str) {
        self.inner.close(code, detail);
    }

    async fn closed(&self) -> Closed {
        self.inner.closed().await
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

/// Bytes on the way at a time; more wait with the sender.
const WAY: usize = 256 * 1024;
