//! The sending side of an open link: what may leave, and how it ends. Sans-IO.

use std::sync::Arc;

use beach_lifeguard_client::{close::CloseFrame, frame::Window};
use transport_core::{Inbound, Lane};

use crate::{link::Link, runtime::Instant};

/// An open link, and how far its sending is.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) link: Arc<Link>,
    pub(crate) ready: bool,
    pub(crate) ending: Option<Ending>,
    /// Weight of the reliable frames sent.
    sent: u64,
    /// How much of it the peer allows; `None` until the peer has opened the link too.
    pub(crate) window: Option<Window>,
}

/// A link that this side closed: its queue is flushed, then the peer is told.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) close: CloseFrame,
    pub(crate) until: Instant,
}

impl Entry {
    /// Just opened on this side; `window` is what the peer said already.
    pub(crate) fn new(link: Arc<Link>, window: Option<Window>) -> Self {
        Self { link, ready: false, ending: None, sent: 0, window }
    }

    /// The next message, as far as the peer's window lets it go. One may cross the window's edge.
    pub(crate) fn next_message(&mut self) -> Option<Inbound> {
        self.window?;
        if self.is_blocked() {
            let payload = self.link.outbound.try_pop(Lane::Datagram)?;
            return Some(Inbound { lane: Lane::Datagram, payload });
        }
        let message = self.link.outbound.try_pop_any()?;
        if message.lane == Lane::Reliable {
            self.sent += Window::weight(message.payload.len());
        }
        Some(message)
    }

    /// Until when a closed link may still send what it had accepted.
    pub(crate) fn flush_until(&self) -> Option<Instant> {
        self.ending.as_ref().map(|ending| ending.until)
    }

    /// Whether reliable messages wait for the peer to read.
    pub(crate) fn is_blocked(&self) -> bool {
        let window = self.window.unwrap_or_default();
        self.sent >= window.0 && self.link.outbound.stats().reliable.queued_bytes > 0
    }
}

/// Dropped once its last frame was written, or when there is nobody to write it to.
impl Drop for Entry {
    fn drop(&mut self) {
        self.link.leave();
    }
}
