//! The flap budget: how often a session may move.

use std::collections::VecDeque;

use crate::time::Instant;

use super::restore_config::RestoreConfig;

/// The moves of a session, newest last.
#[derive(Debug, Clone, Default)]
pub(super) struct FlapBudget {
    moves: VecDeque<Instant>,
}

impl FlapBudget {
    /// Notes that the session moved from one path to another.
    pub(super) fn record(&mut self, now: Instant, config: &RestoreConfig) {
        self.moves.push_back(now);
        while self.moves.len() > config.flap_moves as usize {
            self.moves.pop_front();
        }
    }

    /// Counts the moves inside the window.
    pub(super) fn count(&self, now: Instant, config: &RestoreConfig) -> u32 {
        let inside = |at: &&Instant| now.saturating_duration_since(**at) < config.flap_window;
        self.moves.iter().filter(inside).count() as u32
    }

    /// Says whether there is room for so many moves more.
    pub(super) fn affords(&self, moves: u32, now: Instant, config: &RestoreConfig) -> bool {
        self.count(now, config) + moves <= config.flap_moves
    }

    /// Says whether only one move is left, so that the next loss must be the last for a while.
    pub(super) fn is_nearly_spent(&self, now: Instant, config: &RestoreConfig) -> bool {
        self.count(now, config) + 1 >= config.flap_moves
    }

    /// Returns when there is room for so many moves more, `now` if there is.
    pub(super) fn affordable_at(&self, moves: u32, now: Instant, config: &RestoreConfig) -> Instant {
        let excess = (self.count(now, config) + moves).saturating_sub(config.flap_moves);
        let inside = self.moves.iter().filter(|at| now.saturating_duration_since(**at) < config.flap_window);
        let last_in_the_way = inside.take(excess as usize).last();
        last_in_the_way.map_or(now, |at| *at + config.flap_window)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
mod tests {
    use crate::time::Duration;

    use super::*;

    #[test]
    fn one_move_in_the_window_still_affords_a_return_and_two_do_not() {
        let (config, start) = (RestoreConfig::default(), Instant::now());
        let mut flap = FlapBudget::default();
        flap.record(start, &config);
        assert!(flap.affords(2, start, &config));
        flap.record(start + Duration::from_secs(60), &config);
        assert!(!flap.affords(2, start + Duration::from_secs(60), &config));
        assert!(flap.is_nearly_spent(start + Duration::from_secs(60), &config));
    }

    #[test]
    fn room_comes_back_exactly_when_a_move_leaves_the_window() {
        let (config, start) = (RestoreConfig::default(), Instant::now());
        let mut flap = FlapBudget::default();
        for seconds in [0, 10, 20] {
            flap.record(start + Duration::from_secs(seconds), &config);
        }
        assert_eq!(flap.count(start + Duration::from_secs(30), &config), 3);
        let room = flap.affordable_at(2, start + Duration::from_secs(30), &config);
        assert_eq!(room, start + Duration::from_secs(610));
        assert!(!flap.affords(2, room - Duration::from_nanos(1), &config));
        assert!(flap.affords(2, room, &config));
        assert_eq!(flap.affordable_at(2, room, &config), room);
        // The first move has just left; the second is still in the way.
        assert_eq!(flap.affordable_at(2, start + Duration::from_secs(600), &config), room);
    }

    #[test]
    fn a_larger_budget_keeps_room_for_two_more_moves() {
        let (config, start) = (RestoreConfig { flap_moves: 6, ..RestoreConfig::default() }, Instant::now());
        let mut flap = FlapBudget::default();
        for moves in 1..=6 {
            flap.record(start, &config);
            assert_eq!(flap.affords(2, start, &config), moves <= 4, "{moves}");
            assert_eq!(flap.is_nearly_spent(start, &config), moves >= 5, "{moves}");
        }
    }
}
