//! The rungs in their order, and what is known about each on this network.

use std::collections::BTreeMap;

use crate::{
    ids::TransportId,
    time::{Duration, Instant},
};

use super::{backoff::Backoff, gate::Override, quorum::FailureWindow};

/// One transport of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// The transport's registered name.
    pub transport: TransportId,
    /// Whether it carries sessions by right or as a last resort.
    pub class: Class,
    /// Whether a third machine carries the bytes.
    pub reach: Reach,
}

impl Rung {
    /// A primary from endpoint to endpoint.
    pub const fn direct(transport: TransportId) -> Self {
        Self { transport, class: Class::Primary, reach: Reach::Direct }
    }

    /// A primary through somebody's relay, such as TURN.
    pub const fn turn(transport: TransportId) -> Self {
        Self { transport, class: Class::Primary, reach: Reach::Relayed }
    }

    /// The last resort.
    pub const fn fallback(transport: TransportId) -> Self {
        Self { transport, class: Class::Fallback, reach: Reach::Relayed }
    }

    /// Says whether a primary may be dialled under an override.
    fn is_allowed_primary(&self, mode: Override) -> bool {
        self.class == Class::Primary
            && match mode {
                Override::Auto | Override::ForceFallback | Override::NoRelay => true,
                Override::DirectOnly => self.reach == Reach::Direct,
                Override::RelayOnly => false,
            }
    }
}

/// By right, or as a last resort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Sleeps until a quorum of failures stands on every primary and every gate is open.
    Fallback,
    /// Carries sessions by right.
    Primary,
}

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// From endpoint to endpoint.
    Direct,
    /// Through a third machine.
    Relayed,
}

/// Tells one network from another: a fingerprint the application chooses, such as a hash of the
/// default gateway. Only equality matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub u64);

/// A rung and what happened on it.
#[derive(Debug, Clone)]
pub(super) struct RungState {
    pub(super) rung: Rung,
    pub(super) failures: FailureWindow,
    /// Failures since the current run of bad luck began with a live link's death.
    pub(super) since_death: u32,
    pub(super) backoff: Backoff,
    /// Attempts begun in this campaign.
    pub(super) round: u32,
    /// When to dial next; `None` until a failure sets it.
    pub(super) next_dial: Option<Instant>,
    /// Proven impossible, or proven unable to sustain a session, until then.
    pub(super) condemned_until: Option<Instant>,
    /// How the last dial failed, as far as it decides what to say.
    pub(super) trouble: Trouble,
}

/// What a rung's last finished dial left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Misconfigured.
    Misused,
    /// Nothing yet, or the last dial succeeded.
    #[default]
    None,
    /// Somebody said no.
    Refused,
    /// Timed out, unreachable or impossible.
    Unreachable,
}

impl RungState {
    pub(super) fn new(rung: Rung) -> Self {
        Self {
            rung,
            failures: FailureWindow::default(),
            since_death: 0,
            backoff: Backoff::default(),
            round: 0,
            next_dial: None,
            condemned_until: None,
            trouble: Trouble::None,
        }
    }

    /// Forgets all evidence: the network is another one, or may be.
    pub(super) fn forget(&mut self) {
        self.failures.clear();
        self.since_death = 0;
        self.backoff.reset();
        self.condemned_until = None;
        self.trouble = Trouble::None;
    }

    pub(super) fn is_condemned(&self, now: Instant) -> bool {
        self.condemned_until.is_some_and(|until| now < until)
    }
}

/// The rungs, and the memory of networks.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    pub(super) rungs: Vec<RungState>,
    memory: BTreeMap<NetworkId, Memory>,
    keep: Duration,
}

#[derive(Debug, Clone)]
struct Memory {
    touched: Instant,
    winner: Option<usize>,
    failed: BTreeMap<usize, Instant>,
}

impl Ladder {
    pub(super) fn new(rungs: Vec<Rung>, keep: Duration) -> Self {
        Self { rungs: rungs.into_iter().map(RungState::new).collect(), memory: BTreeMap::new(), keep }
    }

    /// Lists the primaries to dial, best first: the last winner on this network, then the ladder's
    /// order, then those that failed here a short while ago. The class is a gate, so the memory
    /// never moves a fallback.
    pub(super) fn primaries(&self, mode: Override, network: NetworkId, now: Instant) -> Vec<usize> {
        let memory = self.memory.get(&network);
        let recent = |at: Instant| now.saturating_duration_since(at) < self.keep;
        let failed = |rung: &usize| memory.and_then(|m| m.failed.get(rung)).is_some_and(|at| recent(*at));
        let won = |rung: &usize| {
            memory.is_some_and(|memory| recent(memory.touched) && memory.winner == Some(*rung))
        };
        let mut order: Vec<usize> =
            (0..self.rungs.len()).filter(|rung| self.rungs[*rung].rung.is_allowed_primary(mode)).collect();
        order.sort_by_key(|rung| (failed(rung), !won(rung), *rung));
        order
    }

    /// Lists the fallbacks in the ladder's order, whatever the override.
    pub(super) fn fallbacks(&self) -> impl Iterator<Item = usize> {
        let is_fallback = |rung: &usize| self.rungs[*rung].rung.class == Class::Fallback;
        (0..self.rungs.len()).filter(is_fallback)
    }

    /// Remembers that a rung carried a session here.
    pub(super) fn remember_success(&mut self, network: NetworkId, rung: usize, now: Instant) {
        let memory = self.memory_of(network, now);
        memory.winner = Some(rung);
        memory.failed.remove(&rung);
    }

    /// Remembers that a rung reached its quorum of failures here.
    pub(super) fn remember_failure(&mut self, network: NetworkId, rung: usize, now: Instant) {
        self.memory_of(network, now).failed.insert(rung, now);
    }

    fn memory_of(&mut self, network: NetworkId, now: Instant) -> &mut Memory {
        if !self.memory.contains_key(&network)
            && self.memory.len() >= MOST_NETWORKS
            && let Some(oldest) = self.memory.iter().min_by_key(|(_, m)| m.touched).map(|(id, _)| *id)
        {
            self.memory.remove(&oldest);
        }
        let fresh = Memory { touched: now, winner: None, failed: BTreeMap::new() };
        let memory = self.memory.entry(network).or_insert(fresh);
        memory.touched = now;
        memory
    }
}

/// Networks remembered: home, work, phone, and a day of travelling.
const MOST_NETWORKS: usize = 16;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
mod tests {
    use super::*;

    const HOME: NetworkId = NetworkId(1);
    const KEEP: Duration = Duration::from_secs(600);

    #[test]
    fn the_last_winner_starts_first_and_a_fresh_loser_last_and_both_are_forgotten() {
        let (mut ladder, start) = (ladder(), Instant::now());
        assert_eq!(order(&ladder, start), [0, 1]);
        ladder.remember_success(HOME, 1, start);
        assert_eq!(order(&ladder, start), [1, 0]);
        ladder.remember_failure(HOME, 1, start);
        assert_eq!(order(&ladder, start + KEEP - Duration::from_nanos(1)), [0, 1]);
        assert_eq!(order(&ladder, start + KEEP), [0, 1]);
        assert_eq!(ladder.primaries(Override::Auto, NetworkId(2), start), [0, 1]);
    }

    #[test]
    fn a_winner_is_remembered_for_ten_minutes_and_not_a_moment_longer() {
        let (mut ladder, start) = (ladder(), Instant::now());
        ladder.remember_success(HOME, 1, start);
        assert_eq!(order(&ladder, start + KEEP - Duration::from_nanos(1)), [1, 0]);
        assert_eq!(order(&ladder, start + KEEP), [0, 1]);
        ladder.remember_failure(HOME, 0, start + KEEP);
        assert_eq!(order(&ladder, start + KEEP * 2 - Duration::from_nanos(1)), [1, 0]);
        assert_eq!(order(&ladder, start + KEEP * 2), [0, 1]);
    }

    #[test]
    fn a_rung_is_condemned_until_its_time_and_not_at_it() {
        let (mut state, start) = (ladder().rungs.remove(0), Instant::now());
        assert!(!state.is_condemned(start));
        state.condemned_until = Some(start + KEEP);
        assert!(state.is_condemned(start) && state.is_condemned(start + KEEP - Duration::from_nanos(1)));
        assert!(!state.is_condemned(start + KEEP) && !state.is_condemned(start + KEEP * 2));
    }

    #[test]
    fn memory_never_moves_a_rung_across_a_gate() {
        let (mut ladder, start) = (ladder(), Instant::now());
        ladder.remember_success(HOME, 2, start);
        assert_eq!(order(&ladder, start), [0, 1]);
        assert_eq!(ladder.fallbacks().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn overrides_choose_among_the_primaries() {
        let (ladder, start) = (ladder(), Instant::now());
        assert_eq!(ladder.primaries(Override::DirectOnly, HOME, start), [0]);
        assert_eq!(ladder.primaries(Override::NoRelay, HOME, start), [0, 1]);
        assert!(ladder.primaries(Override::RelayOnly, HOME, start).is_empty());
    }

    #[test]
    fn the_memory_of_networks_is_bounded() {
        let (mut ladder, start) = (ladder(), Instant::now());
        for network in 0..100 {
            ladder.remember_success(NetworkId(network), 1, start + Duration::from_secs(network));
        }
        assert_eq!(ladder.memory.len(), MOST_NETWORKS);
    }

    fn ladder() -> Ladder {
        let name = TransportId::from_static;
        let rungs = vec![
            Rung::direct(name("webrtc")),
            Rung::turn(name("webrtc-turn")),
            Rung::fallback(name("ws-fallback")),
        ];
        Ladder::new(rungs, KEEP)
    }

    fn order(ladder: &Ladder, now: Instant) -> Vec<usize> {
        ladder.primaries(Override::Auto, HOME, now)
    }
}
