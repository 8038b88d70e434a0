//! The following side's judgement: which dials to take part in, and when to tell the leader that the
//! path looks dead from here. Sans-IO.

use transport_core::{Generation, policy::Reason};

use crate::runtime::{Duration, Instant};

/// What the follower knows.
#[derive(Debug, Default)]
pub(super) struct Follower {
    newest: Generation,
    /// The reason the leader gave for its newest dials.
    reasons: Vec<(Generation, Reason)>,
    complained: Option<(Generation, Instant)>,
}

impl Follower {
    /// Takes the leader's announcement; says whether it is a new attempt.
    pub(super) fn announced(&mut self, generation: Generation, reason: &str) -> bool {
        if generation <= self.newest {
            return false;
        }
        self.newest = generation;
        if self.reasons.len() >= REMEMBERED {
            self.reasons.remove(0);
        }
        let known = Reason::ALL.iter().find(|known| known.code() == reason);
        self.reasons.push((generation, known.copied().unwrap_or(Reason::Retry)));
        true
    }

    /// Why the leader dialled this generation.
    pub(super) fn reason(&self, generation: Generation) -> Reason {
        let known = self.reasons.iter().find(|(of, _)| *of == generation);
        known.map_or(Reason::FirstConnect, |(_, reason)| *reason)
    }

    /// Why the session is on this generation: the reason of a dial, once it has led somewhere.
    pub(super) fn arrived(&self, generation: Generation) -> Reason {
        match self.reason(generation) {
            Reason::FirstConnect | Reason::Retry => Reason::PrimaryConnected,
            Reason::FreshDial => Reason::RedialSucceeded,
            Reason::ReturnProbe => Reason::PrimaryHealed,
            other => other,
        }
    }

    /// Says whether to tell the leader that `current` looks dead: data is pending and the oldest has
    /// waited too long. Repeated, because signaling may lose a message.
    pub(super) fn complains(&mut self, now: Instant, current: Generation, oldest_unacked: Duration) -> bool {
        let again = match self.complained {
            Some((generation, at)) if generation == current => now.saturating_duration_since(at) >= AGAIN,
            _ => true,
        };
        let complains = oldest_unacked >= DEAD && again;
        if complains {
            self.complained = Some((current, now));
        }
        complains
    }
}

/// Between the leader's own quorum (5.5 s at the latest) and a stall that heals by itself.
const DEAD: Duration = Duration::from_secs(4);

/// Pause between two complaints about the same link.
const AGAIN: Duration = Duration::from_secs(2);

/// Announcements whose reasons are kept: as many as dials run at one time.
const REMEMBERED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_new_once() {
        let mut follower = Follower::default();
        assert!(follower.announced(Generation(2), "first_connect"));
        assert!(!follower.announced(Generation(2), "first_connect"));
        assert!(!follower.announced(Generation(1), "first_connect"));
        assert!(follower.announced(Generation(3), "no such code"));
        assert_eq!(follower.reason(Generation(2)), Reason::FirstConnect);
        assert_eq!(follower.arrived(Generation(2)), Reason::PrimaryConnected);
    }

    #[test]
    fn it_complains_at_four_seconds_and_again_after_two() {
        let (mut follower, start) = (Follower::default(), crate::runtime::now());
        let at = |ms| start + Duration::from_millis(ms);
        let age = Duration::from_millis;
        assert!(!follower.complains(at(0), Generation(1), age(3_999)));
        assert!(follower.complains(at(0), Generation(1), age(4_000)));
        assert!(!follower.complains(at(1_999), Generation(1), age(6_000)));
        assert!(follower.complains(at(2_000), Generation(1), age(6_000)));
        assert!(follower.complains(at(2_001), Generation(2), age(4_000)), "another link");
        assert!(!follower.complains(at(9_000), Generation(2), Duration::ZERO), "idle is not dead");
    }
}
