//! Every decision, told once, with its reason.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt, Stream,
    stream::{self, BoxStream, StreamExt},
};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tokio::sync::broadcast;
use transport_core::{
    Generation, PeerId, TransportId,
    policy::{Reason, TransitionKind},
};

use crate::runtime::SystemTime;

/// One change of a session's path, or a reason why it did not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NegotiationEvent {
    /// When, on the wall clock.
    #[serde(serialize_with = "unix_millis")]
    pub at: SystemTime,
    /// The other side of the session.
    pub peer: PeerId,
    /// What kind of change: `transport.fallback.activated`, …
    #[serde(serialize_with = "kind_name")]
    pub name: TransitionKind,
    /// The one reason, from a closed set.
    #[serde(serialize_with = "reason_code")]
    pub reason: Reason,
    /// The path before, if there was one.
    pub from: Option<TransportId>,
    /// The path after, if there is one.
    pub to: Option<TransportId>,
    /// The attachment it concerns, if it concerns one.
    pub generation: Option<Generation>,
    /// More, for a person: the error behind the reason, how much was resent. Never a secret.
    pub detail: String,
}

impl fmt::Display for NegotiationEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path =
            |path: &Option<TransportId>| path.as_ref().map_or("no path".to_owned(), |path| path.to_string());
        write!(f, "{}: {}", self.name, self.reason)?;
        if self.from != self.to {
            write!(f, " ({} → {})", path(&self.from), path(&self.to))?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, "; {}", self.detail) }
    }
}

/// The events of one session from the moment of subscribing. A [`Stream`] too.
// The lock is never taken: it makes what is only `Send` fit for sharing.
pub struct EventStream(Mutex<BoxStream<'static, NegotiationEvent>>);

impl EventStream {
    /// Subscribes while the session's driver lives; afterwards there is nothing to come.
    pub(crate) fn new(events: &broadcast::WeakSender<NegotiationEvent>) -> Self {
        let Some(events) = events.upgrade() else { return Self(Mutex::new(stream::empty().boxed())) };
        Self(Mutex::new(stream::unfold(events.subscribe(), next_of).fuse().boxed()))
    }

    /// Waits for the next event; `None` when the session is over, whoever still holds it, and every event was taken. A subscriber that falls more than
    /// [`EVENTS`] behind misses the oldest.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<NegotiationEvent> {
        self.0.get_mut().next().await
    }

    /// Takes an event that is already there.
    pub fn try_next(&mut self) -> Option<NegotiationEvent> {
        self.0.get_mut().next().now_or_never().flatten()
    }
}

impl Stream for EventStream {
    type Item = NegotiationEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NegotiationEvent>> {
        self.get_mut().0.get_mut().poll_next_unpin(cx)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

/// The next event of a subscription, and the subscription.
async fn next_of(mut events: Subscription) -> Option<(NegotiationEvent, Subscription)> {
    loop {
        match events.recv().await {
            Ok(event) => return Some((event, events)),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "a subscriber to negotiation events fell behind");
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

type Subscription = broadcast::Receiver<NegotiationEvent>;

/// Events kept for a slow subscriber: more than a flapping session makes in an hour.
pub const EVENTS: usize = 256;

fn unix_millis<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn kind_name<S: Serializer>(kind: &TransitionKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn reason_code<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.code())
}
