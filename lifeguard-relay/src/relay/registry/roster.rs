//! The peers of one session, in a slab, with addresses that are never confused.
//!
//! An address is `generation << 16 | slab index`, and the generation counts the session's joins: a frame
//! for a departed peer never reaches whoever took its slot.

use std::collections::VecDeque;

use beach_lifeguard_client::{PeerAddr, Role};
use slab::Slab;
use uuid::Uuid;

/// Which of the two wires a peer speaks. They never mix in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    V1,
    V2,
}

impl Wire {
    /// The protocol version, as a metric label.
    pub(crate) const fn version(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }
}

/// What the others know of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) peer_id: Uuid,
    pub(crate) role: Role,
    pub(crate) wire: Wire,
}

/// A change the others learn of. The role that goes with it is the reader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice<'a> {
    Joined(PeerAddr, &'a Card),
    Left(PeerAddr, &'a Card),
}

/// Why a peer cannot take a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinRefused {
    /// The session has as many peers as it may.
    Full,
    /// The host put it out of the session.
    Removed,
    /// The session speaks the other wire.
    WireMismatch,
}

/// The peers of one session.
#[derive(Debug)]
pub(crate) struct Roster<P> {
    slots: Slab<Slot<P>>,
    max_peers: usize,
    generation: u16,
    /// Who was put out and stays out, the oldest first.
    removed: VecDeque<Uuid>,
}

#[derive(Debug)]
struct Slot<P> {
    generation: u16,
    card: Card,
    handle: P,
}

pub(super) struct Member<P> {
    pub(super) address: PeerAddr,
    pub(super) handle: P,
    pub(super) superseded: Option<P>,
    pub(super) alone: bool,
}

impl<P> Roster<P> {
    /// An empty roster that `removed` stay out of, the oldest first.
    pub(super) fn new(max_peers: usize, removed: VecDeque<Uuid>) -> Self {
        // Index 65,535 is not given out, so that no address reads as "everyone".
        let max_peers = max_peers.min(usize::from(u16::MAX));
        Self { slots: Slab::new(), max_peers, generation: 0, removed }
    }

    pub(super) fn enter(
        &mut self,
        card: Card,
        handle: impl FnOnce(PeerAddr, &Self) -> P,
        mut tell: impl FnMut(&P, Role, Notice<'_>),
    ) -> Result<Member<P>, JoinRefused>
    where
        P: Clone,
    {
        if self.slots.iter().any(|(_, slot)| slot.card.wire != card.wire) {
            return Err(JoinRefused::WireMismatch);
        }
        if self.removed.contains(&card.peer_id) {
            return Err(JoinRefused::Removed);
        }
        let alone = self.slots.is_empty();
        let older = self.slots.iter().find(|(_, slot)| slot.card.peer_id == card.peer_id);
        let older = older.map(|(index, slot)| PeerAddr::new(slot.generation, index as u16));
        if older.is_none() && self.slots.len() >= self.max_peers {
            return Err(JoinRefused::Full);
        }
        let superseded = older.and_then(|address| self.remove(address, &mut tell));

        // Generation 0 is the relay's own address.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        let address = PeerAddr::new(self.generation, self.slots.vacant_key() as u16);
        for (_, slot) in &self.slots {
            tell(&slot.handle, slot.card.role, Notice::Joined(address, &card));
        }
        let handle = handle(address, self);
        self.slots.insert(Slot { generation: self.generation, card, handle: handle.clone() });
        Ok(Member { address, handle, superseded, alone })
    }

    /// Removes a peer; `false` when somebody else did before.
    pub(super) fn leave(&mut self, address: PeerAddr, mut tell: impl FnMut(&P, Role, Notice<'_>)) -> bool {
        self.remove(address, &mut tell).is_some()
    }

    /// Puts a viewer out for as long as the session lives, here or not; a host cannot be. Returns the handle it had.
    pub(super) fn evict(&mut self, peer_id: Uuid, mut tell: impl FnMut(&P, Role, Notice<'_>)) -> Option<P> {
        let found = self.iter().find(|(_, card, _)| card.peer_id == peer_id);
        let found = found.map(|(address, card, _)| (address, card.role));
        if found.is_some_and(|(_, role)| role == Role::Host) {
            return None;
        }
        if !self.removed.contains(&peer_id) {
            if self.removed.len() == MOST_REMOVED {
                self.removed.pop_front();
            }
            self.removed.push_back(peer_id);
        }
        found.and_then(|(address, _)| self.remove(address, &mut tell))
    }

    /// When nobody is here: who stays out, for whoever keeps it. Else `None`.
    pub(super) fn end(&mut self) -> Option<VecDeque<Uuid>> {
        self.is_empty().then(|| std::mem::take(&mut self.removed))
    }

    /// Finds the peer that has this address, and nobody who took its place.
    pub(crate) fn find(&self, address: PeerAddr) -> Option<(&Card, &P)> {
        let slot = self.slots.get(usize::from(address.slot()))?;
        (slot.generation == address.generation()).then_some((&slot.card, &slot.handle))
    }

    /// Lists the peers in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerAddr, &Card, &P)> {
        self.slots
            .iter()
            .map(|(index, slot)| (PeerAddr::new(slot.generation, index as u16), &slot.card, &slot.handle))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    fn remove(&mut self, address: PeerAddr, tell: &mut impl FnMut(&P, Role, Notice<'_>)) -> Option<P> {
        self.find(address)?;
        let slot = self.slots.remove(usize::from(address.slot()));
        for (_, other) in &self.slots {
            tell(&other.handle, other.card.role, Notice::Left(address, &slot.card));
        }
        Some(slot.handle)
    }
}

/// Peers of one session that stay out; the control plane remembers as many.
const MOST_REMOVED: usize = beach_lifeguard_client::session::MAX_REMOVED;
