//! Guests that said goodbye and may be back at once: a tab that is reloaded says goodbye too.

use std::collections::BTreeMap;

use transport_core::{
    PeerId,
    secure::{Access, LinkId},
};

use crate::runtime::{Duration, Instant};

/// What they were allowed, so that nobody is asked about them again. They hold no seat.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeMap<PeerId, Allowed>);

#[derive(Debug)]
struct Allowed {
    link: LinkId,
    access: Access,
    until: Instant,
}

impl Absent {
    /// Notes that a guest left. Beyond [`MOST`] the one that left first is forgotten.
    pub(super) fn left(&mut self, peer: PeerId, link: LinkId, access: Access, now: Instant) {
        self.0.retain(|_, allowed| now < allowed.until);
        if self.0.len() >= MOST
            && let Some(first) = self.0.iter().min_by_key(|(_, allowed)| allowed.until).map(|(peer, _)| *peer)
        {
            self.0.remove(&first);
        }
        self.0.insert(peer, Allowed { link, access, until: now + COMEBACK });
    }

    /// What one that comes by `link` was allowed a moment ago.
    pub(super) fn take(&mut self, peer: PeerId, link: LinkId, now: Instant) -> Option<Access> {
        let allowed = self.0.remove(&peer)?;
        (allowed.link == link && now < allowed.until).then_some(allowed.access)
    }

    pub(super) fn forget(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }
}

/// How soon one must be back that need not be approved again: a page is reloaded in a second, on a phone in ten.
const COMEBACK: Duration = Duration::from_secs(60);

/// As many as viewers at one time, at most.
const MOST: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::now;

    #[test]
    fn who_is_back_within_a_minute_by_the_same_link_has_what_it_had_once() {
        let (start, [one, other]) = (now(), [1, 2].map(|n| LinkId([n; 8])));
        let peer = |n: u32| PeerId::from_bytes(u128::from(n).to_be_bytes());
        let mut absent = Absent::default();
        let mut back = |link, after| {
            absent.left(peer(1), one, Access::ReadOnly, start);
            absent.take(peer(1), link, start + after)
        };
        assert_eq!(back(one, COMEBACK - Duration::from_millis(1)), Some(Access::ReadOnly));
        assert_eq!(back(one, COMEBACK), None);
        assert_eq!(back(other, Duration::ZERO), None);
        absent.left(peer(1), one, Access::Full, start);
        assert!(absent.take(peer(1), one, start).is_some() && absent.take(peer(1), one, start).is_none());
        absent.left(peer(1), one, Access::Full, start);
        absent.forget(peer(1));
        assert_eq!(absent.take(peer(1), one, start), None);
    }

    #[test]
    fn so_many_are_remembered_and_the_first_that_left_goes() {
        let (start, link) = (now(), LinkId([1; 8]));
        let peer = |n: u32| PeerId::from_bytes(u128::from(n).to_be_bytes());
        let mut absent = Absent::default();
        for n in 0..=MOST as u32 {
            absent.left(peer(n), link, Access::Full, start + Duration::from_millis(n.into()));
        }
        let back = [0, 1, MOST as u32].map(|n| absent.take(peer(n), link, start).is_some());
        assert_eq!(back, [false, true, true]);
    }
}
