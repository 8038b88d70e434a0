//! A policy on a hand-driven clock, with a network that answers dials by a script.

use std::collections::BTreeMap;

use crate::{
    error::ConnectErrorKind,
    ids::{Generation, TransportId},
    lane::Lane,
    policy::*,
    time::{Duration, Instant},
};

pub(super) const WEBRTC: TransportId = TransportId::from_static("webrtc");
pub(super) const TURN: TransportId = TransportId::from_static("webrtc-turn");
pub(super) const RELAY: TransportId = TransportId::from_static("ws-fallback");
pub(super) const HOME: NetworkId = NetworkId(1);
pub(super) const OFFICE: NetworkId = NetworkId(2);

/// What the network does with a dial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// Connects after so many seconds.
    Connects(f64),
    /// Draws an answer after the first time and connects after the second.
    Answers(f64, f64),
    /// Draws an answer, and nothing else.
    Teases(f64),
    /// Fails after so many seconds.
    Fails(f64, ConnectErrorKind),
    /// Nothing ever comes back.
    Silent,
}

pub(super) fn config(transports: &[TransportId]) -> PolicyConfig {
    let rung = |transport: &TransportId| match transport.as_str() {
        "ws-fallback" => Rung::fallback(RELAY),
        "webrtc-turn" => Rung::turn(TURN),
        _ => Rung::direct(transport.clone()),
    };
    let mut config = PolicyConfig::new(transports.iter().map(rung).collect());
    config.gates = Gates::all_open();
    config
}

#[derive(Debug)]
pub(super) struct Drive {
    pub(super) policy: FallbackPolicy,
    start: Instant,
    now: Instant,
    fates: BTreeMap<TransportId, Fate>,
    pending: Vec<(Instant, Event)>,
    pub(super) log: Vec<(f64, Action)>,
}

impl Drive {
    /// WebRTC and the relay, both healthy, all gates open.
    pub(super) fn new() -> Self {
        Self::with(config(&[WEBRTC, RELAY]))
    }

    pub(super) fn with(config: PolicyConfig) -> Self {
        let start = Instant::now();
        let fates =
            [(WEBRTC, Fate::Connects(0.5)), (TURN, Fate::Connects(0.6)), (RELAY, Fate::Connects(0.4))];
        Self {
            policy: FallbackPolicy::new(config).unwrap(),
            start,
            now: start,
            fates: fates.into(),
            pending: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn fate(&mut self, transport: TransportId, fate: Fate) -> &mut Self {
        self.fates.insert(transport, fate);
        self
    }

    pub(super) fn start(&mut self) -> &mut Self {
        self.event(Event::Start { network: HOME })
    }

    pub(super) fn event(&mut self, event: Event) -> &mut Self {
        self.policy.handle_event(self.now, event);
        self.drain();
        self
    }

    /// Lets time pass up to `seconds` after the start.
    pub(super) fn until(&mut self, seconds: f64) -> &mut Self {
        let end = self.start + Duration::from_secs_f64(seconds);
        loop {
            let timer = self.policy.poll_timeout();
            let event = self.pending.iter().map(|(at, _)| *at).min();
            let Some(next) = timer.into_iter().chain(event).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            if let Some(due) = self.pending.iter().position(|(at, _)| *at <= self.now) {
                let (_, event) = self.pending.remove(due);
                self.policy.handle_event(self.now, event);
            } else {
                self.policy.handle_timeout(self.now);
                assert!(
                    self.policy.poll_timeout().is_none_or(|at| at > self.now),
                    "a timer without progress"
                );
            }
            self.drain();
        }
        self.now = end;
        self
    }

    /// Lets the clock jump, as it does when a device sleeps.
    pub(super) fn jump(&mut self, seconds: f64) -> &mut Self {
        self.now += Duration::from_secs_f64(seconds);
        self.pending.clear();
        self
    }

    /// Feeds a sample of the current link twice a second up to `seconds`.
    pub(super) fn sampling(&mut self, seconds: f64, sample: impl Fn(f64) -> HealthSample) -> &mut Self {
        while self.seconds() + 0.5 <= seconds {
            self.until(self.seconds() + 0.5);
            let Some(path) = self.policy.snapshot(self.now).path else { continue };
            let event = Event::Health { generation: path.generation, sample: sample(self.seconds()) };
            self.event(event);
        }
        self
    }

    pub(super) fn lose(&mut self) -> &mut Self {
        let generation = self.generation();
        self.event(Event::Lost { generation, cause: LossCause::Path })
    }

    pub(super) fn gate(&mut self, gate: Gate, state: GateState) -> &mut Self {
        self.event(Event::GateChanged { gate, state })
    }

    pub(super) fn seconds(&self) -> f64 {
        (self.now - self.start).as_secs_f64()
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.policy.snapshot(self.now)
    }

    /// Moves within the flap window.
    pub(super) fn moves(&self) -> u32 {
        self.policy.returns.moves(self.now, &self.policy.config.restore)
    }

    /// When a rung is dialled next, if that is planned.
    pub(super) fn next_dial(&self, rung: usize) -> Option<Instant> {
        self.policy.ladder.rung(rung).next_dial()
    }

    /// The generation the session is on.
    pub(super) fn generation(&self) -> Generation {
        self.snapshot().path.expect("a path").generation
    }

    pub(super) fn on(&self) -> Option<TransportId> {
        match self.policy.standing() {
            Standing::Primary { transport, .. } | Standing::Fallback { transport, .. } => {
                Some(transport.clone())
            }
            _ => None,
        }
    }

    /// When each dial of a transport began, in seconds.
    pub(super) fn dials(&self, transport: &TransportId) -> Vec<f64> {
        let of = |action: &Action| matches!(action, Action::Dial { transport: t, .. } if t == transport);
        self.log.iter().filter(|(_, action)| of(action)).map(|(at, _)| *at).collect()
    }

    pub(super) fn switches(&self) -> Vec<f64> {
        let is = |action: &Action| matches!(action, Action::Switch { .. });
        self.log.iter().filter(|(_, action)| is(action)).map(|(at, _)| *at).collect()
    }

    pub(super) fn count(&self, which: impl Fn(&Action) -> bool) -> usize {
        self.log.iter().filter(|(_, action)| which(action)).count()
    }

    /// Every event so far, with its reason.
    pub(super) fn story(&self) -> Vec<(&'static str, Reason)> {
        self.log
            .iter()
            .filter_map(|(_, action)| match action {
                Action::Emit(transition) => Some((transition.kind.name(), transition.reason)),
                _ => None,
            })
            .collect()
    }

    fn drain(&mut self) {
        while let Some(action) = self.policy.poll_action() {
            match &action {
                Action::Dial { transport, generation, .. } => self.dial(transport.clone(), *generation),
                Action::CancelDial { generation } => {
                    self.pending.retain(|(_, event)| !concerns(event, *generation));
                }
                _ => {}
            }
            self.log.push((self.seconds(), action));
        }
    }

    fn dial(&mut self, transport: TransportId, generation: Generation) {
        let fate = self.fates.get(&transport).copied().unwrap_or(Fate::Silent);
        let mut later =
            |seconds: f64, event| self.pending.push((self.now + Duration::from_secs_f64(seconds), event));
        match fate {
            Fate::Answers(answer, connect) => {
                later(answer, Event::DialProgressed { generation });
                later(connect, Event::DialSucceeded { generation });
            }
            Fate::Connects(after) => later(after, Event::DialSucceeded { generation }),
            Fate::Fails(after, kind) => later(after, Event::DialFailed { generation, kind }),
            Fate::Silent => {}
            Fate::Teases(after) => later(after, Event::DialProgressed { generation }),
        }
    }
}

fn concerns(event: &Event, number: Generation) -> bool {
    match event {
        Event::DialFailed { generation, .. }
        | Event::DialProgressed { generation }
        | Event::DialSucceeded { generation } => *generation == number,
        _ => false,
    }
}

/// Data pending that old, and nothing heard since.
pub(super) fn stalled(age: f64) -> HealthSample {
    let age = Duration::from_secs_f64(age);
    HealthSample {
        pending_bytes: 100,
        under_way: 100,
        oldest_unacked: age,
        last_heard: age,
        demand: 100,
        ..HealthSample::idle(Lane::Reliable)
    }
}

/// Data flowing, with loss.
pub(super) fn flowing(loss: f32) -> HealthSample {
    HealthSample {
        pending_bytes: 10,
        demand: 900,
        goodput: 900,
        loss: Some(loss),
        ..HealthSample::idle(Lane::Reliable)
    }
}
