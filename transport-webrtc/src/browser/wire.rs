//! The task that owns a data channel of the browser.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use transport_core::Lane;
use wasm_bindgen::{JsCast, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState, RtcDataChannelType};

use super::channel::{Gauge, Raw};
use crate::peer_event::PeerEvent;

/// A channel, and what it calls. Nothing is called once this is dropped.
struct Wire {
    channel: RtcDataChannel,
    gauge: Arc<Gauge>,
    /// Told when the channel closes.
    closed: Rc<Notify>,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_low: Closure<dyn FnMut()>,
    _on_close: Closure<dyn FnMut()>,
}

/// Returns the parameters of the channel that carries `lane`, announced in-band as those of a machine are.
pub(super) fn parameters(lane: Lane) -> RtcDataChannelInit {
    let parameters = RtcDataChannelInit::new();
    parameters.set_ordered(lane == Lane::Reliable);
    if lane == Lane::Datagram {
        parameters.set_max_retransmits(0);
    }
    parameters
}

/// Keeps `channel` until nobody holds it any more, it closes, or its connection is `gone`; tells `events` when it opens.
pub(super) fn keep(channel: RtcDataChannel, events: mpsc::Sender<PeerEvent>, mut gone: watch::Receiver<()>) {
    let (outgoing, mut messages) = mpsc::channel(OUTGOING);
    let wire = Wire::new(channel, events, outgoing);
    spawn_local(async move {
        tokio::select! {
            () = wire.serve(&mut messages) => {}
            () = wire.closed.notified() => {}
            // Nothing is ever sent: it ends with the connection.
            _ = gone.changed() => {}
        }
        drop(messages);
        wire.gauge.end();
    });
}

impl Wire {
    fn new(channel: RtcDataChannel, events: mpsc::Sender<PeerEvent>, outgoing: mpsc::Sender<Bytes>) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let (to_reader, arrivals) = mpsc::channel(ARRIVALS);
        let (gauge, closed) = (Arc::<Gauge>::default(), Rc::<Notify>::default());
        let lane = lane_of(&channel);
        let raw = Raw { lane, arrivals: Mutex::new(arrivals), outgoing, gauge: gauge.clone() };
        let (raw, label) = (Cell::new(Some(Arc::new(raw))), channel.label());
        let opened = move || {
            if let Some(raw) = raw.take() {
                // Full or closed: nobody wants it, and it closes.
                let _ = events.try_send(PeerEvent::Opened { label: label.clone(), raw });
            }
        };
        if channel.ready_state() == RtcDataChannelState::Open {
            opened();
        }
        let on_open = Closure::<dyn FnMut()>::new(opened);
        let to_reader = Rc::new(RefCell::new(Some(to_reader)));
        let (reader, unread) = (to_reader.clone(), gauge.clone());
        let on_message = Closure::<dyn FnMut(_)>::new(move |event: MessageEvent| {
            let message = bytes(&event);
            let length = message.len();
            let taken = unread.admits(length)
                && reader.borrow().as_ref().is_some_and(|reader| reader.try_send(message).is_ok());
            if taken {
                unread.arrived(length);
            } else if lane != Some(Lane::Datagram) {
                // Nobody reads. Nothing may be left out of a reliable channel, so the link ends.
                unread.overrun();
            }
        });
        let (amount, looked) = (channel.clone(), gauge.clone());
        let on_low = Closure::<dyn FnMut()>::new(move || looked.seen(amount.buffered_amount() as usize));
        let told = closed.clone();
        let on_close = Closure::<dyn FnMut()>::new(move || {
            to_reader.borrow_mut().take();
            told.notify_one();
        });
        channel.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        channel.set_onbufferedamountlow(Some(on_low.as_ref().unchecked_ref()));
        channel.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Self {
            channel,
            gauge,
            closed,
            _on_open: on_open,
            _on_message: on_message,
            _on_low: on_low,
            _on_close: on_close,
        }
    }

    /// Hands messages to the browser until nobody gives any more, or it takes none.
    async fn serve(&self, messages: &mut mpsc::Receiver<Bytes>) {
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Some(message) = message else { return };
                    if self.channel.send_with_u8_array(&message).is_err() {
                        return;
                    }
                    self.gauge.passed(message.len(), self.channel.buffered_amount() as usize);
                }
                () = self.gauge.look.notified() => {
                    let threshold = self.gauge.threshold.load(Ordering::Relaxed);
                    self.channel.set_buffered_amount_low_threshold(u32::try_from(threshold).unwrap_or(u32::MAX));
                    self.gauge.seen(self.channel.buffered_amount() as usize);
                }
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.channel.set_onopen(None);
        self.channel.set_onmessage(None);
        self.channel.set_onbufferedamountlow(None);
        self.channel.set_onclose(None);
        // Closed already: this does nothing then.
        self.channel.close();
    }
}

/// The lane that a channel was made for.
fn lane_of(channel: &RtcDataChannel) -> Option<Lane> {
    let ordered = Reflect::get(channel, &"ordered".into()).is_ok_and(|ordered| ordered.is_truthy());
    match (ordered, channel.max_retransmits(), channel.max_packet_life_time()) {
        (true, None, None) => Some(Lane::Reliable),
        (false, Some(0), None) => Some(Lane::Datagram),
        _ => None,
    }
}

/// What a message is made of. One without bytes ends its channel.
fn bytes(event: &MessageEvent) -> Bytes {
    let data = event.data();
    match data.dyn_ref::<ArrayBuffer>() {
        Some(buffer) => Uint8Array::new(buffer).to_vec().into(),
        None => data.as_string().unwrap_or_default().into(),
    }
}

/// Frames that may be on their way to the browser.
const OUTGOING: usize = 64;

/// Frames that may wait to be read; their bytes are bounded beside them.
const ARRIVALS: usize = 4_096;
