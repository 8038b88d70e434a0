//! One session's members, those on other nodes too. No IO, no lock.

use std::{collections::HashMap, sync::Arc};

use beach_lifeguard_client::{
    CloseCode,
    membership::LinkId,
    reason::Reason,
    session::SessionDocument,
    signaling::{FromRoom, RoomPeer},
};
use uuid::Uuid;

use super::{
    LINK_MEMBERS, MEMBERS, NoEntry,
    member::{Entrant, Member},
};
use crate::{
    store::pool::{Entry, NodeId, Seat},
    telemetry::metrics::Metrics,
};

pub(super) struct Room {
    /// The newest that was heard of: whoever it does not let in is not here.
    pub(super) document: Arc<SessionDocument>,
    pub(super) members: HashMap<Uuid, Member>,
    /// Those who are here by way of other nodes.
    elsewhere: HashMap<Uuid, Seat>,
    /// How many ask the store who is elsewhere, and who left from there meanwhile: the store's answer may be older.
    asking: usize,
    left: Vec<Entry>,
}

impl Room {
    pub(super) fn new(document: Arc<SessionDocument>) -> Self {
        Self { document, members: HashMap::new(), elsewhere: HashMap::new(), asking: 0, left: Vec::new() }
    }

    /// Nobody is here, and nobody is about to be.
    pub(super) fn is_over(&self) -> bool {
        self.members.is_empty() && self.asking == 0
    }

    /// Takes over a newer document: whoever it does not let in goes at once.
    pub(super) fn renew(&mut self, document: &Arc<SessionDocument>, metrics: &Metrics) {
        if document.revision <= self.document.revision {
            return;
        }
        self.document = document.clone();
        for (&peer, member) in &self.members {
            if let Some(reason) = put_out(document, peer, member.seat.link) {
                metrics.signaling_shown_out(reason.label());
                member.end.order(CloseCode::BAD_TOKEN, reason.label());
            }
        }
    }

    /// Whether one more may sit here, as far as this node knows. The host's place is its own; viewers share the others,
    /// and those who came by one link leave most of them to those who came by others.
    pub(super) fn admits(&self, Entrant { peer, link, .. }: Entrant) -> Result<(), NoEntry> {
        if let Some(reason) = put_out(&self.document, peer, link) {
            return Err(NoEntry::Refused(reason));
        }
        if link.is_none() || self.members.contains_key(&peer) || self.elsewhere.contains_key(&peer) {
            return Ok(());
        }
        let seats = self.members.values().map(|member| &member.seat).chain(self.elsewhere.values());
        let viewers = seats.filter_map(|seat| seat.link);
        if viewers.clone().filter(|by| Some(*by) == link).count() >= LINK_MEMBERS {
            return Err(NoEntry::LinkFull);
        }
        if viewers.count() >= MEMBERS - 1 { Err(NoEntry::Full) } else { Ok(()) }
    }

    /// Lets somebody in. The newest entry of a peer wins: an older one is shown out, and this one is if it is older.
    /// Tells the others here, and returns who is here.
    pub(super) fn seat(&mut self, peer: Uuid, member: Member) -> Vec<RoomPeer> {
        let seat = member.seat;
        if self.newest(peer).is_some_and(|newest| newest > seat.number) {
            member.end.order(CloseCode::SUPERSEDED, "superseded");
        } else {
            self.elsewhere.remove(&peer);
            if let Some(older) = self.members.insert(peer, member) {
                older.end.order(CloseCode::SUPERSEDED, "superseded");
            }
            self.tell(peer, &FromRoom::PeerJoined(seat.peer(peer)));
        }
        let here = self.members.iter().map(|(&id, member)| (id, member.seat));
        let all = here.chain(self.elsewhere.iter().map(|(&id, seat)| (id, *seat)));
        all.filter(|(id, _)| *id != peer).map(|(id, seat)| seat.peer(id)).collect()
    }

    /// Somebody sits on another node.
    pub(super) fn met(&mut self, peer: Uuid, seat: Seat) {
        if self.newest(peer).is_some_and(|newest| newest >= seat.number) {
            return;
        }
        if let Some(older) = self.members.remove(&peer) {
            older.end.order(CloseCode::SUPERSEDED, "superseded");
        }
        self.elsewhere.insert(peer, seat);
        self.tell(peer, &FromRoom::PeerJoined(seat.peer(peer)));
    }

    fn newest(&self, peer: Uuid) -> Option<u64> {
        let here = self.members.get(&peer).map(|member| member.seat.number);
        here.max(self.elsewhere.get(&peer).map(|seat| seat.number))
    }

    /// Ends an entry on this node; says whether it was still the peer's.
    pub(super) fn leave(&mut self, peer: Uuid, entry: Entry) -> bool {
        let is_here = self.members.get(&peer).is_some_and(|member| member.seat.entry == entry);
        if is_here {
            self.members.remove(&peer);
            self.tell(peer, &FromRoom::PeerLeft { peer_id: peer });
        }
        is_here
    }

    /// An entry on another node ended.
    pub(super) fn left(&mut self, peer: Uuid, entry: Entry) {
        if self.asking > 0 {
            self.left.push(entry);
        }
        if self.elsewhere.get(&peer).is_some_and(|seat| seat.entry == entry) {
            self.elsewhere.remove(&peer);
            self.tell(peer, &FromRoom::PeerLeft { peer_id: peer });
        }
    }

    /// Another node is gone, and everybody on it.
    pub(super) fn gone(&mut self, node: NodeId) {
        let on_it = self.elsewhere.iter().filter(|(_, seat)| seat.entry.node == node);
        for (peer, entry) in on_it.map(|(&peer, seat)| (peer, seat.entry)).collect::<Vec<_>>() {
            self.left(peer, entry);
        }
    }

    /// The store is asked who is elsewhere. Each call is followed by one of [`asked`](Self::asked).
    pub(super) fn asks(&mut self) {
        self.asking += 1;
    }

    /// The store was asked. Takes over whom it knew, if it answered: whoever has a lower number than that beside them
    /// and is not among them has left.
    pub(super) fn asked(&mut self, own: NodeId, answer: Option<(u64, Vec<(Uuid, Seat)>)>) {
        if let Some((left_before, others)) = answer {
            let ended = |seat: &Seat| seat.entry.node == own || self.left.contains(&seat.entry);
            let others: HashMap<_, _> = others.into_iter().filter(|(_, seat)| !ended(seat)).collect();
            let unknown = |peer: &Uuid, seat: &Seat| seat.number < left_before && !others.contains_key(peer);
            let lost: Vec<_> = self
                .elsewhere
                .iter()
                .filter(|(peer, seat)| unknown(peer, seat))
                .map(|(p, s)| (*p, s.entry))
                .collect();
            for (peer, entry) in lost {
                self.left(peer, entry);
            }
            for (peer, seat) in others {
                self.met(peer, seat);
            }
        }
        self.asking -= 1;
        if self.asking == 0 {
            self.left.clear();
        }
    }

    /// The node a member sits on, if it is another one.
    pub(super) fn node_of(&self, peer: Uuid) -> Option<NodeId> {
        self.elsewhere.get(&peer).map(|seat| seat.entry.node)
    }

    fn tell(&self, about: Uuid, news: &FromRoom) {
        for (_, member) in self.members.iter().filter(|(id, _)| **id != about) {
            member.tell(news.clone());
        }
    }
}

/// Why the host does not have this peer here any more, if so.
fn put_out(document: &SessionDocument, peer: Uuid, link: Option<LinkId>) -> Option<Reason> {
    let link = link?;
    if document.has_removed(peer) {
        return Some(Reason::PeerRemoved);
    }
    document.link(link).is_none().then_some(Reason::LinkRevoked)
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
