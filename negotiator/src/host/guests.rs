//! Who is at the door and who is inside. Sans-IO: it says whom to show out, and somebody else does.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{mpsc, watch};
use transport_core::{
    PeerId, Text,
    judge::Event,
    secure::{Access, LinkId},
};

use crate::{
    core::SessionCore,
    explain::Outlook,
    runtime::{AbortHandle, Duration, Instant},
};

/// Everybody who knocked and was not turned away.
#[derive(Debug, Default)]
pub(super) struct Guests {
    guests: BTreeMap<PeerId, Guest>,
    knocks: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Guest {
    /// The link it proved to hold: in each of its words, and in each handshake.
    pub(super) link: LinkId,
    /// The name it gave.
    pub(super) name: Option<Text>,
    /// What the host allows it in the place of what its link does.
    pub(super) allowed: Option<Access>,
    /// When it got as far as it is.
    pub(super) since: Instant,
    pub(super) stage: Stage,
    /// Tells it from another guest of the same key, and who knocked first.
    pub(super) number: u64,
    /// Which life of its key it is; 0 for one that has a single one.
    pub(super) life: u64,
    /// When that life knocked first.
    pub(super) born: Instant,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Somebody decides about it.
    Asked(Option<AbortHandle>),
    /// Let in, and not on a path yet.
    Arriving(Inside),
    /// Its session was handed out.
    Seated(Inside),
}

/// The session of a guest.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    pub(super) inbox: mpsc::Sender<Event>,
    pub(super) core: Arc<SessionCore>,
    pub(super) outlook: watch::Receiver<Outlook>,
}

impl Guest {
    pub(super) fn inside(&self) -> Option<&Inside> {
        match &self.stage {
            Stage::Asked(_) => None,
            Stage::Arriving(inside) | Stage::Seated(inside) => Some(inside),
        }
    }

    /// Whether it is too soon for a later life: nobody makes a host begin session after session.
    pub(super) fn is_new_born(&self, now: Instant) -> bool {
        now < self.born + SHORTEST_LIFE
    }

    pub(super) fn is_seated(&self) -> bool {
        matches!(self.stage, Stage::Seated(_))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Self::Asked(Some(decision)) = self {
            decision.abort();
        }
    }
}

impl Guests {
    pub(super) fn get(&self, peer: PeerId) -> Option<&Guest> {
        self.guests.get(&peer)
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Guest> {
        self.guests.get_mut(&peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Guest)> {
        self.guests.iter().map(|(peer, guest)| (*peer, guest))
    }

    pub(super) fn seated(&self) -> usize {
        self.guests.values().filter(|guest| guest.is_seated()).count()
    }

    /// Whether one more holder of `link` finds a seat.
    pub(super) fn has_seat(&self, link: LinkId, seats: usize, links: usize) -> bool {
        let share = share_of_a_link(seats, links);
        let of_link = self.guests.values().filter(|guest| guest.is_seated() && guest.link == link).count();
        self.seated() < seats && of_link < share
    }

    pub(super) fn take(&mut self, peer: PeerId) -> Option<Guest> {
        self.guests.remove(&peer)
    }

    /// Takes the guest of this number, if it is still the one.
    pub(super) fn take_if(&mut self, peer: PeerId, number: u64) -> Option<Guest> {
        let same = self.guests.get(&peer).is_some_and(|guest| guest.number == number);
        if same { self.take(peer) } else { None }
    }

    /// Everybody who came by this link.
    pub(super) fn of(&self, link: LinkId) -> Vec<PeerId> {
        self.iter().filter(|(_, guest)| guest.link == link).map(|(peer, _)| peer).collect()
    }

    /// Takes in somebody who knocks; returns its number, and whom that pushes out: the oldest unfinished one of the
    /// link that has most of them, so that nobody is kept out by holders of another link.
    pub(super) fn knock(
        &mut self,
        peer: PeerId,
        link: LinkId,
        name: Option<Text>,
        life: u64,
        now: Instant,
    ) -> (u64, Option<PeerId>) {
        let number = self.next_number();
        let stage = Stage::Asked(None);
        let guest = Guest { link, name, allowed: None, since: now, stage, number, life, born: now };
        self.guests.insert(peer, guest);
        (number, self.pushed_out(link))
    }

    /// Ends the session of a guest that came back in a later life, and keeps its place for the session to come. Returns
    /// its new number.
    pub(super) fn return_as(&mut self, peer: PeerId, life: u64, now: Instant) -> Option<u64> {
        let number = self.next_number();
        let guest = self.guests.get_mut(&peer)?;
        guest.inside()?.core.supersede();
        (guest.life, guest.number, guest.born) = (life, number, now);
        Some(number)
    }

    fn next_number(&mut self) -> u64 {
        self.knocks += 1;
        self.knocks
    }

    fn pushed_out(&self, newest: LinkId) -> Option<PeerId> {
        let mut unfinished: BTreeMap<LinkId, Vec<(u64, PeerId)>> = BTreeMap::new();
        for (peer, guest) in self.iter().filter(|(_, guest)| !guest.is_seated()) {
            unfinished.entry(guest.link).or_default().push((guest.number, peer));
        }
        let total: usize = unfinished.values().map(Vec::len).sum();
        let own = unfinished.get(&newest).map_or(0, Vec::len);
        let fullest = if own > KNOCKS_PER_LINK {
            unfinished.get(&newest)
        } else if total > KNOCKS {
            unfinished.values().max_by_key(|of_one| of_one.len())
        } else {
            None
        };
        fullest?.iter().min().map(|(_, peer)| *peer)
    }
}

/// Seats that one link's holders may have. With several links in force a quarter is out of any one's reach: its holders
/// cannot keep those of another out.
fn share_of_a_link(seats: usize, links: usize) -> usize {
    if links > 1 { seats - seats / 4 } else { seats }
}

/// A page needs longer to load. Knocks are repeated, so the next one is in time.
const SHORTEST_LIFE: Duration = Duration::from_millis(500);

/// Unfinished knocks by one link.
const KNOCKS_PER_LINK: usize = 16;
/// Unfinished knocks in all.
const KNOCKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::now;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 16])
    }

    fn knock(guests: &mut Guests, n: u8, link: u8) -> Option<PeerId> {
        let (_, out) = guests.knock(peer(n), LinkId([link; 8]), None, 0, now());
        if let Some(out) = out {
            guests.take(out);
        }
        out
    }

    #[test]
    fn a_lone_link_has_every_seat_and_one_of_several_three_quarters() {
        assert_eq!([1, 2, 9].map(|links| share_of_a_link(32, links)), [32, 24, 24]);
    }

    #[test]
    fn forty_unfinished_knocks_by_one_link_push_out_their_own_kind_alone() {
        let mut guests = Guests::default();
        assert_eq!(knock(&mut guests, 200, 2), None);
        for n in 0..40 {
            let out = knock(&mut guests, n, 1);
            assert_eq!(out, n.checked_sub(16).map(peer), "{n}");
        }
        assert_eq!((guests.of(LinkId([1; 8])).len(), guests.of(LinkId([2; 8])).len()), (16, 1));
    }

    #[test]
    fn beyond_the_places_of_all_links_the_fullest_gives_one_up() {
        let mut guests = Guests::default();
        for n in 0..64 {
            assert_eq!(knock(&mut guests, n, n % 4), None);
        }
        let out = knock(&mut guests, 100, 9).expect("somebody goes");
        assert!(out == peer(0) || out == peer(1) || out == peer(2) || out == peer(3), "{out}");
        assert!(guests.get(peer(100)).is_some());
    }
}
