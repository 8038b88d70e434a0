//! When a search begins, hurries and ends.

use crate::time::{Duration, Instant};

use super::{
    FallbackPolicy, Reason, Standing,
    search::{Purpose, Search},
};

impl FallbackPolicy {
    /// Begins a search. Dials that are open already take part in it.
    pub(super) fn begin_search(&mut self, now: Instant, purpose: Purpose, why: Reason) {
        self.drop_reserve();
        self.ladder.begin_search();
        let silence_at = (purpose == Purpose::First).then_some(now + self.config.dial.silence);
        self.search = Some(Search::new(now, purpose, why, silence_at));
        let primaries = self.primaries(now);
        let gaps = u32::try_from(primaries.len().saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        for (position, rung) in (0..).zip(primaries) {
            let after = match purpose {
                Purpose::First => self.config.dial.rung_stagger * position / gaps,
                // A rung that has its quorum already does not outrun one that has not.
                Purpose::Live if self.quorum_on(rung, now) => self.config.dial.fresh,
                Purpose::Live | Purpose::Verify => Duration::ZERO,
            };
            self.ladder.rung_mut(rung).plan(now + after);
        }
    }

    /// Searches again for what is missing: a first path, or one in place of the path that was lost.
    pub(super) fn search_anew(&mut self, now: Instant, why: Reason) -> Standing {
        let (purpose, standing) = if self.paths.never_adopted() {
            (Purpose::First, Standing::Connecting)
        } else {
            (Purpose::Live, Standing::Recovering)
        };
        self.begin_search(now, purpose, why);
        standing
    }

    /// Makes the running search dial everything allowed at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(search) = &mut self.search {
            search.hurry();
        }
        for rung in self.primaries(now) {
            if !self.dials.is_dialling(rung) {
                self.ladder.rung_mut(rung).plan(now);
            }
        }
    }

    /// The other side is in the place of signaling again. A held session dials at once, and so does one whose search
    /// has come to long waits. A dial that drew no
    /// answer gets a fresh one beside it, because what it said may have been lost. Evidence stays.
    pub(super) fn peer_present(&mut self, now: Instant) {
        let waits_long = self.is_searching() && self.backoff(now).cap > self.config.backoff.cap;
        if waits_long || matches!(self.status.standing(), Standing::Held { .. }) {
            self.ladder.end_waits(now);
        }
        if self.is_searching() {
            for rung in self.primaries(now) {
                let unanswered = self.dials.on(rung).all(|(_, dial)| dial.answered().is_none());
                if self.dials.is_dialling(rung) && unanswered {
                    self.ladder.rung_mut(rung).plan(now);
                }
            }
        }
    }

    /// Ends the search; open dials go on.
    pub(super) fn end_search(&mut self) {
        self.drop_reserve();
        self.search = None;
        self.ladder.end_search();
    }

    /// Data came back on a path that was in doubt: no need for another.
    pub(super) fn end_verification(&mut self) {
        if self.is_verifying() {
            let on_fallback = self.rests_on_fallback();
            self.end_search();
            if on_fallback {
                self.cancel_fallback_dials();
            } else {
                self.cancel_dials(|_| true);
            }
        }
    }

    /// The path in doubt is lost: the dials raced so far become the search for another.
    pub(super) fn confirm_loss(&mut self, now: Instant) {
        for rung in self.primaries(now) {
            let busy = self.dials.is_dialling(rung);
            let record = self.ladder.rung_mut(rung);
            if busy {
                record.unplan();
            } else {
                record.plan(now);
            }
        }
        if let Some(search) = &mut self.search {
            search.note_path_lost();
        }
    }

    pub(super) fn purpose(&self) -> Option<Purpose> {
        self.search.as_ref().map(Search::purpose)
    }

    /// Says whether a path is missing and looked for.
    pub(super) fn is_searching(&self) -> bool {
        matches!(self.purpose(), Some(Purpose::First | Purpose::Live))
    }

    /// Says whether a path in use is in doubt and a fresh one is raced.
    pub(super) fn is_verifying(&self) -> bool {
        self.purpose() == Some(Purpose::Verify)
    }
}
