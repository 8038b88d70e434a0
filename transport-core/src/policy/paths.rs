//! What carries the session: the link in use, and open links beside it.

use crate::time::{Duration, Instant};

use crate::ids::Generation;

use super::active::Active;

/// The links of a session, and the last one it was put on.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    active: Option<Active>,
    standby: Option<Standby>,
    reserve: Option<Reserve>,
    /// The last round trip that was measured on a link in use.
    rtt: Option<Duration>,
    /// Number and rung of the link the session was last put on. Switches only go above the number.
    adopted: Option<(Generation, usize)>,
}

/// An open primary beside a session that rests on something worse. The session moves to it after a dwell of health.
#[derive(Debug, Clone)]
pub(super) struct Standby {
    pub(super) generation: Generation,
    pub(super) rung: usize,
    /// Primaries whose attempts were cancelled for its sake.
    pub(super) rivals: Vec<usize>,
    pub(super) dwell: Duration,
    /// When it was opened.
    pub(super) since: Instant,
    /// When it will have been healthy for its dwell, if no bad sample comes.
    pub(super) healthy_at: Instant,
    /// When patience with it ends.
    pub(super) give_up_at: Instant,
}

/// An open fallback that is taken unless a primary connects in time.
#[derive(Debug, Clone)]
pub(super) struct Reserve {
    pub(super) generation: Generation,
    pub(super) rung: usize,
    pub(super) began: Instant,
    pub(super) until: Instant,
}

impl Paths {
    /// Puts the session on a link; returns the link before and the rung of the last one there was.
    pub(super) fn adopt(&mut self, link: Active) -> (Option<Active>, Option<usize>) {
        let before = self.adopted.replace((link.generation(), link.rung()));
        (self.active.replace(link), before.map(|(_, rung)| rung))
    }

    /// Takes the link in use away: it ended, or is not allowed.
    pub(super) fn leave(&mut self) -> Option<Active> {
        self.active.take()
    }

    pub(super) fn note_rtt(&mut self, rtt: Option<Duration>) {
        self.rtt = rtt.or(self.rtt);
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Opens a standby. There is room for one.
    pub(super) fn stand_by(&mut self, standby: Standby) {
        self.standby = Some(standby);
    }

    pub(super) fn take_standby(&mut self) -> Option<Standby> {
        self.standby.take()
    }

    /// A bad sample: the standby's dwell begins again.
    pub(super) fn restart_dwell(&mut self, now: Instant) {
        if let Some(standby) = &mut self.standby {
            standby.healthy_at = now + standby.dwell;
        }
    }

    pub(super) fn keep_in_reserve(&mut self, reserve: Reserve) {
        self.reserve = Some(reserve);
    }

    pub(super) fn take_reserve(&mut self) -> Option<Reserve> {
        self.reserve.take()
    }

    pub(super) fn extend_reserve(&mut self, until: Instant) {
        if let Some(reserve) = &mut self.reserve {
            reserve.until = until;
        }
    }

    pub(super) fn active(&self) -> Option<&Active> {
        self.active.as_ref()
    }

    pub(super) fn active_mut(&mut self) -> Option<&mut Active> {
        self.active.as_mut()
    }

    pub(super) fn standby(&self) -> Option<&Standby> {
        self.standby.as_ref()
    }

    pub(super) fn reserve(&self) -> Option<&Reserve> {
        self.reserve.as_ref()
    }

    /// Says whether the session was never on any path.
    pub(super) fn never_adopted(&self) -> bool {
        self.adopted.is_none()
    }

    /// Says whether a link may follow the one the session was last put on.
    pub(super) fn may_follow(&self, generation: Generation) -> bool {
        self.adopted.is_none_or(|(adopted, _)| generation > adopted)
    }

    pub(super) fn is_active(&self, generation: Generation) -> bool {
        self.active.as_ref().is_some_and(|link| link.generation() == generation)
    }

    pub(super) fn is_standby(&self, generation: Generation) -> bool {
        self.standby.as_ref().is_some_and(|standby| standby.generation == generation)
    }

    pub(super) fn is_reserve(&self, generation: Generation) -> bool {
        self.reserve.as_ref().is_some_and(|reserve| reserve.generation == generation)
    }
}
