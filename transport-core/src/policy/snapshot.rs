//! What `explain()` is made of, and the list of what comes next.

use crate::{
    ids::{Generation, TransportId},
    time::Instant,
};

use super::{
    FallbackPolicy,
    campaign::Purpose,
    event::Standing,
    gate::{Gate, Override},
    ladder::Class,
    reason::Reason,
};

/// Everything the policy knows, for a person: which path, since when, why, what was tried, what
/// happens next.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where the session stands.
    pub standing: Standing,
    /// Since when; `None` before the start.
    pub since: Option<Instant>,
    /// The reason of the last transition.
    pub reason: Reason,
    /// The link in use.
    pub path: Option<PathSnapshot>,
    /// A direct link that is open beside the fallback and must prove itself.
    pub standby: Option<PathSnapshot>,
    /// Why the session rests on the fallback although the direct path may work.
    pub resting: Option<Reason>,
    /// Every rung, in the ladder's order.
    pub rungs: Vec<RungSnapshot>,
    /// The gates that are closed, the one a session is held by first.
    pub closed_gates: Vec<Gate>,
    /// What the application allows.
    pub mode: Override,
    /// Moves within the flap window.
    pub moves: u32,
    /// Moves the flap window holds.
    pub most_moves: u32,
    /// The fallback's token.
    pub token: TokenState,
    /// What the policy will do by itself, and when.
    pub next: Option<(Instant, NextStep)>,
}

/// One open link.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// When it is dialled next, if that is planned.
    pub next_dial: Option<Instant>,
}

/// Whether the fallback's token was fetched ahead of need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TokenState {
    /// Not asked for.
    #[default]
    Absent,
    /// On its way.
    Asked,
    /// Not to be had when last asked for.
    Failed,
    /// At hand, or spent since.
    Ready,
}

/// What the policy does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NextStep {
    /// A dial's time is over.
    DialDeadline,
    /// The fallback is dialled again.
    FallbackRetry,
    /// The search is given up.
    GiveUp,
    /// The direct path is looked for.
    Look,
    /// The direct path has been healthy for long enough, or patience with it ends.
    Move,
    /// A primary is dialled.
    Redial,
    /// Silence is judged.
    SilenceJudged,
}

impl FallbackPolicy {
    /// Describes the session for [`Snapshot`]'s readers at `now`.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let name = |rung: usize| self.ladder.rungs[rung].rung.transport.clone();
        Snapshot {
            standing: self.standing.clone(),
            since: self.since,
            reason: self.reason,
            path: self.active.as_ref().map(|link| PathSnapshot {
                transport: name(link.rung),
                generation: link.generation,
                at: link.since,
                degraded: link.degraded,
            }),
            standby: self.standby.as_ref().map(|standby| PathSnapshot {
                transport: name(standby.rung),
                generation: standby.generation,
                at: standby.healthy_at,
                degraded: None,
            }),
            resting: self.resting,
            rungs: (0..self.ladder.rungs.len()).map(|rung| self.rung_snapshot(rung, now)).collect(),
            closed_gates: self.gates.closed().collect(),
            mode: self.mode,
            moves: self.flap.count(now, &self.config.restore),
            most_moves: self.config.restore.flap_moves,
            token: self.token,
            next: self.next_steps().min(),
        }
    }

    fn rung_snapshot(&self, rung: usize, now: Instant) -> RungSnapshot {
        let state = &self.ladder.rungs[rung];
        let open = self.dials.values().filter(|dial| dial.rung == rung).count();
        RungSnapshot {
            transport: state.rung.transport.clone(),
            class: state.rung.class,
            failures: state.failures.count(now, self.config.window),
            quorum: self.config.attempts,
            given_up: state.rung.class == Class::Primary && self.quorum_on(rung, now),
            open_dials: u32::try_from(open).unwrap_or(u32::MAX),
            next_dial: state.next_dial,
        }
    }

    /// Lists what will happen by itself. Each entry is gone or later once its time was handled.
    pub(super) fn next_steps(&self) -> impl Iterator<Item = (Instant, NextStep)> {
        let dials = self.dials.values().flat_map(|dial| [Some(dial.deadline), dial.soft]).flatten();
        let mut steps: Vec<(Instant, NextStep)> = dials.map(|at| (at, NextStep::DialDeadline)).collect();
        if let Some(campaign) = &self.campaign {
            steps.extend(campaign.silence_at.map(|at| (at, NextStep::SilenceJudged)));
            if let Some(patience) = self.config.give_up_after.filter(|_| self.active.is_none()) {
                steps.push((campaign.began + patience, NextStep::GiveUp));
            }
            steps.extend(self.reserve.as_ref().map(|reserve| (reserve.until, NextStep::DialDeadline)));
            self.next_dials(campaign.purpose, campaign.spared, &mut steps);
        }
        if self.looks_for_return() {
            match &self.standby {
                Some(standby) => steps.push((standby.healthy_at.min(standby.give_up_at), NextStep::Move)),
                None => steps.extend(self.returns.next.map(|at| (at, NextStep::Look))),
            }
        }
        steps.into_iter()
    }

    fn next_dials(&self, purpose: Purpose, spared: Option<usize>, steps: &mut Vec<(Instant, NextStep)>) {
        for (rung, state) in self.ladder.rungs.iter().enumerate() {
            let Some(at) = state.next_dial else { continue };
            match state.rung.class {
                // A wish that cannot be granted at its time wakes nobody; the event that grants it will.
                Class::Fallback if !self.fallback_is_open() && self.permits_fallback(at) => {
                    steps.push((at, NextStep::FallbackRetry));
                }
                Class::Fallback => {}
                Class::Primary => {
                    let allowed = self.ladder.primaries(self.mode, self.network, at).contains(&rung);
                    if purpose != Purpose::Forced && allowed && spared != Some(rung) && self.has_room(rung) {
                        steps.push((at, NextStep::Redial));
                    }
                }
            }
        }
    }
}
