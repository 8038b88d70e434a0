//! Whatever happens in whatever order: no panic, numbers that only rise, no dial that was not announced.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    connector::DialRole,
    error::ConnectErrorKind,
    lane::Lane,
    policy::{Gate, GateState, HealthSample, Testimony},
};

#[derive(Debug, Clone)]
enum Op {
    Advance(u64),
    Happens(Event),
}

fn generation() -> impl Strategy<Value = Generation> {
    prop_oneof![9 => 0..24u32, 1 => any::<u32>()].prop_map(Generation)
}

fn mode() -> impl Strategy<Value = Override> {
    use Override::{Auto, DirectOnly, NoRelay, RelayOnly};
    prop_oneof![3 => Just(Auto), 1 => Just(DirectOnly), 1 => Just(NoRelay), 1 => Just(RelayOnly)]
}

fn reason() -> impl Strategy<Value = Reason> {
    proptest::sample::select(Reason::ALL)
}

fn word() -> impl Strategy<Value = Message> {
    let transport = proptest::sample::select(vec![WEBRTC, TURN, RELAY, TransportId::from_static("memory")]);
    let bye = proptest::sample::select(vec![ByeReason::Closed, ByeReason::Forgotten, ByeReason::Unknown]);
    let heard = (0..9_000u32, 0..9_000u32, 0..9u64, 0..9u64)
        .prop_map(|(silent_ms, needs_ms, sent, received)| Testimony { silent_ms, needs_ms, sent, received });
    let told = (generation(), 0..4u32, heard, any::<bool>()).prop_map(|(generation, number, heard, asks)| {
        if asks {
            Message::Ask { generation, number, heard }
        } else {
            Message::Answer { generation, number, heard }
        }
    });
    prop_oneof![
        3 => told,
        4 => (transport, generation(), reason())
            .prop_map(|(transport, generation, reason)| Message::Dial { transport, generation, reason }),
        2 => (generation(), reason()).prop_map(|(generation, reason)| Message::Lost { generation, reason }),
        2 => (generation(), reason()).prop_map(|(generation, reason)| Message::Decline { generation, reason }),
        1 => mode().prop_map(|mode| Message::Mode { mode }),
        1 => bye.prop_map(|reason| Message::Bye { reason }),
        1 => Just(Message::Welcome { version: 1, transports: Vec::new(), life: None }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    use ConnectErrorKind::{Incompatible, Misuse, Rejected, TimedOut, Unreachable};
    let kind = proptest::sample::select(vec![Incompatible, Misuse, Rejected, TimedOut, Unreachable]);
    let closed = prop_oneof![
        Just(Closed::network("gone")),
        Just(Closed::peer(CloseCode::DRAIN, "")),
        Just(Closed::peer(CloseCode::PAUSED, "")),
        Just(Closed::local(CloseCode::NORMAL, ""))
    ];
    let network = || proptest::option::of((0..3u64).prop_map(NetworkId));
    let sample = (0..9_000u64, 0.0..0.5f32).prop_map(|(age, loss)| HealthSample {
        pending_bytes: 1,
        oldest_unacked: Duration::from_millis(age),
        last_heard: Duration::from_millis(age),
        loss: Some(loss),
        ..HealthSample::idle(Lane::Reliable)
    });
    let gates = proptest::option::of(proptest::sample::select(&Gate::ALL[..])).prop_map(|gate| {
        gate.map_or(Gates::all_open(), |gate| Gates::all_open().with(gate, GateState::Closed))
    });
    prop_oneof![
        4 => generation().prop_map(|generation| Event::DialSucceeded { generation }),
        4 => (generation(), kind).prop_map(|(generation, kind)| Event::DialFailed { generation, kind }),
        2 => generation().prop_map(|generation| Event::DialAnswered { generation }),
        4 => generation().prop_map(|generation| Event::Attached { generation, resent_segments: 1 }),
        2 => generation().prop_map(|generation| Event::Drained { generation }),
        3 => (generation(), closed).prop_map(|(generation, closed)| Event::LinkEnded { generation, closed }),
        3 => (generation(), sample).prop_map(|(generation, sample)| Event::Health { generation, sample }),
        6 => word().prop_map(Event::Heard),
        1 => gates.prop_map(Event::GatesChanged),
        1 => mode().prop_map(Event::ModeSet),
        1 => network().prop_map(|network| Event::NetworkChanged { network }),
        1 => network().prop_map(|network| Event::NetworkSeen { network }),
        1 => (0..30u64).prop_map(|seconds| Event::Clock { ahead: Duration::from_secs(seconds) }),
        2 => proptest::sample::select(vec![
            Event::PeerPresent, Event::Woke, Event::HandlesDropped,
        ]),
        1 => network().prop_map(|network| Event::Start { network }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (1..8_000u64).prop_map(Op::Advance),
        3 => event().prop_map(Op::Happens),
    ]
}

/// Keeps its own books of what a judge was told and asked for.
#[derive(Debug)]
struct World {
    drive: Drive,
    elapsed: u64,
    announced: BTreeSet<Generation>,
    newest: Generation,
    attached: Generation,
}

impl World {
    fn new(mut drive: Drive) -> Self {
        let actions = drive.begin();
        let mut world = Self {
            drive,
            elapsed: 0,
            announced: BTreeSet::new(),
            newest: Generation::default(),
            attached: Generation::default(),
        };
        world.check(&actions);
        world
    }

    fn apply(&mut self, op: &Op) {
        let actions = match op {
            Op::Advance(ms) => {
                self.elapsed += ms;
                self.drive.until(self.elapsed)
            }
            Op::Happens(event) => {
                if let Event::Heard(Message::Dial { generation, .. }) = event {
                    self.announced.insert(*generation);
                }
                self.drive.event(event.clone())
            }
        };
        self.check(&actions);
        let _ = self.drive.judge.view(self.drive.now);
    }

    fn check(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Say(Message::Dial { generation, .. }) => {
                    self.announced.insert(*generation);
                }
                Action::Dial { generation, role, .. } => {
                    assert!(self.announced.contains(generation), "{generation} was not announced");
                    assert!(*generation > self.newest || *role == DialRole::Answerer, "{generation} is old");
                    self.newest = self.newest.max(*generation);
                }
                Action::Attach { generation } => {
                    assert!(*generation > self.attached, "back from {} to {generation}", self.attached);
                    self.attached = *generation;
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn a_leader_keeps_the_rules(ops in proptest::collection::vec(op(), 1..160)) {
        let mut world = World::new(Drive::lead());
        ops.iter().for_each(|op| world.apply(op));
        world.drive.event(Event::Ended);
        prop_assert_eq!(world.drive.judge.poll_timeout(), None);
    }

    #[test]
    fn a_follower_keeps_the_rules(ops in proptest::collection::vec(op(), 1..160)) {
        let mut world = World::new(Drive::follow());
        ops.iter().for_each(|op| world.apply(op));
        world.drive.event(Event::Ended);
        prop_assert_eq!(world.drive.judge.poll_timeout(), None);
    }

    #[test]
    fn the_same_events_give_the_same_actions(ops in proptest::collection::vec(op(), 1..60), follows: bool) {
        let drive = if follows { Drive::follow() } else { Drive::lead() };
        let (start, now, judge) = (drive.start, drive.now, drive.judge.clone());
        let (mut one, mut other) = (World::new(drive), World::new(Drive { judge, start, now }));
        for op in &ops {
            one.apply(op);
            other.apply(op);
        }
        prop_assert_eq!(format!("{:?}", one.drive.judge), format!("{:?}", other.drive.judge));
    }
}
