//! The links of a session: which there are, what each allows, and whom it still lets in. Sans-IO.

use std::collections::{BTreeMap, VecDeque};

use transport_core::{
    PeerId,
    secure::{Access, LinkId, LinkSecret},
    signaling::ByeReason,
};

use super::links::{LinkInfo, LinkOptions, LinkState};
use crate::{link::JoinLink, rendezvous::ListedLink};

/// Every link that was ever made, as far as it is remembered.
#[derive(Debug, Default)]
pub(super) struct Book {
    links: BTreeMap<LinkId, Entry>,
    made: u64,
}

#[derive(Debug)]
struct Entry {
    link: JoinLink,
    options: LinkOptions,
    /// The order of making.
    number: u64,
    /// Unix seconds from which on nobody new comes in.
    expires_at: Option<u64>,
    /// How many have come by it.
    used: u32,
    /// Those who came, the newest last: they may come back after the link lets nobody new in.
    kept: VecDeque<PeerId>,
    revoked: bool,
}

impl Entry {
    fn state(&self, now: u64) -> LinkState {
        match () {
            () if self.revoked => LinkState::Revoked,
            () if self.options.uses.is_some_and(|uses| self.used >= uses) => LinkState::UsedUp,
            () if self.expires_at.is_some_and(|at| now >= at) => LinkState::Expired,
            () => LinkState::Open,
        }
    }

    /// Whether who came by it matters to anybody later.
    fn keeps(&self) -> bool {
        self.expires_at.is_some() || self.options.uses.is_some()
    }
}

impl Book {
    /// Adds a link, unless there are [`MAX_LINKS`]. One that was revoked makes room, the oldest first.
    pub(super) fn add(&mut self, link: JoinLink, options: LinkOptions) -> bool {
        if self.links.len() >= MAX_LINKS {
            let revoked = self.links.iter().filter(|(_, entry)| entry.revoked);
            let Some(oldest) = revoked.min_by_key(|(_, entry)| entry.number).map(|(id, _)| *id) else {
                return false;
            };
            self.links.remove(&oldest);
        }
        self.made += 1;
        let entry = Entry {
            expires_at: link.expires_at(),
            link,
            options,
            number: self.made,
            used: 0,
            kept: VecDeque::new(),
            revoked: false,
        };
        self.links.insert(entry.link.id(), entry);
        true
    }

    /// Takes a link back; says whether it was there and in force.
    pub(super) fn revoke(&mut self, id: LinkId) -> bool {
        let Some(entry) = self.links.get_mut(&id).filter(|entry| !entry.revoked) else { return false };
        entry.revoked = true;
        entry.kept.clear();
        true
    }

    /// Says why `peer` is not let in by this link, if it is not.
    pub(super) fn objection(&self, id: LinkId, peer: PeerId, now: u64) -> Option<ByeReason> {
        let Some(entry) = self.links.get(&id) else { return Some(ByeReason::LinkRevoked) };
        match entry.state(now) {
            LinkState::Revoked => Some(ByeReason::LinkRevoked),
            LinkState::Expired | LinkState::UsedUp if entry.kept.contains(&peer) => None,
            LinkState::Expired => Some(ByeReason::LinkExpired),
            LinkState::UsedUp => Some(ByeReason::LinkUsedUp),
            LinkState::Open => None,
        }
    }

    /// Counts somebody who came. Says whether others must be told.
    ///
    /// # Errors
    ///
    /// Why it is not let in after all.
    pub(super) fn came(&mut self, id: LinkId, peer: PeerId, now: u64) -> Result<bool, ByeReason> {
        if let Some(why) = self.objection(id, peer, now) {
            return Err(why);
        }
        let Some(entry) = self.links.get_mut(&id) else { return Err(ByeReason::LinkRevoked) };
        if entry.kept.contains(&peer) {
            return Ok(false);
        }
        entry.used = entry.used.saturating_add(1);
        if !entry.keeps() {
            return Ok(false);
        }
        entry.kept.push_back(peer);
        if entry.state(now) == LinkState::UsedUp {
            // Earlier than it would have: it was open until now.
            entry.expires_at = Some(now);
        }
        self.bound_kept();
        Ok(true)
    }

    /// Forgets the oldest of the link that most have come by.
    fn bound_kept(&mut self) {
        let in_force = || self.links.values().filter(|entry| !entry.revoked);
        if in_force().map(|entry| entry.kept.len()).sum::<usize>() > MAX_KEPT
            && let Some(fullest) = self.links.values_mut().max_by_key(|entry| entry.kept.len())
        {
            fullest.kept.pop_front();
        }
    }

    /// What the link allows; `None` for one that is not in force.
    pub(super) fn access(&self, id: LinkId) -> Option<Access> {
        self.links.get(&id).filter(|entry| !entry.revoked).map(|entry| entry.options.access)
    }

    /// How many links let somebody in, or let back in who came by them.
    pub(super) fn in_force(&self) -> usize {
        self.links.values().filter(|entry| !entry.revoked).count()
    }

    /// The secret of a link in force.
    pub(super) fn secret(&self, id: LinkId) -> Option<LinkSecret> {
        self.links.get(&id).filter(|entry| !entry.revoked).map(|entry| entry.link.secret().clone())
    }

    /// The secret of a link, in force or not: who holds one that was revoked is told so.
    pub(super) fn any_secret(&self, id: LinkId) -> Option<LinkSecret> {
        self.links.get(&id).map(|entry| entry.link.secret().clone())
    }

    pub(super) fn list(&self, now: u64) -> Vec<LinkInfo> {
        let mut entries: Vec<_> = self.links.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.number);
        let info = entries.into_iter().map(|(id, entry)| LinkInfo {
            id: *id,
            link: entry.link.clone(),
            access: entry.options.access,
            expires_at: entry.expires_at,
            uses: entry.options.uses,
            used: entry.used,
            state: entry.state(now),
        });
        info.collect()
    }

    /// The links in force, as whoever admits must know them.
    pub(super) fn listed(&self) -> Vec<ListedLink> {
        let in_force = self.links.iter().filter(|(_, entry)| !entry.revoked);
        let listed = in_force.map(|(id, entry)| ListedLink {
            id: *id,
            verifier: entry.link.secret().verifier(),
            access: entry.options.access,
            expires_at: entry.expires_at,
            kept: entry.kept.iter().copied().collect(),
        });
        listed.collect()
    }
}

/// Links of one session.
pub(super) const MAX_LINKS: usize = 64;
/// People that are remembered after their links let nobody new in.
const MAX_KEPT: usize = 1_024;

#[cfg(test)]
mod tests {
    use transport_core::secure::{Identity, JoinFragment};

    use super::*;
    use crate::link::parse_control_plane;

    fn link(seed: u8, expires_at: Option<u64>) -> JoinLink {
        let fragment = JoinFragment {
            host: Identity::from_seed(&[9; 32]).public(),
            secret: LinkSecret::from_bytes([seed; 16]),
            access: Access::Full,
            expires_at,
            certificate: None,
        };
        JoinLink::new(parse_control_plane("https://beach.example").unwrap(), fragment)
    }

    fn peers() -> [PeerId; 3] {
        [1, 2, 3].map(|n| PeerId::from_bytes([n; 16]))
    }

    #[test]
    fn an_expired_link_lets_in_who_came_before_and_nobody_else() {
        let (mut book, [a, b, _]) = (Book::default(), peers());
        let timed = link(1, Some(100));
        let id = timed.id();
        assert!(book.add(timed, LinkOptions::full()));
        assert_eq!(book.came(id, a, 99), Ok(true));
        assert_eq!(book.came(id, a, 99), Ok(false), "it came already");
        assert_eq!(book.objection(id, b, 99), None);
        assert_eq!(book.objection(id, b, 100), Some(ByeReason::LinkExpired));
        assert_eq!(book.came(id, b, 100), Err(ByeReason::LinkExpired));
        assert_eq!(book.objection(id, a, 100), None);
        assert_eq!(book.listed()[0].kept, [a]);
    }

    #[test]
    fn a_link_for_two_takes_two_keys_and_then_expires_at_once() {
        let (mut book, [a, b, c]) = (Book::default(), peers());
        let for_two = link(1, None);
        let id = for_two.id();
        book.add(for_two, LinkOptions::read_only().for_uses(2));
        for peer in [a, a, b, a] {
            assert_eq!(book.objection(id, peer, 7), None);
            assert!(book.came(id, peer, 7).is_ok());
        }
        assert_eq!(book.objection(id, c, 7), Some(ByeReason::LinkUsedUp));
        let listed = &book.listed()[0];
        assert_eq!((listed.expires_at, listed.access), (Some(7), Access::ReadOnly));
        assert_eq!(listed.kept, [a, b]);
        assert_eq!(book.list(7)[0].state, LinkState::UsedUp);
    }

    #[test]
    fn a_revoked_link_is_out_of_force_at_once_and_its_holder_can_still_be_told() {
        let (mut book, [a, ..]) = (Book::default(), peers());
        let (one, other) = (link(1, None), link(2, None));
        let ids = [one.id(), other.id()];
        book.add(one, LinkOptions::full());
        book.add(other, LinkOptions::full());
        assert_eq!(
            (book.revoke(ids[0]), book.revoke(ids[0]), book.revoke(LinkId([0; 8]))),
            (true, false, false)
        );
        assert_eq!(book.objection(ids[0], a, 0), Some(ByeReason::LinkRevoked));
        assert_eq!((book.access(ids[0]), book.access(ids[1])), (None, Some(Access::Full)));
        assert!(book.secret(ids[0]).is_none() && book.any_secret(ids[0]).is_some());
        assert_eq!(book.listed().iter().map(|listed| listed.id).collect::<Vec<_>>(), [ids[1]]);
    }

    #[test]
    fn a_link_without_an_end_counts_and_keeps_nobody() {
        let (mut book, [a, b, _]) = (Book::default(), peers());
        let endless = link(1, None);
        book.add(endless.clone(), LinkOptions::full());
        assert_eq!([a, b, a].map(|peer| book.came(endless.id(), peer, 5)), [Ok(false); 3]);
        let info = &book.list(5)[0];
        assert_eq!((info.used, info.uses, info.expires_at, info.state), (3, None, None, LinkState::Open));
        assert!(book.listed()[0].kept.is_empty());
    }

    #[test]
    fn a_link_that_is_used_up_ends_before_it_would_expire() {
        let (mut book, [a, ..]) = (Book::default(), peers());
        let once = link(1, Some(50));
        book.add(once.clone(), LinkOptions::full().for_uses(1));
        assert_eq!(book.came(once.id(), a, 7), Ok(true));
        assert_eq!(book.listed()[0].expires_at, Some(7));
    }

    #[test]
    fn so_many_people_are_kept_and_the_link_with_most_of_them_forgets_its_oldest() {
        let mut book = Book::default();
        let (many, few, gone) = (link(1, Some(100)), link(2, Some(100)), link(3, Some(100)));
        for each in [&many, &few, &gone] {
            book.add(each.clone(), LinkOptions::full());
        }
        let peer = |n: u32| PeerId::from_bytes(u128::from(n).to_be_bytes());
        for n in 0..10 {
            assert_eq!(book.came(gone.id(), peer(n), 1), Ok(true));
        }
        book.revoke(gone.id());
        (0..24).for_each(|n| assert_eq!(book.came(few.id(), peer(n), 1), Ok(true)));
        (0..1_000).for_each(|n| assert_eq!(book.came(many.id(), peer(n), 1), Ok(true)));
        let kept = |book: &Book| {
            let of = |id| book.listed().into_iter().find(|listed| listed.id == id).map(|listed| listed.kept);
            (of(few.id()).unwrap_or_default(), of(many.id()).unwrap_or_default())
        };
        assert_eq!((kept(&book).0.len(), kept(&book).1.len()), (24, 1_000));
        assert_eq!(book.came(few.id(), peer(24), 1), Ok(true));
        let (of_few, of_many) = kept(&book);
        assert_eq!((of_few.len(), of_many.len(), of_many[0]), (25, 999, peer(1)));
    }

    #[test]
    fn links_are_listed_as_they_were_made_and_counted_while_in_force() {
        let mut book = Book::default();
        let made: Vec<_> = (0..8).map(|seed| link(seed, None)).collect();
        made.iter().for_each(|each| assert!(book.add(each.clone(), LinkOptions::full())));
        let ids: Vec<_> = made.iter().map(JoinLink::id).collect();
        assert_eq!(book.list(0).iter().map(|info| info.id).collect::<Vec<_>>(), ids);
        assert!(!ids.is_sorted(), "made in another order than their names have");
        assert_eq!(book.in_force(), 8);
        book.revoke(ids[2]);
        assert_eq!((book.in_force(), book.list(0).len()), (7, 8));
        assert_eq!(book.secret(ids[0]).as_ref(), Some(made[0].secret()));
    }

    #[test]
    fn there_are_so_many_links_and_a_revoked_one_makes_room() {
        let mut book = Book::default();
        for seed in 0..64 {
            assert!(book.add(link(seed, None), LinkOptions::full()));
        }
        assert!(!book.add(link(64, None), LinkOptions::full()));
        // The oldest of those that were revoked goes, and nobody else.
        for seed in [9, 5, 40] {
            book.revoke(link(seed, None).id());
        }
        assert!(book.add(link(64, None), LinkOptions::full()));
        let remembered = [5, 9, 40].map(|seed| book.any_secret(link(seed, None).id()).is_some());
        assert_eq!((remembered, book.list(0).len()), ([false, true, true], 64));
    }
}
