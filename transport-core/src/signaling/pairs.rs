//! What a [`Sealer`](super::Sealer) remembers about each endpoint it has heard from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use beach_identity::{LinkId, PublicKey};
use chacha20poly1305::XChaCha20Poly1305;

use super::sealed::NONCE;
use crate::ids::PeerId;

/// Endpoints by their names, a bounded number for each link: whoever fills a link's share forgets others of that link.
#[derive(Default)]
pub(super) struct Pairs {
    peers: BTreeMap<PeerId, Pair>,
    /// Counts what was heard, so that the least recent can be told.
    clock: u64,
}

/// One endpoint: under which key and link it is answered, and what it said already.
pub(super) struct Pair {
    pub(super) key: PublicKey,
    pub(super) link: LinkId,
    pub(super) cipher: XChaCha20Poly1305,
    seen: VecDeque<[u8; NONCE]>,
    heard: u64,
}

impl Pairs {
    pub(super) fn get(&self, peer: PeerId) -> Option<&Pair> {
        self.peers.get(&peer)
    }

    /// Notes an envelope that verified. `false` when its nonce was heard before.
    pub(super) fn heard(
        &mut self,
        peer: PeerId,
        (key, link): (PublicKey, LinkId),
        cipher: XChaCha20Poly1305,
        nonce: [u8; NONCE],
    ) -> bool {
        self.clock += 1;
        if let Some(pair) = self.peers.get_mut(&peer) {
            // Kept when the peer comes by another link: what it said by the first stays said.
            if pair.seen.contains(&nonce) {
                return false;
            }
            if pair.seen.len() == REMEMBERED {
                pair.seen.pop_front();
            }
            pair.seen.push_back(nonce);
            (pair.key, pair.link, pair.cipher, pair.heard) = (key, link, cipher, self.clock);
        } else {
            let pair = Pair { key, link, cipher, seen: [nonce].into(), heard: self.clock };
            self.peers.insert(peer, pair);
        }
        self.bound(link);
        true
    }

    /// Knows a peer before it said anything.
    pub(super) fn introduce(
        &mut self,
        peer: PeerId,
        key: PublicKey,
        link: LinkId,
        cipher: XChaCha20Poly1305,
    ) {
        self.peers.insert(peer, Pair { key, link, cipher, seen: VecDeque::new(), heard: 0 });
    }

    pub(super) fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// Forgets everybody whose link is not `known` any more.
    pub(super) fn retain_links(&mut self, known: impl Fn(LinkId) -> bool) {
        let links: BTreeSet<LinkId> = self.peers.values().map(|pair| pair.link).collect();
        let gone: BTreeSet<LinkId> = links.into_iter().filter(|link| !known(*link)).collect();
        self.peers.retain(|_, pair| !gone.contains(&pair.link));
    }

    fn bound(&mut self, link: LinkId) {
        let of_link = || self.peers.iter().filter(|(_, pair)| pair.link == link);
        if of_link().count() > PER_LINK
            && let Some(oldest) = of_link().min_by_key(|(_, pair)| pair.heard).map(|(peer, _)| *peer)
        {
            self.peers.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

/// Endpoints of one link: twice the seats it has in a room.
pub(super) const PER_LINK: usize = 128;

/// Remembered nonces of one endpoint. Only it can add one, so the bound is for a broken peer: of an honest one no more
/// are fresh.
pub(super) const REMEMBERED: usize = 512;
