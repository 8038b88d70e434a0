//! The two judges: what they are told, and how what they say is carried out.

use std::time::Duration;

use rand::Rng;
use transport_core::{
    ConnectErrorKind, Generation, TransportId,
    judge::{Action, Event},
    policy::{Gate, GateState, Gates},
};

use super::{
    super::dialing::{self, Outcome},
    Plan, RELAY, Session, TURN,
    links::Way,
};

impl Session {
    pub(super) fn tell(&mut self, event: Event) {
        self.leader.handle_event(self.origin + self.now, event);
        self.obey();
    }

    pub(super) fn tell_follower(&mut self, event: Event) {
        self.follower.handle_event(self.origin + self.now, event);
        self.obey_follower();
    }

    pub(super) fn obey(&mut self) {
        while let Some(action) = self.leader.poll_action() {
            match action {
                Action::Attach { generation } => {
                    self.current = Some(generation);
                    self.book.switched(self.now);
                    self.plan(self.now + self.weather.rtt, Plan::Attached(generation));
                }
                Action::CancelDial { generation } => {
                    self.dials.remove(&generation);
                }
                Action::Close { generation, .. } => {
                    self.links.remove(&generation);
                    self.current.take_if(|current| *current == generation);
                    self.plan(self.now, Plan::Closed(generation));
                }
                Action::Dial { transport, generation, .. } => self.dial(&transport, generation),
                Action::PrefetchToken { .. } => {
                    let minted = self.weather.access.at(self.now) && self.weather.minting.at(self.now);
                    self.plan(self.now + 3 * self.weather.rtt, Plan::TokenHere(minted));
                }
                Action::Say(message) => self.say(Plan::FollowerHears(message)),
                Action::Tell { transition, .. } => {
                    let mut book = std::mem::take(&mut self.book);
                    book.transition(self, &transition);
                    self.book = book;
                }
                // Nothing here can end a session, and there is nobody to read errors.
                _ => {}
            }
        }
    }

    /// The follower's dials are the other half of the leader's, and its links the other ends.
    pub(super) fn obey_follower(&mut self) {
        while let Some(action) = self.follower.poll_action() {
            if let Action::Say(message) = action {
                self.say(Plan::LeaderHears(message));
            }
        }
    }

    /// Signaling is TCP: a word gets through as soon as anything does.
    pub(super) fn say(&mut self, heard: Plan) {
        if let Some(online) = self.weather.online_from(self.now).filter(|at| *at < self.now + WORD) {
            self.plan(online + self.weather.rtt, heard);
        }
    }

    pub(super) fn dial(&mut self, transport: &TransportId, generation: Generation) {
        let (way, outcome) = if *transport == RELAY {
            let token = self.token_until.take().is_some_and(|until| self.now < until);
            (Way::Relay, dialing::relay(self.now, &self.weather, token, &mut self.rng))
        } else {
            let turn = *transport == TURN;
            let way = if turn { Way::Turn } else { Way::Direct };
            (way, dialing::webrtc(self.now, &self.weather, turn, &mut self.rng))
        };
        self.dials.insert(generation, way);
        let Outcome { answered, end } = outcome;
        if let Some(at) = answered {
            self.plan(at, Plan::Answered(generation));
        }
        match end {
            Some((at, Ok(()))) => self.plan(at, Plan::Connected(generation)),
            Some((at, Err(kind))) => self.plan(at, Plan::Failed(generation, kind)),
            None => {}
        }
    }

    /// The token service said no: the driver passes on why, and asks now and then whether it is over.
    pub(super) fn learn_of_pause(&mut self, kind: ConnectErrorKind) {
        if kind == ConnectErrorKind::Rejected {
            self.gates_open = false;
            self.tell(kill_switch(GateState::Closed));
            self.plan_resumption();
        }
    }

    pub(super) fn plan_resumption(&mut self) {
        let over = if self.weather.minting.at(self.now) {
            self.now
        } else {
            self.weather.minting.next_change(self.now).unwrap_or(self.length)
        };
        let heard = over + Duration::from_secs_f64(self.rng.random_range(0.0..30.0));
        self.plan(heard, Plan::MintingResumes);
    }
}

pub(super) fn kill_switch(state: GateState) -> Event {
    Event::GatesChanged(Gates::all_open().with(Gate::KillSwitch, state))
}

/// How long a word has to leave, as in the driver.
const WORD: Duration = Duration::from_secs(5);
