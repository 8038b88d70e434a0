//! The decisions of the policy over many seeded traces, as one hash: a change that is meant to keep behaviour
//! keeps it to the bit.
//!
//! When a rule is changed on purpose, take the new hash from the failure of this test.

use std::{collections::BTreeMap, fmt::Write};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::harness::*;
use crate::{
    error::ConnectErrorKind,
    ids::{Generation, TransportId},
    lane::Lane,
    policy::*,
    time::{Duration, Instant},
};

#[test]
fn the_same_seeds_give_the_decisions_they_always_gave() {
    let mut hash = Sha256::new();
    for seed in 0..TRACES {
        hash.update(trace(seed));
    }
    let hash: String = hash.finalize().iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    assert_eq!(hash, EXPECTED);
}

const TRACES: u64 = 1_500;
const EVENTS: u32 = 150;
const EXPECTED: &str = "0d16015ce9fd5c255b91b0ca72682bb9";

/// Plays one random world and writes down everything that can be seen of the policy.
fn trace(seed: u64) -> String {
    let mut world = World::new(seed);
    for _ in 0..EVENTS {
        world.step();
    }
    world.policy.handle_event(world.now, Event::Closed);
    world.drain();
    world.seen
}

fn testimony() -> Testimony {
    Testimony { silent_ms: 4_000, needs_ms: 0, received: 0, sent: 9 }
}

struct World {
    policy: FallbackPolicy,
    rng: ChaCha8Rng,
    start: Instant,
    now: Instant,
    open: BTreeMap<Generation, TransportId>,
    links: Vec<Generation>,
    seen: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let ladders: [&[TransportId]; 4] =
            [&[WEBRTC, RELAY], &[WEBRTC, TURN, RELAY], &[RELAY], &[WEBRTC, TURN]];
        let weighted = [0, 0, 0, 1, 1, 1, 2, 3];
        let mut config = config(ladders[weighted[rng.random_range(0..weighted.len())]]);
        config.seed = seed;
        config.give_up_after = rng.random_bool(0.1).then_some(Duration::from_secs(120));
        let start = Instant::now();
        let policy = FallbackPolicy::new(config).unwrap();
        let mut world = Self {
            policy,
            rng,
            start,
            now: start,
            open: BTreeMap::new(),
            links: Vec::new(),
            seen: String::new(),
        };
        world.event(Event::Start { network: HOME });
        world
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..30 => {
                let Some(at) = self.policy.poll_timeout() else { return };
                self.now = self.now.max(at);
                self.timeout();
            }
            30..45 => {
                let until = self.now + Duration::from_millis(self.rng.random_range(1..4_000));
                while let Some(at) = self.policy.poll_timeout().filter(|at| *at <= until) {
                    self.now = self.now.max(at);
                    self.timeout();
                }
                self.now = until;
            }
            45..47 => self.now += Duration::from_secs(self.rng.random_range(1..700)),
            47..60 => self.fail(),
            60..70 => self.succeed(),
            70..75 => {
                let Some(generation) = self.pick() else { return };
                self.event(Event::DialProgressed { generation });
            }
            75..85 => self.sample(),
            85..100 => self.rare(),
            _ => {}
        }
    }

    fn fail(&mut self) {
        use ConnectErrorKind::{Incompatible, Misuse, Rejected, TimedOut, Unreachable};
        let Some(generation) = self.pick() else { return };
        self.open.remove(&generation);
        let kinds = [
            TimedOut,
            TimedOut,
            TimedOut,
            Unreachable,
            Unreachable,
            Unreachable,
            Rejected,
            Incompatible,
            Misuse,
        ];
        let kind = kinds[self.rng.random_range(0..kinds.len())];
        self.event(Event::DialFailed { generation, kind });
    }

    fn succeed(&mut self) {
        let Some(generation) = self.pick() else { return };
        self.open.remove(&generation);
        self.links.push(generation);
        self.event(Event::DialSucceeded { generation });
    }

    /// A burst of samples of one kind, so that quorums come about.
    fn sample(&mut self) {
        let Some(generation) = self.link() else { return };
        let age = self.rng.random_range(0.0..6.0);
        let sample = match self.rng.random_range(0..5) {
            0 => HealthSample::idle(Lane::Reliable),
            1 => stalled(age),
            2 => flowing(0.4),
            3 => HealthSample { lane: Lane::Datagram, ..stalled(age) },
            _ => flowing(0.0),
        };
        for _ in 0..self.rng.random_range(1..12) {
            self.now += Duration::from_millis(600);
            self.timeout();
            self.event(Event::Health { generation, sample });
        }
    }

    fn rare(&mut self) {
        let event = match self.rng.random_range(0..16) {
            0..4 => {
                let Some(generation) = self.link() else { return };
                let causes = [LossCause::Path, LossCause::Path, LossCause::Drained, LossCause::Refused];
                self.links.retain(|link| *link != generation);
                Event::Lost { generation, cause: causes[self.rng.random_range(0..4)] }
            }
            4..7 => {
                let Some(generation) = self.link() else { return };
                Event::PeerReportsLost { generation }
            }
            7..10 => {
                let state = if self.rng.random_bool(0.7) { GateState::Open } else { GateState::Closed };
                Event::GateChanged { gate: Gate::ALL[self.rng.random_range(0..5)], state }
            }
            10 => {
                let modes = [
                    Override::Auto,
                    Override::Auto,
                    Override::Auto,
                    Override::DirectOnly,
                    Override::NoRelay,
                    Override::RelayOnly,
                ];
                Event::Override(modes[self.rng.random_range(0..6)])
            }
            11 => Event::NetworkChanged { network: NetworkId(self.rng.random_range(0..3)) },
            12 => Event::Woke,
            13 => Event::PeerPresent,
            14 => {
                let Some(generation) = self.link() else { return };
                Event::PeerAsks { generation, number: 1, heard: testimony() }
            }
            _ => {
                let Some(generation) = self.link() else { return };
                Event::PeerAnswers { generation, number: 1, heard: testimony() }
            }
        };
        self.event(event);
    }

    fn pick(&mut self) -> Option<Generation> {
        let open: Vec<Generation> = self.open.keys().copied().collect();
        open.choose(&mut self.rng).copied()
    }

    /// Mostly the newest link, sometimes one that is gone.
    fn link(&mut self) -> Option<Generation> {
        if self.rng.random_bool(0.8) {
            self.links.last().copied()
        } else {
            self.links.choose(&mut self.rng).copied()
        }
    }

    fn event(&mut self, event: Event) {
        self.policy.handle_event(self.now, event);
        self.drain();
    }

    fn timeout(&mut self) {
        self.policy.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.policy.poll_action() {
            self.note(action);
        }
        let next = self.policy.snapshot(self.now);
        let due = next.next.map(|(at, step)| (at - self.start, step));
        let rungs: Vec<_> =
            next.rungs.iter().map(|rung| (rung.failures, rung.given_up, rung.open_dials)).collect();
        let path = next.path.map(|path| (path.generation, path.at - self.start, path.degraded));
        let standby = next.standby.map(|path| (path.generation, path.at - self.start));
        let _ = writeln!(
            self.seen,
            "{due:?} {rungs:?} {path:?} {standby:?} {:?} {:?} {:?} {:?} {:?}",
            next.standing,
            next.reason,
            (next.reason == Reason::FlapBudget).then_some(next.reason),
            self.policy.poll_timeout().map(|at| at - self.start),
            next.closed_gates,
        );
    }

    fn note(&mut self, action: Action) {
        let at = self.now - self.start;
        let _ = match action {
            Action::CancelDial { generation } => {
                self.open.remove(&generation);
                writeln!(self.seen, "{at:?} cancel {generation}")
            }
            Action::Dial { transport, generation, deadline, why } => {
                let line = writeln!(
                    self.seen,
                    "{at:?} dial {transport} {generation} {:?} {why:?}",
                    deadline - self.start
                );
                self.open.insert(generation, transport);
                line
            }
            Action::Drain { generation } => {
                self.links.retain(|link| *link != generation);
                writeln!(self.seen, "{at:?} drain {generation}")
            }
            Action::Emit(Transition { at, kind, reason, from, to }) => {
                writeln!(self.seen, "{:?} {kind} {reason:?} {from:?} {to:?}", at - self.start)
            }
            Action::GiveUp { why } => writeln!(self.seen, "{at:?} give up {why:?}"),
            Action::Answer { generation, .. } => writeln!(self.seen, "{at:?} answer {generation}"),
            Action::Ask { generation, .. } => writeln!(self.seen, "{at:?} ask {generation}"),
            Action::PrefetchToken { transport } => writeln!(self.seen, "{at:?} prefetch {transport}"),
            Action::Switch { generation, why } => writeln!(self.seen, "{at:?} switch {generation} {why:?}"),
        };
    }
}
