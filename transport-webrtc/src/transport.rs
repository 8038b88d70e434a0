//! A live pair of data channels as a [`Transport`].

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use transport_core::{
    Carriage, CloseCode, Closed, Inbound, Initiator, Lane, LaneProfile, LaneQueue, LaneStats, Profile,
    Refused, Stats, Transport,
};

use crate::{
    channel::{Channel, ChannelEnd},
    config::WebRtcConfig,
    frame::{BadFrame, Frame, MAX_FRAME, PREFIX},
    rtt::RttMeter,
    runtime::now,
};

/// What the application's handle, the readers, the senders and the supervisor of one link share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What arrived; its end is the link's end as this side sees it.
    inbound: LaneQueue,
    /// Emptied by a sender for each lane, so that a full reliable lane does not hold datagrams back.
    outbound: LaneQueue,
    meter: Mutex<RttMeter>,
    /// Bytes of datagrams that may be in their channel unacknowledged.
    datagrams_ahead: AtomicUsize,
    send_buffer: usize,
    /// The reliable channel, once it is open.
    bulk: OnceLock<Arc<Channel>>,
    /// Whether the peer was heard on the channel of each lane.
    heard: watch::Sender<[bool; 2]>,
    abandoned: AtomicBool,
    /// Whether the supervisor has said everything there was to say at the end.
    left: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(config: &WebRtcConfig) -> Arc<Self> {
        // The peer may be configured for larger messages than this side sends.
        let inbound = LaneQueue::new(&profile(config, MAX_FRAME - PREFIX, Carriage::Native, ""));
        let own = profile(config, config.max_chunk.get() - PREFIX, Carriage::Native, "");
        Arc::new(Self {
            inbound,
            outbound: LaneQueue::new(&own),
            meter: Mutex::default(),
            datagrams_ahead: AtomicUsize::new(config.send_buffer.get()),
            send_buffer: config.send_buffer.get(),
            bulk: OnceLock::new(),
            heard: watch::Sender::new([false; 2]),
            abandoned: AtomicBool::new(false),
            left: watch::Sender::new(false),
        })
    }

    pub(crate) fn outbound(&self) -> &LaneQueue {
        &self.outbound
    }

    /// Ends the link, unless it ended already; says whether this was it.
    pub(crate) fn end(&self, closed: Closed) -> bool {
        let first = self.inbound.close(closed.clone());
        if first {
            self.outbound.close(closed);
        }
        first
    }

    pub(crate) async fn ended(&self) -> Closed {
        self.inbound.closed().await
    }

    /// Notes that the last bytes have left, or never will.
    pub(crate) fn leave(&self) {
        self.left.send_replace(true);
    }

    /// Waits until nothing more of this side's end is under way.
    async fn left(&self) {
        // The sender lives in `self`.
        let _ = self.left.subscribe().wait_for(|left| *left).await;
    }

    /// Says whether the last handle was dropped, so that nothing need be flushed.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(crate) fn has_heard(&self, lane: Lane) -> bool {
        self.heard.borrow()[index(lane)]
    }

    pub(crate) fn hearing(&self) -> watch::Receiver<[bool; 2]> {
        self.heard.subscribe()
    }

    pub(crate) fn ping(&self) -> Frame {
        Frame::Ping(self.meter.lock().ping(now()))
    }

    pub(crate) fn set_bulk(&self, channel: Arc<Channel>) {
        // A second one ends the dial.
        let _ = self.bulk.set(channel);
    }

    /// Returns the bytes of messages that arrived on the reliable lane so far.
    pub(crate) fn received(&self) -> u64 {
        self.inbound.stats().reliable.accepted_bytes
    }

    /// Says whether bulk is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy().is_some()
    }

    /// Returns the channel for a ping or pong that belongs to `own`: the reliable one while it is busy.
    ///
    /// webrtc-sctp 0.17.2 gives a datagram up in the moment in which it is sent, and answers every acknowledgement with a
    /// FORWARD-TSN until the datagram has arrived; that is acknowledged at once, and so on. Behind a router's queue two
    /// pings a second made a third of what went over 64 kbit/s.
    pub(crate) fn probed<'a>(&'a self, own: &'a Channel) -> &'a Channel {
        self.busy().unwrap_or(own)
    }

    /// The reliable channel while more than a packet is in it.
    fn busy(&self) -> Option<&Channel> {
        self.bulk.get().filter(|bulk| bulk.buffered() > PACKET).map(Arc::as_ref)
    }

    fn hear(&self, lane: Lane) {
        self.heard.send_if_modified(|heard| !std::mem::replace(&mut heard[index(lane)], true));
    }

    /// Hands a message to the application, waiting while it does not read the reliable lane: then
    /// the channel is not read either, and the peer's stack holds the peer back.
    async fn deliver(&self, lane: Lane, mut payload: Bytes) {
        while let Err(Refused { payload: back, why: transport_core::Refusal::Full }) =
            self.inbound.try_push(lane, payload)
        {
            payload = back;
            if self.inbound.writable(lane).await.is_err() {
                return;
            }
        }
    }
}

/// Reads one channel until it ends or the peer says goodbye. `lane` is the channel's own.
pub(crate) async fn read_channel(shared: Arc<Shared>, channel: Arc<Channel>, lane: Lane) {
    let mut buffer = vec![0; MAX_FRAME];
    let overrun = channel.overrun();
    tokio::pin!(overrun);
    let closed = loop {
        let frame = match channel.recv(&mut buffer).await {
            Ok(frame) => frame,
            Err(ChannelEnd::Lost) => break Closed::network("a data channel closed"),
            Err(ChannelEnd::Bad(BadFrame)) => break Closed::local(CloseCode::BAD_FRAME, "a bad frame"),
        };
        shared.hear(lane);
        match (frame, lane) {
            (Frame::Data(payload), _) => tokio::select! {
                biased;
                () = &mut overrun => {
                    shared.end(Closed::local(CloseCode::SLOW_CONSUMER, "more arrived than was read"));
                    // The goodbye is on its way; the peer hangs up when it has read that.
                    while channel.recv(&mut buffer).await.is_ok() {}
                    return;
                }
                () = shared.deliver(lane, payload) => {}
            },
            (Frame::Datagram(payload), Lane::Reliable) => shared.deliver(Lane::Datagram, payload).await,
            (Frame::Datagram(_), Lane::Datagram) => {
                break Closed::local(CloseCode::BAD_FRAME, "a misplaced frame");
            }
            (Frame::Ping(number), _) => {
                shared.probed(&channel).send_now_or_never(&Frame::Pong(number)).await;
            }
            (Frame::Pong(number), _) => shared.meter.lock().pong(now(), number),
            (Frame::Close { code, reason }, _) => break Closed::peer(code, reason),
        }
    };
    shared.end(closed);
}

/// Sends what the application queued on `lane` until the queue ends.
pub(crate) async fn send_lane(shared: Arc<Shared>, channel: Arc<Channel>, lane: Lane, own_channel: bool) {
    loop {
        if lane == Lane::Datagram && own_channel {
            channel.set_limit(shared.datagrams_ahead.load(Ordering::Relaxed));
        }
        // Room first: while there is none, messages wait where the oldest datagram can be evicted.
        channel.room().await;
        let Ok(payload) = shared.outbound.pop_lane(lane).await else { return };
        let frame = if own_channel { Frame::Data(payload) } else { Frame::Datagram(payload) };
        if channel.send(&frame).await.is_err() {
            shared.end(Closed::network("a data channel closed"));
            return;
        }
    }
}

/// One live WebRTC link.
pub(crate) struct WebRtcTransport {
    profile: Profile,
    shared: Arc<Shared>,
}

impl WebRtcTransport {
    pub(crate) fn new(
        config: &WebRtcConfig,
        shared: Arc<Shared>,
        datagrams: Carriage,
        path: &'static str,
        channel_binding: Bytes,
    ) -> Self {
        let mut profile = profile(config, config.max_chunk.get() - PREFIX, datagrams, path);
        profile.channel_binding = channel_binding;
        Self { profile, shared }
    }
}

#[async_trait]
impl Transport for WebRtcTransport {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        self.shared.outbound.try_push(lane, payload)
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        self.shared.outbound.writable(lane).await
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        self.shared.inbound.pop().await
    }

    fn close(&self, code: CloseCode, detail: &str) {
        self.shared.end(Closed::local(code, detail.to_owned()));
    }

    async fn closed(&self) -> Closed {
        let closed = self.shared.ended().await;
        if closed.initiator == Initiator::Local {
            self.shared.left().await;
        }
        closed
    }

    fn stats(&self) -> Stats {
        let (outbound, inbound) = (self.shared.outbound.stats(), self.shared.inbound.stats());
        // Received is what was handed out: an evicted datagram never was.
        let lane = |mut out: LaneStats, arrived: LaneStats| {
            out.received_messages = arrived.sent_messages;
            out.received_bytes = arrived.sent_bytes;
            out
        };
        let datagram = lane(outbound.datagram, inbound.datagram);
        let reliable = lane(outbound.reliable, inbound.reliable);
        let meter = self.shared.meter.lock();
        Stats::new(datagram, reliable).with_rtt(meter.rtt()).with_loss(meter.loss())
    }

    fn set_ahead(&self, bytes: usize) {
        let bytes = bytes.max(LEAST_AHEAD).min(self.shared.send_buffer);
        self.shared.datagrams_ahead.store(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for WebRtcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtcTransport").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Drop for WebRtcTransport {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
        self.shared.end(Closed::local(CloseCode::GOING_AWAY, "dropped"));
    }
}

fn profile(config: &WebRtcConfig, max_message: usize, datagrams: Carriage, path: &'static str) -> Profile {
    // The configuration was validated: a chunk is at least 1,201 bytes.
    let max_message = NonZeroUsize::new(max_message).unwrap_or(NonZeroUsize::MIN);
    let mut datagram = LaneProfile::native(max_message, config.datagram_queue);
    datagram.carriage = datagrams;
    let reliable = LaneProfile::native(max_message, config.reliable_queue);
    Profile::new(config.id(), path, datagram, reliable)
        .holding(config.send_buffer.saturating_add(config.reliable_queue.get()))
}

/// What the datagram lane may have under way on the narrowest path: what was measured may be old when there are only
/// datagrams.
const LEAST_AHEAD: usize = 16 * 1024;

/// About what a packet carries.
const PACKET: usize = 1_200;

/// The place of a lane in a pair.
pub(crate) const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Datagram => 0,
        Lane::Reliable => 1,
    }
}
