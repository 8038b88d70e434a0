//! What `explain()` is made of: everything the policy knows, for a person.

use crate::{
    ids::{Generation, TransportId},
    time::Instant,
};

use super::{FallbackPolicy, NextStep, Reason, Standing, gate::Gate, record::Record, rung::Class};

/// Everything the policy knows, for a person: which path, since when, why, what was tried, what
/// happens next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Where the session stands.
    pub standing: Standing,
    /// The reason of the last transition. [`Reason::FlapBudget`] says that the session rests on the fallback
    /// although the direct path may work.
    pub reason: Reason,
    /// The link in use.
    pub path: Option<PathSnapshot>,
    /// A direct link that is open beside the fallback and must prove itself.
    pub standby: Option<PathSnapshot>,
    /// Every rung, in the ladder's order.
    pub rungs: Vec<RungSnapshot>,
    /// The gates that are closed, the one a session is held by first.
    pub closed_gates: Vec<Gate>,
    /// What the policy will do by itself, and when.
    pub next: Option<(Instant, NextStep)>,
}

/// One open link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathSnapshot {
    /// Its transport.
    pub transport: TransportId,
    /// Its number.
    pub generation: Generation,
    /// Since when it is in use, or when it may be at the earliest for one that stands by.
    pub at: Instant,
    /// Why it cannot carry the session, if it cannot.
    pub degraded: Option<Reason>,
}

/// One rung and its record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RungSnapshot {
    /// Its transport.
    pub transport: TransportId,
    /// Primary or fallback.
    pub class: Class,
    /// Failures inside the window.
    pub failures: u32,
    /// Failures that make a quorum.
    pub quorum: u32,
    /// A quorum stands on it. Always false for the fallback, which has none.
    pub given_up: bool,
    /// Dials that are open.
    pub open_dials: u32,
}

impl FallbackPolicy {
    /// Describes the session for [`Snapshot`]'s readers at `now`.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let name = |rung: usize| self.ladder.rung(rung).transport();
        Snapshot {
            standing: self.status.standing().clone(),
            reason: self.status.reason(),
            path: self.paths.active().map(|link| PathSnapshot {
                transport: name(link.rung()),
                generation: link.generation(),
                at: link.since(),
                degraded: link.degraded(),
            }),
            standby: self.paths.standby().map(|standby| PathSnapshot {
                transport: name(standby.rung),
                generation: standby.generation,
                at: standby.healthy_at,
                degraded: None,
            }),
            rungs: self.ladder.iter().map(|(rung, record)| self.rung_snapshot(rung, record, now)).collect(),
            closed_gates: self.permission.closed_gates().collect(),
            next: self.next_steps().min(),
        }
    }

    fn rung_snapshot(&self, rung: usize, record: &Record, now: Instant) -> RungSnapshot {
        RungSnapshot {
            transport: record.transport(),
            class: record.class(),
            failures: record.failures(now, self.config.window),
            quorum: self.config.attempts,
            given_up: record.class() == Class::Primary && self.quorum_on(rung, now),
            open_dials: u32::try_from(self.dials.on(rung).count()).unwrap_or(u32::MAX),
        }
    }
}
