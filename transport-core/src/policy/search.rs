//! One search for a path: what it is for, and what it found out about the network.

use crate::time::Instant;

use super::Reason;

/// One search. It ends when a path is in use.
#[derive(Debug, Clone)]
pub(super) struct Search {
    purpose: Purpose,
    began: Instant,
    why: Reason,
    silence: Silence,
    fallback_failed: bool,
    urgent: bool,
    /// When a dial that drew no answer counts as failed, where both sides say that the path is dead.
    unanswered_at: Option<Instant>,
    spared: Option<usize>,
}

/// What a search is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// No path yet: the long ladder.
    First,
    /// A path was lost, or cannot carry the session: the short ladder.
    Live,
    /// The path may have died unnoticed: a fresh one is raced, nothing is concluded.
    Verify,
}

/// Whether anything answers on the primaries. Only a first connect asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Judged at this time, unless something answers before.
    DueAt(Instant),
    /// Judged: nothing had answered.
    Judged,
    /// Never judged, or something answered in time.
    NotDue,
}

impl Search {
    /// Begins one. `silence_at` is when silence is judged, if it is.
    pub(super) fn new(now: Instant, purpose: Purpose, why: Reason, silence_at: Option<Instant>) -> Self {
        let silence = silence_at.map_or(Silence::NotDue, Silence::DueAt);
        Self {
            purpose,
            began: now,
            why,
            silence,
            fallback_failed: false,
            urgent: false,
            unanswered_at: None,
            spared: None,
        }
    }

    /// Something answered: silence is no longer judged.
    pub(super) fn note_answer(&mut self) {
        if matches!(self.silence, Silence::DueAt(_)) {
            self.silence = Silence::NotDue;
        }
    }

    /// Judges silence when its time has come; says whether it was judged just now.
    pub(super) fn judge_silence(&mut self, now: Instant) -> bool {
        let due = self.silence_at().is_some_and(|at| at <= now);
        if due {
            self.silence = Silence::Judged;
        }
        due
    }

    /// The fallback was dialled and not reached, so the network itself may have been down.
    pub(super) fn note_fallback_failed(&mut self) {
        self.fallback_failed = true;
    }

    /// Dials everything allowed at once from here on: no head start for the fallback.
    pub(super) fn hurry(&mut self) {
        self.urgent = true;
    }

    /// Both sides say that the path is dead: silent dials count as failed from here.
    pub(super) fn count_unanswered_at(&mut self, at: Instant) {
        self.unanswered_at = Some(at);
    }

    pub(super) fn unanswered_at(&self) -> Option<Instant> {
        self.unanswered_at
    }

    /// Leaves a rung out whose live link is too poor: dialling it again would not help.
    pub(super) fn spare(&mut self, rung: usize) {
        self.spared = Some(rung);
    }

    /// Dials every rung again; returns the one that was left out.
    pub(super) fn spare_none(&mut self) -> Option<usize> {
        self.spared.take()
    }

    /// The path in doubt is gone: the search is for another one.
    pub(super) fn note_path_lost(&mut self) {
        self.purpose = Purpose::Live;
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Returns why its dials are made.
    pub(super) fn why(&self) -> Reason {
        self.why
    }

    pub(super) fn silence_at(&self) -> Option<Instant> {
        match self.silence {
            Silence::DueAt(at) => Some(at),
            Silence::Judged | Silence::NotDue => None,
        }
    }

    pub(super) fn was_silent(&self) -> bool {
        self.silence == Silence::Judged
    }

    pub(super) fn fallback_failed(&self) -> bool {
        self.fallback_failed
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    pub(super) fn spares(&self, rung: usize) -> bool {
        self.spared == Some(rung)
    }
}
