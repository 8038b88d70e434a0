//! One data channel: its parameters, the gate on what is buffered, whole frames in and out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};
use transport_core::Lane;
use webrtc::{
    data::{data_channel::DataChannel, message::message_channel_open::ChannelType},
    data_channel::data_channel_init::RTCDataChannelInit,
};

use crate::frame::{BadFrame, Frame};

/// Returns the parameters of the channel that carries `lane`. They are announced in-band: a channel
/// negotiated out of band silently ignores `max_retransmits` in the library below.
pub(crate) fn parameters(lane: Lane) -> RTCDataChannelInit {
    match lane {
        Lane::Reliable => RTCDataChannelInit { ordered: Some(true), ..RTCDataChannelInit::default() },
        Lane::Datagram => RTCDataChannelInit {
            ordered: Some(false),
            max_retransmits: Some(0),
            ..RTCDataChannelInit::default()
        },
    }
}

/// What the library calls an open data channel.
pub(crate) type Raw = DataChannel;

/// An open data channel.
#[derive(Debug)]
pub(crate) struct Channel {
    raw: Arc<Raw>,
    /// One frame is written at a time. webrtc-sctp 0.17.2 reads a stream's sequence number and counts it up in two steps, so two
    /// writers can get the same one, and nothing on the stream is delivered behind that.
    writing: Mutex<()>,
    low: Arc<Notify>,
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
    /// Wraps `raw`, pausing senders while `limit` or more bytes are unacknowledged.
    pub(crate) fn new(raw: Arc<Raw>, limit: usize) -> Self {
        let low = Arc::new(Notify::new());
        let wake = low.clone();
        raw.set_buffered_amount_low_threshold(limit / 2);
        raw.on_buffered_amount_low(Box::new(move || {
            let wake = wake.clone();
            Box::pin(async move { wake.notify_waiters() })
        }));
        Self { raw, writing: Mutex::default(), low, limit: AtomicUsize::new(limit) }
    }

    /// Says whether the peer made the channel as `lane` needs it.
    pub(crate) fn fits(&self, lane: Lane) -> bool {
        let config = &self.raw.config;
        match lane {
            Lane::Reliable => config.channel_type == ChannelType::Reliable,
            Lane::Datagram => {
                config.channel_type == ChannelType::PartialReliableRexmitUnordered
                    && config.reliability_parameter == 0
            }
        }
    }

    /// Returns the bytes handed over and not yet acknowledged by the peer's stack.
    pub(crate) fn buffered(&self) -> usize {
        self.raw.buffered_amount()
    }

    /// Pauses senders at another limit from now on.
    pub(crate) fn set_limit(&self, limit: usize) {
        if self.limit.swap(limit, Ordering::Relaxed) != limit {
            self.raw.set_buffered_amount_low_threshold(limit / 2);
        }
    }

    /// Waits until less than the limit is unacknowledged. Cancel safe.
    pub(crate) async fn room(&self) {
        loop {
            let low = self.low.notified();
            if self.has_room() {
                return;
            }
            // The timer stands behind the event, which the library does not promise for every way
            // the amount can fall.
            let _ = timeout(BACKSTOP, low).await;
        }
    }

    /// Sends one frame. The library accepts any amount: call [`room`](Self::room) first. Dropped half-way it may have
    /// taken a sequence number for nothing, and the channel delivers nothing behind that.
    pub(crate) async fn send(&self, frame: &Frame) -> Result<(), ChannelEnd> {
        let _alone = self.writing.lock().await;
        self.write(frame).await
    }

    /// Sends a frame that is worth nothing later, unless the channel is full or somebody else writes for longer than a moment.
    pub(crate) async fn send_now_or_never(&self, frame: &Frame) {
        if let Ok(_alone) = timeout(MOMENT, self.writing.lock()).await
            && self.has_room()
        {
            // A lost channel is noticed by its reader.
            let _ = self.write(frame).await;
        }
    }

    async fn write(&self, frame: &Frame) -> Result<(), ChannelEnd> {
        self.raw.write_data_channel(&frame.encode(), false).await.map(drop).map_err(|_| ChannelEnd::Lost)
    }

    /// Receives one frame, using `buffer` of [`MAX_FRAME`](crate::frame::MAX_FRAME) bytes.
    pub(crate) async fn recv(&self, buffer: &mut [u8]) -> Result<Frame, ChannelEnd> {
        loop {
            // The library can miss waking its reader when the channel ends: look again now and then.
            match timeout(LOOK_AGAIN, self.raw.read_data_channel(buffer)).await {
                Err(_elapsed) => {}
                Ok(Ok((0, _)) | Err(_)) => return Err(ChannelEnd::Lost),
                Ok(Ok((length, _))) => return Ok(Frame::decode(&buffer[..length])?),
            }
        }
    }

    /// Never: a channel that nobody reads holds its peer back.
    pub(crate) async fn overrun(&self) {
        std::future::pending().await
    }

    fn has_room(&self) -> bool {
        self.buffered() < self.limit.load(Ordering::Relaxed)
    }
}

/// Whoever reads a channel answers on it, and must not wait for a writer whom the path holds.
const MOMENT: Duration = Duration::from_millis(20);

const BACKSTOP: Duration = Duration::from_millis(100);

const LOOK_AGAIN: Duration = Duration::from_secs(1);
