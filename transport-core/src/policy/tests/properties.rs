//! Whatever happens in whatever order: no wake before the quorum, one reason per change, the same
//! decisions for the same trace, progress, and nothing left open.
//!
//! The oracle keeps its own books from events and actions alone; it shares no code with the policy.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::harness::*;
use crate::{
    error::ConnectErrorKind,
    ids::Generation,
    lane::Lane,
    policy::*,
    time::{Duration, Instant},
};

/// One thing the world does. Indices are taken modulo what is there.
#[derive(Debug, Clone)]
enum Op {
    Advance(u64),
    Fail(usize, ConnectErrorKind),
    Gate(usize, GateState),
    /// The peer asks, or answers, about the link in use.
    Heard(bool, u32, Testimony),
    Lose(LossCause),
    LoseStandby,
    Mode(Override),
    Network(u64),
    PeerLost,
    PeerPresent,
    Progress(usize),
    Sample(HealthSample),
    Sleep(u64),
    Succeed(usize),
    Timeout,
}

fn op() -> impl Strategy<Value = Op> {
    use ConnectErrorKind::{Incompatible, Misuse, Rejected, TimedOut, Unreachable};
    let kind = prop_oneof![
        4 => Just(TimedOut), 4 => Just(Unreachable), 1 => Just(Rejected), 1 => Just(Incompatible), 1 => Just(Misuse)
    ];
    let mode = prop_oneof![
        6 => Just(Override::Auto), 1 => Just(Override::DirectOnly),
        1 => Just(Override::NoRelay), 1 => Just(Override::RelayOnly)
    ];
    let sample = (0.0..6.0f64, 0.0..0.5f32, any::<bool>()).prop_map(|(age, loss, idle)| match idle {
        true => HealthSample::idle(Lane::Reliable),
        false => HealthSample { loss: Some(loss), ..stalled(age) },
    });
    let sample = (sample, 0..9u64, 0..9u64).prop_map(|(sample, sent, received)| HealthSample {
        sent,
        received,
        ..sample
    });
    let testimony = (0..9_000u32, 0..9_000u32, 0..9u64, 0..9u64)
        .prop_map(|(silent_ms, needs_ms, sent, received)| Testimony { silent_ms, needs_ms, sent, received });
    let state = prop_oneof![3 => Just(GateState::Open), 1 => Just(GateState::Closed)];
    let cause =
        prop_oneof![4 => Just(LossCause::Path), 1 => Just(LossCause::Drained), 1 => Just(LossCause::Refused)];
    prop_oneof![
        8 => Just(Op::Timeout),
        4 => (1..6_000u64).prop_map(Op::Advance),
        1 => (60_000..700_000u64).prop_map(Op::Advance),
        5 => (any::<usize>(), kind).prop_map(|(dial, kind)| Op::Fail(dial, kind)),
        4 => any::<usize>().prop_map(Op::Succeed),
        3 => any::<usize>().prop_map(Op::Progress),
        4 => sample.prop_map(Op::Sample),
        3 => (any::<bool>(), 1..4u32, testimony)
            .prop_map(|(asks, number, heard)| Op::Heard(asks, number, heard)),
        2 => cause.prop_map(Op::Lose),
        1 => Just(Op::LoseStandby),
        1 => Just(Op::PeerLost),
        1 => Just(Op::PeerPresent),
        1 => (0..5usize, state).prop_map(|(gate, state)| Op::Gate(gate, state)),
        1 => mode.prop_map(Op::Mode),
        1 => (0..3u64).prop_map(Op::Network),
        1 => (1_000..30_000_000u64).prop_map(Op::Sleep),
    ]
}

proptest! {
    #[test]
    fn every_trace_keeps_the_rules(
        seed in any::<u64>(),
        turn in any::<bool>(),
        ops in proptest::collection::vec(op(), 1..160),
    ) {
        let mut world = World::new(seed, turn);
        for op in &ops {
            world.apply(op);
        }
        world.finish();
        let again = ops.iter().fold(World::new(seed, turn), |mut world, op| { world.apply(op); world });
        prop_assert_eq!(&world.actions[..again.actions.len()], &again.actions[..], "the same trace decided twice");
    }
}

/// What the oracle knows of one dial.
#[derive(Debug)]
struct Attempt {
    rung: usize,
    began: Instant,
    /// It failed, or its link died; when.
    over: Option<Instant>,
    /// The failure says something about the network.
    evidence: bool,
}

struct World {
    policy: FallbackPolicy,
    rungs: Vec<Rung>,
    origin: Instant,
    now: Instant,
    actions: Vec<(Duration, Action)>,
    gates: BTreeSet<Gate>,
    mode: Override,
    network: u64,
    open: BTreeMap<Generation, usize>,
    attempts: BTreeMap<Generation, Attempt>,
    /// Connected, neither lost nor drained.
    links: BTreeMap<Generation, usize>,
    on: Option<Generation>,
    numbered: Generation,
    switched: Generation,
    standing: Standing,
    /// A quorum led to the fallback, and no primary took the session, nor did the network change.
    by_verdict: bool,
    /// When a live link was last lost or doubted, as far as the oracle can tell.
    lost: bool,
    condemned: BTreeSet<usize>,
    moves: Vec<Instant>,
    /// The rung of the last switch.
    last: Option<usize>,
    /// Every switch but the first.
    switches: Vec<Instant>,
}

impl World {
    fn new(seed: u64, turn: bool) -> Self {
        let names = if turn { vec![WEBRTC, TURN, RELAY] } else { vec![WEBRTC, RELAY] };
        let mut config = config(&names);
        config.seed = seed;
        let origin = ORIGIN.with(|origin| *origin);
        let mut world = Self {
            rungs: config.rungs.clone(),
            policy: FallbackPolicy::new(config).unwrap(),
            origin,
            now: origin,
            actions: Vec::new(),
            gates: BTreeSet::new(),
            mode: Override::Auto,
            network: 1,
            open: BTreeMap::new(),
            attempts: BTreeMap::new(),
            links: BTreeMap::new(),
            on: None,
            numbered: Generation(0),
            switched: Generation(0),
            standing: Standing::Idle,
            by_verdict: false,
            lost: false,
            condemned: BTreeSet::new(),
            moves: Vec::new(),
            last: None,
            switches: Vec::new(),
        };
        world.event(Event::Start { network: NetworkId(1) });
        world
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Advance(millis) => self.advance(Duration::from_millis(*millis)),
            Op::Fail(index, kind) => self.fail(*index, *kind),
            Op::Gate(index, state) => {
                let gate = Gate::ALL[*index];
                match state {
                    GateState::Closed => self.gates.insert(gate),
                    GateState::Open => self.gates.remove(&gate),
                };
                self.event(Event::GateChanged { gate, state: *state });
            }
            Op::Lose(cause) => {
                let Some(generation) = self.on.take() else { return };
                self.end_link(generation, true);
                self.event(Event::Lost { generation, cause: *cause });
            }
            Op::LoseStandby => {
                let other = self.links.keys().copied().find(|generation| Some(*generation) != self.on);
                let Some(generation) = other else { return };
                self.end_link(generation, true);
                self.event(Event::Lost { generation, cause: LossCause::Path });
            }
            Op::Heard(asks, number, heard) => {
                let Some(generation) = self.on else { return };
                let (number, heard) = (*number, *heard);
                self.event(match asks {
                    true => Event::PeerAsks { generation, number, heard },
                    false => Event::PeerAnswers { generation, number, heard },
                });
            }
            Op::Mode(mode) => {
                self.mode = *mode;
                // What is not allowed is left at once, which ends the link like a loss does.
                self.lost = true;
                self.by_verdict &= !matches!(mode, Override::DirectOnly | Override::NoRelay);
                self.event(Event::Override(*mode));
            }
            Op::Network(network) => {
                self.network = *network;
                // On the fallback the verdict stands until a primary takes over.
                self.by_verdict &= matches!(self.standing, Standing::Fallback { .. });
                self.lost = true;
                self.condemned.clear();
                self.event(Event::NetworkChanged { network: NetworkId(*network) });
            }
            Op::PeerLost => {
                let Some(generation) = self.on else { return };
                self.end_link(generation, false);
                self.event(Event::PeerReportsLost { generation });
            }
            Op::PeerPresent => self.event(Event::PeerPresent),
            Op::Progress(index) => {
                if let Some(generation) = self.pick(*index) {
                    self.event(Event::DialProgressed { generation });
                }
            }
            Op::Sample(sample) => {
                let Some(generation) = self.on else { return };
                // It may be the one that condemns the link; the oracle allows for it.
                self.lost = true;
                if sample.loss.is_some_and(|loss| loss >= 0.2) {
                    self.condemned.insert(self.links[&generation]);
                }
                self.event(Event::Health { generation, sample: *sample });
            }
            Op::Sleep(millis) => {
                self.now += Duration::from_millis(*millis);
                self.lost = true;
                self.event(Event::Woke);
            }
            Op::Succeed(index) => {
                let Some(generation) = self.pick(*index) else { return };
                let Some(rung) = self.open.remove(&generation) else { return };
                self.links.insert(generation, rung);
                self.event(Event::DialSucceeded { generation });
            }
            Op::Timeout => {
                let Some(at) = self.policy.poll_timeout() else { return };
                self.now = self.now.max(at);
                self.timeout();
            }
        }
    }

    /// Serves every timer on the way.
    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.policy.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.timeout();
        }
        self.now = end;
    }

    fn timeout(&mut self) {
        self.policy.handle_timeout(self.now);
        self.drain(true);
        let next = self.policy.poll_timeout();
        assert!(
            next.is_none_or(|at| at > self.now),
            "a timer without progress: {:?}",
            self.policy.snapshot(self.now)
        );
    }

    fn event(&mut self, event: Event) {
        self.policy.handle_event(self.now, event);
        self.drain(false);
    }

    fn fail(&mut self, index: usize, kind: ConnectErrorKind) {
        let Some(generation) = self.pick(index) else { return };
        let Some(rung) = self.open.remove(&generation) else { return };
        let attempt = self.attempts.get_mut(&generation).unwrap();
        attempt.over = Some(self.now);
        match kind {
            ConnectErrorKind::Incompatible => {
                self.condemned.insert(rung);
            }
            // Unless it was silent for so long before that it had been counted already.
            ConnectErrorKind::Misuse | ConnectErrorKind::Rejected => {
                attempt.evidence = self.now - attempt.began >= SILENT;
            }
            ConnectErrorKind::TimedOut | ConnectErrorKind::Unreachable | ConnectErrorKind::Unready => {}
        }
        self.event(Event::DialFailed { generation, kind });
    }

    /// A link is gone; `closed` when the driver need not be told to close it.
    fn end_link(&mut self, generation: Generation, closed: bool) {
        self.lost = true;
        if let Some(attempt) = self.attempts.get_mut(&generation) {
            attempt.over = Some(self.now);
        }
        if closed {
            self.links.remove(&generation);
        }
    }

    fn pick(&self, index: usize) -> Option<Generation> {
        let open: Vec<Generation> = self.open.keys().copied().collect();
        (!open.is_empty()).then(|| open[index % open.len()])
    }

    fn drain(&mut self, by_timer: bool) {
        while let Some(action) = self.policy.poll_action() {
            self.check(&action, by_timer);
            self.actions.push((self.now - self.origin, action));
        }
        assert_eq!(*self.policy.standing(), self.standing, "a change without an event");
    }

    fn check(&mut self, action: &Action, by_timer: bool) {
        match action {
            Action::Answer { generation, .. } | Action::Ask { generation, .. } => {
                assert_eq!(Some(*generation), self.on, "a word about a link that is not in use");
            }
            Action::CancelDial { generation } => {
                assert!(self.open.remove(generation).is_some(), "{generation} was not open");
                self.attempts.get_mut(generation).unwrap().over = Some(self.now);
            }
            Action::Dial { transport, generation, deadline, .. } => {
                assert!(*generation > self.numbered && *deadline > self.now);
                self.numbered = *generation;
                let rung = self.rungs.iter().position(|rung| rung.transport == *transport).unwrap();
                self.check_allowed(rung);
                if self.rungs[rung].class == Class::Fallback {
                    self.check_quorum();
                }
                self.open.insert(*generation, rung);
                let attempt = Attempt { rung, began: self.now, over: None, evidence: true };
                self.attempts.insert(*generation, attempt);
            }
            Action::Drain { generation } => {
                assert!(self.links.remove(generation).is_some(), "{generation} was not open");
                self.on.take_if(|on| on == generation);
            }
            Action::Emit(transition) => {
                assert_eq!(transition.from, self.standing);
                let held = transition.kind == TransitionKind::FallbackHeld;
                assert!(
                    transition.from != transition.to || held,
                    "an event without a change: {transition:?}"
                );
                self.standing = transition.to.clone();
            }
            Action::GiveUp { .. } => assert_eq!(self.standing, Standing::GaveUp),
            Action::PrefetchToken { .. } => {
                assert!(self.gates.is_empty() && self.mode == Override::Auto);
            }
            Action::Switch { generation, .. } => self.check_switch(*generation, by_timer),
        }
    }

    fn check_switch(&mut self, generation: Generation, by_timer: bool) {
        assert!(generation > self.switched, "generations only rise");
        if self.switched > Generation(0) {
            self.switches.push(self.now);
        }
        self.switched = generation;
        let rung = self.links[&generation];
        self.check_allowed(rung);
        let before = self.on.replace(generation).and_then(|old| self.links.get(&old).copied());
        let class = |rung: usize| self.rungs[rung].class;
        if by_timer
            && before.is_some_and(|old| class(old) == Class::Fallback)
            && class(rung) == Class::Primary
        {
            let recent = self.moves.iter().filter(|at| self.now - **at < Duration::from_secs(600)).count();
            assert!(recent <= 1, "a return the flap budget does not afford");
        }
        // Moves that follow a wake or another network are not counted, and the oracle cannot tell
        // them apart, so it only books those it is sure of.
        let last = self.last.replace(rung);
        let moved = last.is_some_and(|last| [last, rung].map(class).contains(&Class::Primary));
        if by_timer && moved {
            self.moves.push(self.now);
        }
        if class(rung) == Class::Primary {
            self.by_verdict = false;
            self.condemned.remove(&rung);
        } else {
            self.by_verdict = true;
        }
    }

    fn check_allowed(&self, rung: usize) {
        let rung = &self.rungs[rung];
        let allowed = match self.mode {
            Override::Auto => true,
            Override::DirectOnly => rung.reach == Reach::Direct,
            Override::NoRelay => rung.class == Class::Primary,
            Override::RelayOnly => rung.class == Class::Fallback,
        };
        assert!(allowed, "{rung:?} under {:?}", self.mode);
    }

    /// Every gate is open, and the evidence on every primary suffices.
    fn check_quorum(&self) {
        assert!(self.gates.is_empty(), "woken through a closed gate: {:?}", self.gates);
        if self.by_verdict || self.mode == Override::RelayOnly {
            return;
        }
        for (index, rung) in self.rungs.iter().enumerate() {
            if rung.class != Class::Primary || self.condemned.contains(&index) {
                continue;
            }
            let count = self
                .attempts
                .values()
                .filter(|attempt| attempt.rung == index && self.is_evidence(attempt))
                .count();
            let needed = if self.lost { 1 } else { 3 };
            assert!(count >= needed, "woken with {count} failures on {:?}", rung.transport);
        }
    }

    /// Failed inside the window, or open for so long without a result that it counts.
    fn is_evidence(&self, attempt: &Attempt) -> bool {
        let ten_minutes = Duration::from_secs(600);
        let flapping = self.switches.iter().filter(|at| self.now - **at < ten_minutes).count() >= 2;
        let window = if flapping { ten_minutes } else { Duration::from_secs(90) };
        match attempt.over {
            Some(at) => attempt.evidence && self.now - at < window,
            None => self.now - attempt.began >= SILENT,
        }
    }

    /// Ends the session: whatever was open must be let go of.
    fn finish(&mut self) {
        self.event(Event::Closed);
        assert!(self.open.is_empty(), "dials left open: {:?}", self.open);
        assert!(self.links.is_empty(), "links left open: {:?}", self.links);
        assert_eq!(self.policy.poll_timeout(), None);
    }
}

/// The youngest attempt of a first connect when silence is judged: 4 s less two staggers of 1.2 s and
/// 0.8 s between the rungs.
const SILENT: Duration = Duration::from_millis(800);

thread_local! {
    static ORIGIN: Instant = Instant::now();
}
