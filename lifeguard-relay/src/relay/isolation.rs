//! Whether a node that does not reach the store is alone in that. Sans-IO.
//!
//! While the store is away for everybody nobody can give a session to another node, and living sessions go on. A node that
//! alone is cut off from it is taken for gone by all others after [`NODE_LIFE`]: they give its sessions away, to whoever asks
//! for a token next. It has to let them go then, or a session has two owners (`docs/adr/0048-a-node-that-is-cut-off.md`).

use std::time::Duration;

use tokio::time::Instant;

use crate::store::relays::NODE_LIFE;

/// What another node says when it is asked whether it reaches the store now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It does not either.
    Away,
    /// It does.
    Reaches,
    /// Nothing.
    Silent,
}

/// What this node knows of its own way to the store.
///
/// Tell it of each beat with [`beat`](Self::beat). When [`is_due`](Self::is_due) says so, ask the others and tell it what they
/// [`answered`](Self::answered).
#[derive(Debug, Default)]
pub(super) struct Isolation {
    /// Since when no beat arrived.
    away: Option<Instant>,
    asked: Option<Instant>,
    /// Rounds in a row that found this node to be alone.
    rounds: u32,
    is_cut_off: bool,
}

impl Isolation {
    /// A beat arrived or did not.
    pub(super) fn beat(&mut self, now: Instant, arrived: bool) {
        if arrived {
            *self = Self::default();
        } else {
            self.away.get_or_insert(now);
        }
    }

    /// Whether it is time to ask the others.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let away_long = self.away.is_some_and(|away| now - away >= NODE_LIFE);
        !self.is_cut_off && away_long && self.asked.is_none_or(|asked| now - asked >= BETWEEN)
    }

    /// What all others that are known answered. Returns whether this node has just found out that it is cut off.
    ///
    /// Whoever has nobody to ask cannot be told apart from a deployment whose store is away. Whoever knows of others and hears none of them
    /// is taken to be the one without a network.
    pub(super) fn answered(&mut self, now: Instant, answers: &[Answer]) -> bool {
        self.asked = Some(now);
        let says = |answer| answers.contains(&answer);
        let is_alone = says(Answer::Reaches) || (says(Answer::Silent) && !says(Answer::Away));
        self.rounds = if is_alone { self.rounds + 1 } else { 0 };
        self.is_cut_off = self.rounds >= ROUNDS;
        self.is_cut_off
    }

    /// Whether others have the store and this node has not.
    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }
}

/// Between two rounds of questions.
const BETWEEN: Duration = Duration::from_secs(2);
/// Rounds that must agree: after a failover of the store some nodes find it a second before others do.
const ROUNDS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks as often as it wants until `until`, and says when it found itself cut off.
    fn away(until: u64, answers: &[Answer]) -> Option<Duration> {
        let (start, mut isolation) = (Instant::now(), Isolation::default());
        for step in 0..=until * 10 {
            let now = start + Duration::from_millis(100 * step);
            isolation.beat(now, false);
            if isolation.is_due(now) && isolation.answered(now, answers) {
                return Some(now - start);
            }
        }
        None
    }

    #[test]
    fn a_node_that_alone_lost_the_store_knows_after_two_rounds() {
        let found = Some(NODE_LIFE + BETWEEN);
        assert_eq!(away(60, &[Answer::Reaches, Answer::Away]), found);
        assert_eq!(away(60, &[Answer::Reaches, Answer::Silent]), found);
        assert_eq!(away(60, &[Answer::Silent, Answer::Silent]), found);
    }

    #[test]
    fn a_store_that_is_away_for_others_too_and_a_node_without_others_go_on() {
        assert_eq!(away(60, &[Answer::Away, Answer::Silent]), None);
        assert_eq!(away(60, &[]), None);
    }

    #[test]
    fn one_round_is_not_enough_and_a_beat_ends_it() {
        let (start, mut isolation) = (Instant::now(), Isolation::default());
        isolation.beat(start, false);
        assert!(!isolation.is_due(start + NODE_LIFE - Duration::from_millis(1)));
        let now = start + NODE_LIFE;
        assert!(isolation.is_due(now) && !isolation.answered(now, &[Answer::Reaches]));
        assert!(!isolation.is_due(now + BETWEEN - Duration::from_millis(1)));
        assert!(!isolation.answered(now + BETWEEN, &[Answer::Away]));
        assert!(!isolation.answered(now + 2 * BETWEEN, &[Answer::Reaches]));
        isolation.beat(now + 2 * BETWEEN, true);
        isolation.beat(now + 3 * BETWEEN, false);
        assert!(!isolation.is_due(now + 3 * BETWEEN));
        assert!(!isolation.answered(now + 4 * BETWEEN, &[Answer::Reaches]));
        assert!(isolation.answered(now + 5 * BETWEEN, &[Answer::Reaches]) && isolation.is_cut_off());
    }
}
