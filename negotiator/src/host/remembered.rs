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
