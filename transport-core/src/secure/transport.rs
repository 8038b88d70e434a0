//! `Secure<T>`: a transport that seals another.

use std::{fmt, future::poll_fn, num::NonZeroUsize, pin::pin, sync::OnceLock, task::Poll};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Clock,
    establish::{SecureConfig, SecureError},
    handshake::{Agreed, HandshakeError},
    keys::SessionKeys,
    receiving::Opening,
    seal::{Kind, SEAL_OVERHEAD, Sealer},
};
use crate::{
    close::{CloseCode, Closed, Text},
    error::{Refusal, Refused},
    lane::{Lane, Profile},
    stats::{LaneStats, Stats},
    transport::{Inbound, Transport},
};

/// A transport whose messages nobody but the two peers can read, alter, replay or reorder unnoticed.
///
/// Made by [`initiate`](Self::initiate) on one side and [`accept`](Self::accept) on the other. Its
/// lanes take [`SEAL_OVERHEAD`] bytes less than those below.
///
/// - A reliable message that does not verify ends the link with
///   [`PROTOCOL_ERROR`](CloseCode::PROTOCOL_ERROR); a datagram that does not is dropped and counted.
/// - A close travels sealed, as the last message of its direction. A link that ends without one was
///   cut by somebody on the path, whatever was said in clear: its end is reported as the
///   [network](crate::Initiator::Network)'s, with the code that was said. A close while the reliable lane
///   is full ends this way too, since nothing more fits into it.
pub struct Secure<T> {
    pub(super) inner: T,
    profile: Profile,
    pub(super) clock: Clock,
    agreed: Agreed,
    /// Locked after `opening`, when both are.
    sealing: [Mutex<Sealing>; 2],
    opening: Mutex<Opening>,
    pub(super) end: OnceLock<Closed>,
    /// Wakes whoever reads, when `opening` moved without its transport's waker being involved.
    pub(super) moved: Notify,
}

struct Sealing {
    sealer: Sealer,
    stats: LaneStats,
    /// Messages and bytes of the reliable lane that are not the application's.
    own_messages: u64,
    own_bytes: u64,
}

impl<T> Secure<T> {
    /// Returns what the handshake agreed on.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }
}

impl<T: Transport> Secure<T> {
    /// Wraps a transport whose handshake is over. `own_bytes` were sent for it.
    pub(super) fn new(
        inner: T,
        config: &SecureConfig,
        agreed: Agreed,
        keys: SessionKeys,
        own_bytes: usize,
    ) -> Self {
        let mut profile = inner.profile().clone();
        for lane in [&mut profile.datagram, &mut profile.reliable] {
            let shrunk = lane.max_message.get().saturating_sub(SEAL_OVERHEAD);
            lane.max_message = NonZeroUsize::new(shrunk).unwrap_or(NonZeroUsize::MIN);
        }
        let now = (config.clock)();
        let sealing = |chain, lane| {
            let sealer = Sealer::new(chain, lane == Lane::Reliable, config.rekey, now);
            let own = u64::from(lane == Lane::Reliable);
            Mutex::new(Sealing {
                sealer,
                stats: LaneStats::default(),
                own_messages: own,
                own_bytes: own * own_bytes as u64,
            })
        };
        let SessionKeys { send, receive } = keys;
        Self {
            profile,
            clock: config.clock,
            agreed,
            sealing: [sealing(send.datagram, Lane::Datagram), sealing(send.reliable, Lane::Reliable)],
            opening: Mutex::new(Opening::new(receive)),
            end: OnceLock::new(),
            moved: Notify::new(),
            inner,
        }
    }

    /// Sends the initiator's confirmation, its first sealed message.
    pub(super) async fn confirm(&self) -> Result<(), SecureError> {
        loop {
            match self.seal_and_send(Lane::Reliable, Kind::Confirm, Bytes::new()) {
                Ok(()) => return Ok(()),
                Err(Refused { why: Refusal::Full, .. }) => {
                    self.writable(Lane::Reliable).await.map_err(SecureError::Closed)?;
                }
                Err(_) => return Err(SecureError::Closed(self.closed().await)),
            }
        }
    }

    /// Waits for the initiator's confirmation.
    pub(super) async fn confirmed(&self) -> Result<(), SecureError> {
        loop {
            let inbound = self.inner.recv().await.map_err(SecureError::Closed)?;
            if inbound.lane == Lane::Datagram {
                continue;
            }
            let mut opening = self.opening.lock();
            if let Ok((Kind::Confirm, _)) = opening.reliable.open(inbound.payload) {
                return Ok(());
            }
            drop(opening);
            self.inner.close(CloseCode::PROTOCOL_ERROR, "handshake");
            return Err(HandshakeError::NotAuthentic.into());
        }
    }

    pub(super) fn seal_and_send(&self, lane: Lane, kind: Kind, payload: Bytes) -> Result<(), Refused> {
        let len = payload.len();
        let mut sealing = self.sealing[index(lane)].lock();
        // Under the lock: nothing may follow the sealed close.
        if let Some(end) = self.end.get().filter(|_| kind != Kind::Close) {
            return Err(Refused::new(payload, end.clone().into()));
        }
        if sealing.sealer.rekey_if_due((self.clock)()).is_err() {
            drop(sealing);
            self.close(CloseCode::GOING_AWAY, "the keys are used up");
            return Err(Refused::new(payload, self.final_end().into()));
        }
        let (message, original) = sealing.sealer.seal(kind, payload).into_parts();
        let sealed_len = message.len();
        let Err(refused) = self.inner.try_send(lane, message) else {
            sealing.sealer.accepted();
            if kind == Kind::Data {
                sealing.stats.accepted_messages += 1;
                sealing.stats.accepted_bytes += len as u64;
            } else {
                sealing.own_messages += 1;
                sealing.own_bytes += sealed_len as u64;
            }
            return Ok(());
        };
        let Some(payload) = sealing.sealer.give_back(original, refused.payload) else {
            drop(sealing);
            // The payload is gone with the transport's broken promise; at least nothing else follows.
            self.close(CloseCode::INTERNAL, "the transport altered a message that it refused");
            return Err(Refused::new(Bytes::new(), self.final_end().into()));
        };
        let why = match refused.why {
            Refusal::Closed(below) => self.own_view(below).into(),
            Refusal::TooLarge { limit } => {
                let limit = limit.get().saturating_sub(SEAL_OVERHEAD);
                Refusal::TooLarge { limit: NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN) }
            }
            why @ (Refusal::Full | Refusal::Empty) => why,
        };
        Err(Refused::new(payload, why))
    }
}

#[async_trait]
impl<T: Transport> Transport for Secure<T> {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        let limit = self.profile.lane(lane).max_message;
        if payload.is_empty() {
            Err(Refused::new(payload, Refusal::Empty))
        } else if payload.len() > limit.get() {
            Err(Refused::new(payload, Refusal::TooLarge { limit }))
        } else {
            self.seal_and_send(lane, Kind::Data, payload)
        }
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        match (self.inner.writable(lane).await, self.end.get()) {
            (_, Some(end)) => Err(end.clone()),
            (Ok(()), None) => Ok(()),
            (Err(_), None) => Err(self.closed().await),
        }
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        let mut receiving = None;
        let mut moved = pin!(self.moved.notified());
        poll_fn(|cx| {
            loop {
                let mut opening = self.opening.lock();
                if let Some(inbound) = opening.drained.pop_front() {
                    return Poll::Ready(Ok(inbound));
                }
                if let ready @ Poll::Ready(_) = self.poll_opened(cx, &mut opening, &mut receiving) {
                    return ready;
                }
                // Registered under the lock, so no move is missed.
                if moved.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                moved.set(self.moved.notified());
            }
        })
        .await
    }

    fn close(&self, code: CloseCode, detail: &str) {
        let detail = Text::new(detail.to_owned());
        {
            // Under the lane's lock: what was accepted before is sealed before the close is.
            let _sealing = self.sealing[index(Lane::Reliable)].lock();
            if self.end.set(Closed::local(code, detail.clone())).is_err() {
                return;
            }
        }
        let mut farewell = BytesMut::with_capacity(2 + detail.len() + SEAL_OVERHEAD);
        farewell.put_u16(code.get());
        farewell.put_slice(detail.as_bytes());
        // A lane that is full or gone cannot carry it; the peer then reports the network.
        let _ = self.seal_and_send(Lane::Reliable, Kind::Close, farewell.freeze());
        // The words are for the peer alone; the path learns the code.
        self.inner.close(code, "");
        self.moved.notify_waiters();
    }

    async fn closed(&self) -> Closed {
        let below = self.inner.closed().await;
        if let Some(end) = self.end.get() {
            return end.clone();
        }
        drop(below);
        // The sealed close may still wait among what arrived. Look for it, and keep the rest.
        let mut receiving = None;
        let mut moved = pin!(self.moved.notified());
        poll_fn(|cx| {
            loop {
                let mut opening = self.opening.lock();
                match self.poll_opened(cx, &mut opening, &mut receiving) {
                    Poll::Ready(Ok(inbound)) => {
                        opening.drained.push_back(inbound);
                        self.moved.notify_waiters();
                    }
                    Poll::Ready(Err(end)) => return Poll::Ready(end),
                    Poll::Pending if moved.as_mut().poll(cx).is_pending() => return Poll::Pending,
                    Poll::Pending => moved.set(self.moved.notified()),
                }
            }
        })
        .await
    }

    fn stats(&self) -> Stats {
        let mut stats = self.inner.stats();
        for lane in Lane::ALL {
            let below = match lane {
                Lane::Datagram => &mut stats.datagram,
                Lane::Reliable => &mut stats.reliable,
            };
            let sealing = self.sealing[index(lane)].lock();
            below.accepted_messages = sealing.stats.accepted_messages;
            below.accepted_bytes = sealing.stats.accepted_bytes;
            below.sent_messages = below.sent_messages.saturating_sub(sealing.own_messages);
            let own = sealing.own_bytes + below.sent_messages * SEAL_OVERHEAD as u64;
            below.sent_bytes = below.sent_bytes.saturating_sub(own);
            drop(sealing);
            let received = self.opening.lock().stats[index(lane)];
            below.received_messages = received.received_messages;
            below.received_bytes = received.received_bytes;
            below.dropped_messages += received.dropped_messages;
        }
        stats
    }

    fn set_ahead(&self, bytes: usize) {
        self.inner.set_ahead(bytes);
    }
}

impl<T: fmt::Debug> fmt::Debug for Secure<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure")
            .field("inner", &self.inner)
            .field("agreed", &self.agreed)
            .field("end", &self.end.get())
            .finish_non_exhaustive()
    }
}

pub(super) const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Datagram => 0,
        Lane::Reliable => 1,
    }
}
