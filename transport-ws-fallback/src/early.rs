//! Frames of links that this side has not opened yet. Sans-IO.

use std::{collections::HashMap, time::Duration};

use beach_lifeguard_client::{PeerAddr, close::CloseFrame, frame::Window};
use bytes::Bytes;
use tokio::time::Instant;
use transport_core::Lane;

use crate::link::Key;

/// The two sides of a link open it at different moments; what the quicker one says meanwhile waits
/// here, bounded in bytes, links and time.
#[derive(Debug, Default)]
pub(crate) struct EarlyFrames(HashMap<Key, Waiting>);

/// What waits for one link.
#[derive(Debug, Default)]
pub(crate) struct Early {
    pub(crate) frames: Vec<(Lane, Bytes)>,
    /// What the peer lets this side send.
    pub(crate) window: Window,
    /// The peer has closed it already.
    pub(crate) end: Option<CloseFrame>,
}

#[derive(Debug)]
struct Waiting {
    early: Early,
    bytes: usize,
    until: Instant,
}

/// No room: keeping less than all of a reliable lane would be a silent gap.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl EarlyFrames {
    /// Keeps a frame of a link that is not open. A datagram without room is dropped.
    pub(crate) fn keep(
        &mut self,
        key: Key,
        lane: Lane,
        payload: &Bytes,
        now: Instant,
    ) -> Result<(), Overflow> {
        let Some(waiting) = self.waiting(key, now) else { return Err(Overflow) };
        if waiting.early.end.is_some() {
            return Ok(());
        }
        if waiting.bytes + payload.len() > MAX_BYTES {
            if lane == Lane::Datagram {
                return Ok(());
            }
            self.0.remove(&key);
            return Err(Overflow);
        }
        waiting.bytes += payload.len();
        // A copy: the payload is a slice of a large read buffer.
        waiting.early.frames.push((lane, Bytes::copy_from_slice(payload)));
        Ok(())
    }

    /// Notes that the peer closed a link that is not open here.
    pub(crate) fn end(&mut self, key: Key, close: CloseFrame, now: Instant) {
        if let Some(waiting) = self.waiting(key, now) {
            waiting.early.end.get_or_insert(close);
        }
    }

    /// Notes what the peer of a link that is not open lets this side send.
    pub(crate) fn window(&mut self, key: Key, window: Window, now: Instant) {
        if let Some(waiting) = self.waiting(key, now) {
            waiting.early.window = waiting.early.window.max(window);
        }
    }

    /// Hands out what waits for a link.
    pub(crate) fn take(&mut self, key: Key) -> Option<Early> {
        self.0.remove(&key).map(|waiting| waiting.early)
    }

    /// Forgets a peer that left.
    pub(crate) fn forget(&mut self, peer: PeerAddr) {
        self.0.retain(|key, _| key.peer != peer);
    }

    /// Removes links that nobody opened in time, and names those whose peer still waits.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Key> {
        let mut expired = Vec::new();
        self.0.retain(|key, waiting| {
            let keep = now < waiting.until;
            if !keep && waiting.early.end.is_none() {
                expired.push(*key);
            }
            keep
        });
        expired
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.0.values().map(|waiting| waiting.until).min()
    }

    fn waiting(&mut self, key: Key, now: Instant) -> Option<&mut Waiting> {
        if !self.0.contains_key(&key) {
            if self.0.len() >= MAX_LINKS {
                return None;
            }
            let waiting = Waiting { early: Early::default(), bytes: 0, until: now + LIFE };
            self.0.insert(key, waiting);
        }
        self.0.get_mut(&key)
    }
}

/// Bytes kept for one link: the initial window and the largest frame fit (`docs/wire.md` §1.4).
const MAX_BYTES: usize = 128 << 10;

/// Links kept at once: 4 MiB in all.
const MAX_LINKS: usize = 32;

/// How long a frame waits: as long as a dial waits for its peer.
const LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use beach_lifeguard_client::{CloseCode, LinkId};

    use super::*;

    fn key(link: u32) -> Key {
        Key { peer: PeerAddr::new(1, 1), link: LinkId(link) }
    }

    #[test]
    fn frames_wait_in_order_up_to_their_bound() {
        let (mut early, now) = (EarlyFrames::default(), Instant::now());
        let half = Bytes::from(vec![7; MAX_BYTES / 2]);
        early.keep(key(1), Lane::Reliable, &half, now).unwrap();
        early.keep(key(1), Lane::Reliable, &half, now).unwrap();
        early.keep(key(1), Lane::Datagram, &half, now).unwrap();
        assert_eq!(early.keep(key(1), Lane::Reliable, &half, now), Err(Overflow));
        assert!(early.take(key(1)).is_none());
        early.keep(key(2), Lane::Reliable, &half, now).unwrap();
        early.end(key(2), CloseFrame::new(CloseCode::NORMAL, "bye"), now);
        let waiting = early.take(key(2)).unwrap();
        assert_eq!((waiting.frames.len(), waiting.end.unwrap().reason.as_str()), (1, "bye"));
    }

    #[test]
    fn links_and_time_are_bounded_too() {
        let (mut early, now) = (EarlyFrames::default(), Instant::now());
        let frame = Bytes::from_static(b"x");
        for link in 0..MAX_LINKS as u32 {
            early.keep(key(link), Lane::Reliable, &frame, now).unwrap();
        }
        assert_eq!(early.keep(key(99), Lane::Reliable, &frame, now), Err(Overflow));
        assert_eq!(early.next_expiry(), Some(now + LIFE));
        early.end(key(0), CloseFrame::new(CloseCode::NORMAL, ""), now);
        assert!(early.expire(now + LIFE - Duration::from_millis(1)).is_empty());
        assert_eq!(early.expire(now + LIFE).len(), MAX_LINKS - 1);
        assert_eq!(early.next_expiry(), None);
    }
}
