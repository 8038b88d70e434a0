//! One live link between two endpoints.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    close::{CloseCode, Closed},
    error::{Refusal, Refused},
    lane::{Lane, Profile},
    stats::Stats,
};

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The lane it came on.
    pub lane: Lane,
    /// Its bytes, never empty; the receiver's to keep.
    pub payload: Bytes,
}

/// One live link between exactly two endpoints, carrying whole messages on two lanes.
///
/// The contract, numbered and with a conformance case each, is `docs/contract.md`. In short:
///
/// - Order is promised inside [`Lane::Reliable`] and nowhere else, in particular not across lanes.
///   A transport may strengthen a lane, never weaken it, never truncate or duplicate.
/// - Writable ⇔ queued < budget, and a writable lane takes one message of any legal size.
/// - Acceptance is one synchronous step; acceptance is not delivery (only session acks prove that).
/// - What arrived before the end is drained before `recv` reports the end.
/// - Dropping the last handle closes with [`CloseCode::GOING_AWAY`] and without flushing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a beach transport",
    note = "implement `Transport` and certify it with the `conformance` crate: docs/adding-a-transport.md"
)]
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Describes the link. Fixed while it lives.
    fn profile(&self) -> &Profile;

    /// Accepts one message, or hands it back.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the untouched payload: `Full` (reliable lane only), `TooLarge`, `Empty` or
    /// `Closed`. The datagram lane never answers `Full`; it evicts its oldest and counts it.
    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused>;

    /// Waits until the lane takes a message. Level-triggered; holds nothing.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the link has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn writable(&self, lane: Lane) -> Result<(), Closed>;

    /// Takes the next message from either lane. One consumer at a time.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the link has ended and everything that arrived was taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is taken in the last, synchronous step.
    async fn recv(&self) -> Result<Inbound, Closed>;

    /// Ends the link. The first call wins, later ones do nothing. Accepted reliable messages get a
    /// bounded time to leave; the close is told to the peer where the path can carry it.
    fn close(&self, code: CloseCode, detail: &str);

    /// Waits for the end and says how it came. On an end this side chose that means: until its last bytes have left
    /// or their time is over, so that the transport may be dropped. Answers at once afterwards, always the same.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn closed(&self) -> Closed;

    /// Returns counters and gauges. Never blocks.
    fn stats(&self) -> Stats;

    /// Tells how many bytes the whole path carries at a time, as the session above has measured. It keeps to it on the
    /// reliable lane; a transport that buffers datagrams below its own queue, where the oldest can be evicted, lets no more
    /// of them down. A hint: doing nothing breaks no promise.
    fn set_ahead(&self, bytes: usize) {
        let _ = bytes;
    }
}

/// Conveniences over every [`Transport`].
#[async_trait]
pub trait TransportExt: Transport {
    /// Sends one message, waiting while the lane is full.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the payload for every refusal but `Full`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when dropped, the message was accepted whole or not at all.
    async fn send(&self, lane: Lane, mut payload: Bytes) -> Result<(), Refused> {
        loop {
            payload = match self.try_send(lane, payload) {
                Err(Refused { payload, why: Refusal::Full }) => payload,
                other => return other,
            };
            if let Err(closed) = self.writable(lane).await {
                return Err(Refused::new(payload, closed.into()));
            }
        }
    }
}

impl<T: Transport + ?Sized> TransportExt for T {}

/// Wrappers hold `Box<dyn Transport>`; a box is a transport itself.
#[async_trait]
impl Transport for Box<dyn Transport> {
    fn profile(&self) -> &Profile {
        (**self).profile()
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        (**self).try_send(lane, payload)
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        (**self).writable(lane).await
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        (**self).recv().await
    }

    fn close(&self, code: CloseCode, detail: &str) {
        (**self).close(code, detail);
    }

    async fn closed(&self) -> Closed {
        (**self).closed().await
    }

    fn stats(&self) -> Stats {
        (**self).stats()
    }

    fn set_ahead(&self, bytes: usize) {
        (**self).set_ahead(bytes);
    }
}

const _: fn(&dyn Transport) = |_| {};
