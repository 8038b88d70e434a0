//! What the policy will do by itself, and when.

use crate::time::Instant;

use super::{FallbackPolicy, rung::Class, search::Search};

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
    /// Lists what will happen by itself. Each entry is gone or later once its time was handled.
    pub(super) fn next_steps(&self) -> impl Iterator<Item = (Instant, NextStep)> {
        let mut steps: Vec<_> = self.dials.timers().map(|at| (at, NextStep::DialDeadline)).collect();
        if let Some(search) = &self.search {
            steps.extend(search.silence_at().map(|at| (at, NextStep::SilenceJudged)));
            if let Some(patience) = self.config.give_up_after.filter(|_| self.paths.active().is_none()) {
                steps.push((search.began() + patience, NextStep::GiveUp));
            }
            steps.extend(self.paths.reserve().map(|reserve| (reserve.until, NextStep::DialDeadline)));
            self.add_next_dials(search, &mut steps);
        }
        if self.looks_for_return() {
            match self.paths.standby() {
                Some(standby) => steps.push((standby.healthy_at.min(standby.give_up_at), NextStep::Move)),
                None => steps.extend(self.returns.next_look().map(|at| (at, NextStep::Look))),
            }
        }
        steps.into_iter()
    }

    fn add_next_dials(&self, search: &Search, steps: &mut Vec<(Instant, NextStep)>) {
        for (rung, record) in self.ladder.iter() {
            let Some(at) = record.next_dial() else { continue };
            match record.class() {
                // A wish that cannot be granted at its time wakes nobody; the event that grants it will.
                Class::Fallback if !self.is_fallback_open() && self.permits_fallback(at) => {
                    steps.push((at, NextStep::FallbackRetry));
                }
                Class::Fallback => {}
                Class::Primary => {
                    if self.primaries(at).contains(&rung) && !search.spares(rung) && self.has_room(rung) {
                        steps.push((at, NextStep::Redial));
                    }
                }
            }
        }
    }
}
