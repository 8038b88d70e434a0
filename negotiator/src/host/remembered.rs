//! Peers whose fate was decided and must not be forgotten at once.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

use transport_core::PeerId;

/// Who stays out, the oldest forgotten first.
#[derive(Default)]
pub(super) struct Remembered {
    peers: BTreeSet<PeerId>,
    order: VecDeque<PeerId>,
}

impl Remembered {
    pub(super) fn add(&mut self, peer: PeerId) {
        if !self.peers.insert(peer) {
            return;
        }
        self.order.push_back(peer);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
    }

    pub(super) fn holds(&self, peer: PeerId) -> bool {
        self.peers.contains(&peer)
    }

    pub(super) fn list(&self) -> Vec<PeerId> {
        self.order.iter().copied().collect()
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({})", self.order.len())
    }
}

/// Peers of one kind that are remembered; a session document holds as many.
const REMEMBERED: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u16) -> PeerId {
        PeerId::from_bytes(u128::from(n).to_be_bytes())
    }

    #[test]
    fn so_many_are_remembered_each_once_and_the_oldest_goes() {
        let mut remembered = Remembered::default();
        (0..1_024).for_each(|n| remembered.add(peer(n)));
        remembered.add(peer(0));
        assert_eq!(remembered.list().len(), 1_024);
        assert!(remembered.holds(peer(0)) && !remembered.holds(peer(1_024)));
        remembered.add(peer(1_024));
        assert!(!remembered.holds(peer(0)) && remembered.holds(peer(1)) && remembered.holds(peer(1_024)));
        assert_eq!(remembered.list(), (1..=1_024).map(peer).collect::<Vec<_>>());
    }
}
