//! What is known of links that this side has not opened yet. Sans-IO.

use std::collections::HashMap;

use beach_lifeguard_client::{PeerAddr, close::CloseFrame, frame::Window};

use crate::{
    link::Key,
    runtime::{Duration, Instant},
};

/// The two sides of a link open it at different moments; what the quicker one says meanwhile waits
/// here, bounded in number and time.
#[derive(Debug, Default)]
pub(crate) struct EarlyLinks(HashMap<Key, Waiting>);

/// What came for one link before this side opened it.
#[derive(Debug, Clone)]
pub(crate) enum Early {
    /// The peer has opened it, and lets this side send so much.
    Opened(Window),
    /// The peer has given it up again.
    Closed(CloseFrame),
}

#[derive(Debug)]
struct Waiting {
    early: Early,
    until: Instant,
}

impl EarlyLinks {
    /// Keeps what came; a close is the last word. False when there is no room.
    pub(crate) fn keep(&mut self, key: Key, early: Early, now: Instant) -> bool {
        if self.0.len() >= MAX_LINKS && !self.0.contains_key(&key) {
            return false;
        }
        let waiting =
            self.0.entry(key).or_insert_with(|| Waiting { early: early.clone(), until: now + LIFE });
        match (&waiting.early, early) {
            (Early::Closed(_), _) => {}
            (Early::Opened(known), Early::Opened(window)) => {
                waiting.early = Early::Opened(window.max(*known))
            }
            (Early::Opened(_), closed) => waiting.early = closed,
        }
        true
    }

    /// Hands out what came for a link.
    pub(crate) fn take(&mut self, key: Key) -> Option<Early> {
        self.0.remove(&key).map(|waiting| waiting.early)
    }

    /// The highest link that this peer has opened and not given up.
    pub(crate) fn newest_of(&self, peer: PeerAddr) -> Option<u32> {
        let open = self.0.iter().filter(|(_, waiting)| matches!(waiting.early, Early::Opened(_)));
        open.filter(|(key, _)| key.peer == peer).map(|(key, _)| key.link.0).max()
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
            if !keep && matches!(waiting.early, Early::Opened(_)) {
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
}

/// Links kept at once: a host's viewers may all dial at the same moment.
const MAX_LINKS: usize = 1_024;

/// How long: as long as a dial waits for its peer.
const LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use beach_lifeguard_client::{CloseCode, LinkNumber};

    use super::*;
    use crate::runtime::now;

    fn key(link: u32) -> Key {
        Key { peer: PeerAddr::new(1, 1), link: LinkNumber(link) }
    }

    #[test]
    fn the_largest_window_counts_and_a_close_is_the_last_word() {
        let (mut early, now) = (EarlyLinks::default(), now());
        for window in [5, 9, 7] {
            assert!(early.keep(key(1), Early::Opened(Window(window)), now));
        }
        assert!(matches!(early.take(key(1)), Some(Early::Opened(Window(9)))));
        assert!(early.take(key(1)).is_none());
        let bye = CloseFrame::new(CloseCode::NORMAL, "bye");
        for what in [Early::Opened(Window(5)), Early::Closed(bye.clone()), Early::Opened(Window(9))] {
            assert!(early.keep(key(2), what, now));
        }
        assert!(matches!(early.take(key(2)), Some(Early::Closed(close)) if close == bye));
    }

    #[test]
    fn number_and_time_are_bounded() {
        let (mut early, now) = (EarlyLinks::default(), now());
        for link in 0..MAX_LINKS as u32 {
            assert!(early.keep(key(link), Early::Opened(Window(1)), now));
        }
        assert!(!early.keep(key(9_999), Early::Opened(Window(1)), now));
        assert_eq!(early.next_expiry(), Some(now + LIFE));
        early.keep(key(0), Early::Closed(CloseFrame::new(CloseCode::NORMAL, "")), now);
        assert!(early.expire(now + LIFE - Duration::from_millis(1)).is_empty());
        assert_eq!(early.expire(now + LIFE).len(), MAX_LINKS - 1);
        assert_eq!(early.next_expiry(), None);
    }
}
