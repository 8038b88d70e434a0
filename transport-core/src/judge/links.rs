//! The open links of one side: which one carries the session, and when the others are closed.

use std::collections::BTreeMap;

use super::{Action, LINGER};
use crate::{
    close::CloseCode,
    ids::{Generation, TransportId},
    time::Instant,
};

/// Every link from the success of its dial to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    open: BTreeMap<Generation, Link>,
    /// The newest link on which both sides introduced themselves, while it lives.
    carrying: Option<Generation>,
}

#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) transport: TransportId,
    fate: Fate,
}

/// What becomes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was told to close.
    Closing,
    /// It was replaced, and is closed then unless the other side drains it before.
    RetiresAt(Instant),
    /// It carries the session, or may.
    Stays,
}

impl Link {
    /// Says whether the end of this link is no loss.
    pub(super) fn is_retired(&self) -> bool {
        self.fate != Fate::Stays
    }
}

impl Links {
    pub(super) fn opened(&mut self, generation: Generation, transport: TransportId) {
        self.open.insert(generation, Link { transport, fate: Fate::Stays });
    }

    /// Forgets a link that has ended.
    pub(super) fn ended(&mut self, generation: Generation) -> Option<Link> {
        self.carrying.take_if(|carrying| *carrying == generation);
        self.open.remove(&generation)
    }

    /// The session is on `generation`: older links retire.
    pub(super) fn attached(&mut self, now: Instant, generation: Generation) {
        self.carrying = self.carrying.max(Some(generation));
        self.retire(now, |of| of < generation);
    }

    /// A link that carried the session until a moment ago may finish what it carries.
    pub(super) fn retire_up_to(&mut self, now: Instant, generation: Generation) {
        self.retire(now, |of| of <= generation);
    }

    fn retire(&mut self, now: Instant, which: impl Fn(Generation) -> bool) {
        let stays = |(of, link): &(&Generation, &mut Link)| which(**of) && link.fate == Fate::Stays;
        for (_, link) in self.open.iter_mut().filter(stays) {
            link.fate = Fate::RetiresAt(now + LINGER);
        }
    }

    /// The peer sends nothing more on `generation`. It is closed once this side too sends on a newer one: its own
    /// last frames may still be inside.
    pub(super) fn drained(&mut self, generation: Generation) -> Option<Action> {
        if self.carrying > Some(generation) { self.close(generation, MOVED) } else { None }
    }

    /// Closes replaced links that the other side did not drain in time.
    pub(super) fn close_due(&mut self, now: Instant) -> Vec<Action> {
        let due = |link: &Link| matches!(link.fate, Fate::RetiresAt(at) if at <= now);
        let over: Vec<_> = self.open.iter().filter(|(_, link)| due(link)).map(|(of, _)| *of).collect();
        over.into_iter().filter_map(|of| self.close(of, MOVED)).collect()
    }

    pub(super) fn close_all(&mut self) -> Vec<Action> {
        let all: Vec<_> = self.open.keys().copied().collect();
        all.into_iter().filter_map(|of| self.close(of, "the session ended")).collect()
    }

    /// Closes a link, once.
    pub(super) fn close(&mut self, generation: Generation, detail: &'static str) -> Option<Action> {
        let link = self.open.get_mut(&generation).filter(|link| link.fate != Fate::Closing)?;
        link.fate = Fate::Closing;
        Some(Action::Close { generation, code: CloseCode::NORMAL, detail })
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.open.values().filter_map(|link| match link.fate {
            Fate::RetiresAt(at) => Some(at),
            Fate::Closing | Fate::Stays => None,
        });
        due.min()
    }

    pub(super) fn carrying(&self) -> Option<Generation> {
        self.carrying
    }

    pub(super) fn transport(&self, generation: Generation) -> Option<&TransportId> {
        self.open.get(&generation).map(|link| &link.transport)
    }

    /// Says whether a link is open that nobody replaced or closed.
    pub(super) fn stays(&self, generation: Generation) -> bool {
        self.open.get(&generation).is_some_and(|link| !link.is_retired())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

const MOVED: &str = "moved";

#[cfg(test)]
mod tests {
    use super::*;

    const WEBRTC: TransportId = TransportId::from_static("webrtc");

    #[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
    fn two() -> (Links, Instant) {
        let (mut links, now) = (Links::default(), Instant::now());
        links.opened(Generation(1), WEBRTC);
        links.attached(now, Generation(1));
        links.opened(Generation(2), WEBRTC);
        (links, now)
    }

    #[test]
    fn a_replaced_link_is_closed_when_it_is_drained_and_not_before_this_side_has_moved() {
        let (mut links, now) = two();
        assert_eq!(links.drained(Generation(1)), None);
        links.attached(now, Generation(2));
        assert!(links.drained(Generation(1)).is_some());
        assert_eq!(links.drained(Generation(1)), None, "once");
        assert!(links.ended(Generation(1)).is_some_and(|link| link.is_retired()));
    }

    #[test]
    fn a_replaced_link_that_nobody_drains_is_closed_after_two_seconds() {
        let (mut links, now) = two();
        links.attached(now, Generation(2));
        assert_eq!(links.next_due(), Some(now + LINGER));
        assert!(links.close_due(now + LINGER - crate::time::Duration::from_millis(1)).is_empty());
        assert_eq!(links.close_due(now + LINGER).len(), 1);
        assert_eq!(links.next_due(), None);
    }

    #[test]
    fn the_end_of_the_carrying_link_leaves_none() {
        let (mut links, _) = two();
        assert!(links.ended(Generation(1)).is_some_and(|link| !link.is_retired()));
        assert_eq!(links.carrying(), None);
        assert!(links.ended(Generation(1)).is_none());
    }
}
