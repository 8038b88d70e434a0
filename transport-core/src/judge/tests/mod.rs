//! Judges of both sides on a hand-driven clock.
#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

mod follow;
mod lead;
mod properties;
mod witness;

use crate::time::{Duration, Instant};

use super::*;
use crate::{
    ids::TransportId,
    policy::{Gates, NetworkId, Rung},
};

const WEBRTC: TransportId = TransportId::from_static("webrtc");
const TURN: TransportId = TransportId::from_static("webrtc-turn");
const RELAY: TransportId = TransportId::from_static("ws-fallback");

fn rungs() -> Vec<Rung> {
    vec![Rung::direct(WEBRTC), Rung::turn(TURN), Rung::fallback(RELAY)]
}

/// A judge, and the clock it is driven by.
#[derive(Debug)]
struct Drive {
    judge: Judge,
    start: Instant,
    now: Instant,
}

impl Drive {
    fn lead() -> Self {
        let mut config = PolicyConfig::new(vec![Rung::direct(WEBRTC), Rung::fallback(RELAY)]);
        config.gates = Gates::all_open();
        Self::of(Judge::lead(config).unwrap())
    }

    fn follow() -> Self {
        Self::of(Judge::follow(FollowConfig::new(rungs())))
    }

    fn of(judge: Judge) -> Self {
        let start = Instant::now();
        Self { judge, start, now: start }
    }

    fn begin(&mut self) -> Vec<Action> {
        self.event(Event::Start { network: Some(NetworkId(1)) })
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.judge.handle_event(self.now, event);
        self.actions()
    }

    fn hear(&mut self, message: Message) -> Vec<Action> {
        self.event(Event::Heard(message))
    }

    /// Lets time pass up to `ms` after the start.
    fn until(&mut self, ms: u64) -> Vec<Action> {
        let end = self.start + Duration::from_millis(ms);
        let mut actions = Vec::new();
        while let Some(at) = self.judge.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.judge.handle_timeout(self.now);
            assert!(self.judge.poll_timeout().is_none_or(|at| at > self.now), "a timer without progress");
            actions.extend(self.actions());
        }
        self.now = end;
        actions
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.judge.poll_action()).collect()
    }

    /// Dials have succeeded and both sides are on the new link.
    fn connect(&mut self, generation: u32) -> Vec<Action> {
        let generation = Generation(generation);
        let mut actions = self.event(Event::DialSucceeded { generation });
        actions.extend(self.event(Event::Attached { generation, resent_segments: 0 }));
        actions
    }

    fn lose(&mut self, generation: u32) -> Vec<Action> {
        let closed = Closed::network("gone");
        self.event(Event::LinkEnded { generation: Generation(generation), closed })
    }
}

fn dials(actions: &[Action]) -> Vec<u32> {
    let dial = |action: &Action| match action {
        Action::Dial { generation, .. } => Some(generation.0),
        _ => None,
    };
    actions.iter().filter_map(dial).collect()
}

fn said(actions: &[Action]) -> Vec<Message> {
    let word = |action: &Action| match action {
        Action::Say(message) => Some(message.clone()),
        _ => None,
    };
    actions.iter().filter_map(word).collect()
}

fn dial(transport: TransportId, generation: u32) -> Message {
    Message::Dial { transport, generation: Generation(generation), reason: Reason::FirstConnect }
}
