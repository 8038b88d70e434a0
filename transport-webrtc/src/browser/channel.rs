//! One data channel: the gate on what is buffered, whole frames in and out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use transport_core::Lane;

use crate::{
    frame::{BadFrame, Frame, MAX_FRAME},
    runtime::timeout,
};

/// A data channel that a task keeps. It closes when this is dropped.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The lane it was made for; `None` for a channel of neither kind.
    pub(super) lane: Option<Lane>,
    pub(super) arrivals: Mutex<mpsc::Receiver<Bytes>>,
    pub(super) outgoing: mpsc::Sender<Bytes>,
    pub(super) gauge: Arc<Gauge>,
}

/// How much waits to be sent, as both sides of the queue know it.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Bytes on their way to the browser.
    queued: AtomicUsize,
    /// Bytes in its hands, when it was last looked at.
    held: AtomicUsize,
    /// Below so many it wakes who waits.
    pub(super) threshold: AtomicUsize,
    /// Wakes senders.
    low: Notify,
    /// Asks the task to look anew.
    pub(super) look: Notify,
    /// Bytes that arrived and were not read.
    unread: AtomicUsize,
    /// Whether more arrived than is held, and was left out.
    overrun: watch::Sender<bool>,
}

impl Gauge {
    /// Notes that a message went from the queue to the browser, which holds so much since.
    pub(super) fn passed(&self, length: usize, held: usize) {
        self.held.store(held, Ordering::Relaxed);
        self.queued.fetch_sub(length, Ordering::Relaxed);
    }

    /// Notes that nothing is sent any more, and wakes senders, who find out.
    pub(super) fn end(&self) {
        self.queued.store(0, Ordering::Relaxed);
        self.seen(0);
    }

    /// Notes how much the browser holds, and wakes senders.
    pub(super) fn seen(&self, held: usize) {
        self.held.store(held, Ordering::Relaxed);
        self.low.notify_waiters();
    }

    /// Says whether there is room for a message that arrives. Behind one that had none there is none either: what a lane hands
    /// out ends before its first gap.
    pub(super) fn admits(&self, length: usize) -> bool {
        !*self.overrun.borrow() && self.unread.load(Ordering::Relaxed) + length <= UNREAD
    }

    /// Notes that a message waits to be read.
    pub(super) fn arrived(&self, length: usize) {
        self.unread.fetch_add(length, Ordering::Relaxed);
    }

    /// Notes that a message of a lane that loses nothing was left out.
    pub(super) fn overrun(&self) {
        self.overrun.send_replace(true);
    }

    fn buffered(&self) -> usize {
        self.queued.load(Ordering::Relaxed) + self.held.load(Ordering::Relaxed)
    }
}

/// An open data channel.
#[derive(Debug)]
pub(crate) struct Channel {
    raw: Arc<Raw>,
    limit: AtomicUsize,
}

/// Why nothing more comes from a channel, or goes into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChannelEnd {
    /// Closed, reset, or broken by an empty message or one of more than 16 KiB.
    #[error("the data channel closed")]
    Lost,
    /// The peer sent something that is none of ours.
    #[error(transparent)]
    Bad(#[from] BadFrame),
}

impl Channel {
    /// Wraps `raw`, pausing senders while `limit` or more bytes wait in the browser.
    pub(crate) fn new(raw: Arc<Raw>, limit: usize) -> Self {
        let channel = Self { raw, limit: AtomicUsize::new(limit) };
        channel.wake_below(limit / 2);
        channel
    }

    /// Says whether the peer made the channel as `lane` needs it.
    pub(crate) fn fits(&self, lane: Lane) -> bool {
        self.raw.lane == Some(lane)
    }

    /// Returns the bytes handed over and still in the browser.
    pub(crate) fn buffered(&self) -> usize {
        self.raw.gauge.buffered()
    }

    /// Pauses senders at another limit from now on.
    pub(crate) fn set_limit(&self, limit: usize) {
        if self.limit.swap(limit, Ordering::Relaxed) != limit {
            self.wake_below(limit / 2);
        }
    }

    /// Waits until less than the limit waits. Cancel safe.
    pub(crate) async fn room(&self) {
        loop {
            let low = self.raw.gauge.low.notified();
            if self.has_room() {
                return;
            }
            // The browser tells of the threshold alone, and only when it is passed.
            if timeout(BACKSTOP, low).await.is_err() {
                self.raw.gauge.look.notify_one();
            }
        }
    }

    /// Sends one frame. Any amount is accepted: call [`room`](Self::room) first.
    pub(crate) async fn send(&self, frame: &Frame) -> Result<(), ChannelEnd> {
        let place = self.raw.outgoing.reserve().await.map_err(|_| ChannelEnd::Lost)?;
        let message = frame.encode();
        self.raw.gauge.queued.fetch_add(message.len(), Ordering::Relaxed);
        place.send(message);
        Ok(())
    }

    /// Sends a frame that is worth nothing later, unless the channel is full.
    pub(crate) async fn send_now_or_never(&self, frame: &Frame) {
        if self.has_room() {
            // A lost channel is noticed by its reader.
            let _ = self.send(frame).await;
        }
    }

    /// Receives one frame. It comes in memory of its own: the buffer is for the stack of a machine.
    pub(crate) async fn recv(&self, _: &mut [u8]) -> Result<Frame, ChannelEnd> {
        let message = self.raw.arrivals.lock().await.recv().await.ok_or(ChannelEnd::Lost)?;
        self.raw.gauge.unread.fetch_sub(message.len(), Ordering::Relaxed);
        if (1..=MAX_FRAME).contains(&message.len()) {
            Ok(Frame::decode(&message)?)
        } else {
            Err(ChannelEnd::Lost)
        }
    }

    /// Waits until more arrived than is held for a reader who does not read. Cancel safe.
    pub(crate) async fn overrun(&self) {
        // The sender lives in `self`.
        let _ = self.raw.gauge.overrun.subscribe().wait_for(|overrun| *overrun).await;
    }

    fn wake_below(&self, threshold: usize) {
        self.raw.gauge.threshold.store(threshold, Ordering::Relaxed);
        self.raw.gauge.look.notify_one();
    }

    fn has_room(&self) -> bool {
        self.buffered() < self.limit.load(Ordering::Relaxed)
    }
}

const BACKSTOP: Duration = Duration::from_millis(100);

/// Bytes that may wait to be read. A browser cannot hold a peer back; the credit of a session does, long before: it gives
/// half a mebibyte.
const UNREAD: usize = 8 << 20;
