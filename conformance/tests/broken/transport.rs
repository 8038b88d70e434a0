//! A transport that keeps every rule but one.

use std::{num::NonZeroUsize, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use transport_core::{
    CloseCode, Closed, Inbound, Initiator, Lane, LaneQueue, Profile, Refusal, Refused, Stats, Transport,
    TransportExt, TransportId,
    memory::{MemoryTransport, Side},
};

use crate::flaw::Flaw;

#[derive(Debug)]
pub(crate) struct Broken {
    inner: Arc<MemoryTransport>,
    /// What the one writer has not written yet.
    waiting: Arc<LaneQueue>,
    flaw: Option<Flaw>,
    profile: Profile,
    other_profile: Profile,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: u64,
    received: u64,
    refused: u64,
    /// Held back, to go out behind the next one or together with it.
    held: Option<Bytes>,
    /// Received, to be handed out next.
    again: Option<Inbound>,
    /// The arguments of the last close.
    last_close: Option<Closed>,
    told_end: bool,
    stats_calls: u64,
}

impl Broken {
    pub(crate) fn new(inner: MemoryTransport, flaw: Option<Flaw>, side: Side) -> Self {
        let mut profile = inner.profile().clone();
        if flaw == Some(Flaw::NamesDiffer) && side == Side::B {
            profile.transport = TransportId::from_static("somebody-else");
        }
        if flaw == Some(Flaw::BindingsDiffer) && side == Side::B {
            profile.channel_binding = Bytes::from_static(b"another");
        }
        if flaw == Some(Flaw::BindingIsConstant) {
            profile.channel_binding = Bytes::from_static(b"mine");
        }
        if flaw == Some(Flaw::InFlightWithoutBound) {
            profile.in_flight = NonZeroUsize::MAX;
        }
        if flaw == Some(Flaw::NarrowLane) {
            profile.reliable.max_message = NonZeroUsize::new(500).expect("not 0");
        }
        if flaw == Some(Flaw::FullTooLate) {
            profile.reliable.queue_bytes = NonZeroUsize::new(20_000).expect("not 0");
        }
        let mut other_profile = profile.clone();
        other_profile.path = "changed".into();
        let (inner, waiting) = (Arc::new(inner), Arc::new(LaneQueue::new(&profile)));
        if flaw == Some(Flaw::OneWriter) {
            tokio::spawn(write_both(waiting.clone(), inner.clone()));
        }
        Self { inner, waiting, flaw, profile, other_profile, state: Mutex::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn ended(&self) -> bool {
        self.inner
            .try_send(Lane::Reliable, Bytes::new())
            .is_err_and(|refused| matches!(refused.why, Refusal::Closed(_)))
    }

    /// Distorts how the end is told.
    fn tell(&self, mut closed: Closed) -> Closed {
        match self.flaw {
            Some(Flaw::WrongInitiator) if closed.initiator == Initiator::Peer => {
                closed.initiator = Initiator::Local
            }
            Some(Flaw::MangledCodes) if closed.code.label() == "other" => closed.code = CloseCode::INTERNAL,
            Some(Flaw::CutTheReason) => closed.detail = "".into(),
            Some(Flaw::CutToldAsPeer) if closed.initiator == Initiator::Network => {
                closed = Closed::peer(CloseCode::GOING_AWAY, "");
            }
            Some(Flaw::SecondCloseWins) => closed = self.state.lock().last_close.clone().unwrap_or(closed),
            _ => {}
        }
        closed
    }

    /// Distorts a message on its way in; `None` keeps it.
    fn distort(&self, lane: Lane, payload: Bytes) -> Option<Bytes> {
        let mut state = self.state.lock();
        state.sent += 1;
        match self.flaw {
            Some(Flaw::Truncates) => Some(payload.slice(..payload.len().min(4096))),
            Some(Flaw::FlipsBits) if state.sent.is_multiple_of(100) => {
                let mut bytes = payload.to_vec();
                let last = bytes.len() - 1;
                bytes[last] ^= 0x20;
                Some(bytes.into())
            }
            Some(Flaw::ReordersMessages) if state.sent % 50 == 10 => {
                state.held = Some(payload);
                None
            }
            Some(Flaw::JoinsMessages)
                if lane == Lane::Reliable && payload.len() == 8 && state.held.is_none() =>
            {
                state.held = Some(payload);
                None
            }
            Some(Flaw::JoinsMessages) => Some(match state.held.take() {
                Some(held) => [held, payload].concat().into(),
                None => payload,
            }),
            Some(Flaw::CloseLosesTheLast) => state.held.replace(payload),
            _ => Some(payload),
        }
    }

    /// What goes wrong before the inner transport is asked; `None` when nothing does.
    fn preempt(&self, lane: Lane, payload: &Bytes) -> Option<Result<(), Refused>> {
        let limit = self.profile.lane(lane).max_message;
        let queued = self.inner.stats().reliable.queued_bytes;
        let budget = self.profile.reliable.queue_bytes.get();
        let refuse = |why| Some(Err(Refused::new(payload.clone(), why)));
        match self.flaw? {
            Flaw::AcceptsEmpty if payload.is_empty() => Some(Ok(())),
            Flaw::AcceptsTooLarge if payload.len() == limit.get() + 1 => Some(Ok(())),
            Flaw::WrongLimit if payload.len() > limit.get() => {
                refuse(Refusal::TooLarge { limit: limit.saturating_add(1) })
            }
            Flaw::RefusedButDelivered if payload.len() > limit.get() => {
                let _sent_all_the_same = self.inner.try_send(lane, payload.slice(..100));
                refuse(Refusal::TooLarge { limit })
            }
            Flaw::RefusesTheLargest if payload.len() == limit.get() => refuse(Refusal::TooLarge { limit }),
            Flaw::FullTooEarly if lane == Lane::Reliable && queued + payload.len() > budget => {
                refuse(Refusal::Full)
            }
            Flaw::DatagramsWait if lane == Lane::Datagram => {
                let full =
                    self.inner.stats().datagram.queued_bytes >= self.profile.datagram.queue_bytes.get() / 2;
                if full { refuse(Refusal::Full) } else { None }
            }
            Flaw::EvictsTheNewest if lane == Lane::Datagram => {
                let full = self.inner.stats().datagram.queued_bytes + payload.len() > budget;
                full.then(|| {
                    self.state.lock().refused += 1;
                    Ok(())
                })
            }
            Flaw::DatagramsOfSomeSizesVanish
                if lane == Lane::Datagram && (1201..=1500).contains(&payload.len()) =>
            {
                Some(Ok(()))
            }
            Flaw::HoldsLessThanItSays if lane == Lane::Reliable && queued > budget / 4 => {
                self.inner.close(CloseCode::SLOW_CONSUMER, "too much");
                None
            }
            Flaw::OneWriter => Some(self.waiting.try_push(lane, payload.clone())),
            Flaw::BlocksInTrySend => {
                thread::sleep(Duration::from_millis(1_500));
                None
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Transport for Broken {
    fn profile(&self) -> &Profile {
        if self.has(Flaw::ChangesItsProfile) && self.ended() { &self.other_profile } else { &self.profile }
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        if let Some(answer) = self.preempt(lane, &payload) {
            return answer;
        }
        let held = if self.has(Flaw::ReordersMessages) { self.state.lock().held.take() } else { None };
        let fits = !payload.is_empty() && payload.len() <= self.profile.lane(lane).max_message.get();
        let payload = match fits.then(|| self.distort(lane, payload.clone())) {
            Some(None) => return Ok(()),
            Some(Some(distorted)) => distorted,
            None => payload,
        };
        let twice = (self.has(Flaw::DatagramsTwice) && lane == Lane::Datagram).then(|| payload.clone());
        let outcome = self.inner.try_send(lane, payload);
        if let Some(late) = held.or(twice) {
            let _nobody_minds = self.inner.try_send(lane, late);
        }
        match (outcome, self.flaw) {
            (Err(Refused { why: Refusal::Full, .. }), Some(Flaw::DropsWhenFull)) => Ok(()),
            (Err(Refused { why: Refusal::Full, .. }), Some(Flaw::LosesTheOldestWhileStalled)) => Ok(()),
            (Err(refused), Some(Flaw::LosesPayloadOnRefusal)) => Err(Refused::new(Bytes::new(), refused.why)),
            (Err(refused), Some(Flaw::CountsRefusals)) => {
                self.state.lock().refused += 1;
                Err(refused)
            }
            (Err(Refused { payload, why: Refusal::Closed(closed) }), _) => {
                Err(Refused::new(payload, self.tell(closed).into()))
            }
            (outcome, _) => outcome,
        }
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        if self.has(Flaw::WritableLies) && !self.ended() {
            return Ok(());
        }
        let full = self.profile.datagram.queue_bytes.get() - 2000;
        while self.has(Flaw::SharesOneBudget) && self.inner.stats().datagram.queued_bytes > full {
            if lane == Lane::Datagram {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.inner.writable(lane).await.map_err(|closed| self.tell(closed))
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        if self.has(Flaw::ReportsCloseBeforeDrain) && self.ended() {
            return Err(self.tell(self.inner.closed().await));
        }
        if self.state.lock().told_end {
            return std::future::pending().await;
        }
        if let Some(again) = self.state.lock().again.take() {
            return Ok(again);
        }
        let mut inbound = match self.inner.recv().await {
            Ok(inbound) => inbound,
            Err(closed) => {
                self.state.lock().told_end = self.has(Flaw::ForgetsTheEnd);
                return Err(self.tell(closed));
            }
        };
        if self.has(Flaw::RecvTakesTooEarly) {
            tokio::task::yield_now().await;
        }
        let mut state = self.state.lock();
        state.received += 1;
        if self.has(Flaw::DoublesMessages) && state.received.is_multiple_of(100) {
            state.again = Some(inbound.clone());
        }
        if self.has(Flaw::MixesUpLanes) {
            inbound.lane = Lane::Reliable;
        }
        Ok(inbound)
    }

    fn close(&self, code: CloseCode, detail: &str) {
        if self.has(Flaw::BlocksInClose) {
            thread::sleep(Duration::from_millis(1_500));
        }
        self.state.lock().last_close = Some(Closed::local(code, detail.to_owned()));
        self.inner.close(code, detail);
    }

    async fn closed(&self) -> Closed {
        if self.has(Flaw::DeafToTheEnd) && !self.ended() {
            return std::future::pending().await;
        }
        let closed = self.inner.closed().await;
        self.tell(closed)
    }

    fn stats(&self) -> Stats {
        let mut stats = self.inner.stats();
        let mut state = self.state.lock();
        state.stats_calls += 1;
        match self.flaw {
            Some(Flaw::OneWriter) => stats = self.waiting.stats(),
            Some(Flaw::EvictionUncounted) => stats.datagram.dropped_messages = 0,
            Some(Flaw::EvictsTheNewest) => {
                stats.datagram.accepted_messages += state.refused;
                stats.datagram.dropped_messages += state.refused;
            }
            Some(Flaw::GaugeIsZero) => stats.reliable.queued_bytes = 0,
            Some(Flaw::CountsEvicted) => stats.datagram.received_messages += 1,
            Some(Flaw::CountsRefusals) => stats.reliable.accepted_messages += state.refused,
            Some(Flaw::StatsGoBack) if state.stats_calls > 15 => stats.reliable.sent_messages = 0,
            _ => {}
        }
        stats
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        match self.flaw {
            Some(Flaw::DropIsNormal) => self.inner.close(CloseCode::NORMAL, "dropped"),
            // A close flushes.
            Some(Flaw::FlushesOnDrop) => self.inner.close(CloseCode::GOING_AWAY, "dropped"),
            _ => {}
        }
        self.waiting.close(Closed::local(CloseCode::GOING_AWAY, "dropped"));
    }
}

async fn write_both(waiting: Arc<LaneQueue>, path: Arc<MemoryTransport>) {
    while let Ok(Inbound { lane, payload }) = waiting.pop().await {
        if path.send(lane, payload).await.is_err() {
            return;
        }
    }
}
