//! The leading side: translates between what happens and the failure policy.

use std::sync::Arc;

use transport_core::{
    CloseCode, Closed, ConnectErrorKind, DialRole, Generation, TransportId,
    policy::{
        Action, Class, ConfigError, Event, FallbackPolicy, Gate, GateState, Gates, HealthSample, LossCause,
        PolicyConfig, Standing, Transition,
    },
    signaling::Message,
};

use super::{Hands, network::here};
use crate::{
    config::{FallbackMode, NetworkConfig},
    endpoint::Ways,
    explain::{Next, Outlook, Tried},
    gate::FallbackGate,
    runtime::now,
};

/// The policy of one session, and what it does not know about its surroundings.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(super) policy: FallbackPolicy,
    mode: FallbackMode,
    gate: Option<Arc<dyn FallbackGate>>,
    gates: Gates,
    /// How often the other side said that it moved.
    peer_moves: u32,
    /// What the other side was told of dials that are under way.
    announced: Vec<(Generation, Message)>,
}

impl Lead {
    /// Sets the policy up for `ways`, and starts it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the setting that cannot work.
    pub(crate) fn new(config: &NetworkConfig, ways: &Ways) -> Result<Self, ConfigError> {
        let mut settings = PolicyConfig::new(ways.0.iter().map(|way| way.rung.clone()).collect());
        settings.gates = config.gate.as_ref().map_or(Gates::all_open(), |gate| gate.gates());
        settings.mode = config.mode.into();
        // Sessions must not move in step.
        settings.seed = rand::random();
        if let Some(tune) = config.tune_policy {
            tune(&mut settings);
        }
        let gates = settings.gates;
        let mut policy = FallbackPolicy::new(settings)?;
        policy.handle_event(now(), Event::Start { network: here(0) });
        Ok(Self {
            policy,
            mode: config.mode,
            gate: config.gate.clone(),
            gates,
            peer_moves: 0,
            announced: Vec::new(),
        })
    }

    pub(super) fn gate(&self) -> Option<Arc<dyn FallbackGate>> {
        self.gate.clone()
    }

    /// Carries out every action the policy asks for.
    pub(super) fn act(&mut self, hands: &mut Hands) {
        while let Some(action) = self.policy.poll_action() {
            tracing::debug!(?action, "policy");
            match action {
                Action::CancelDial { generation } => {
                    hands.dials.cancel(generation);
                }
                Action::Dial { transport, generation, deadline, why } => {
                    let announcement =
                        Message::Dial { transport: transport.clone(), generation, reason: why.code().into() };
                    self.announced.retain(|(generation, _)| hands.dials.is_running(*generation));
                    self.announced.push((generation, announcement.clone()));
                    hands.say(announcement);
                    hands.dial(&transport, generation, DialRole::Offerer, deadline);
                }
                Action::Drain { generation } => self.drain(hands, generation),
                Action::Emit(transition) => emit(hands, transition),
                Action::GiveUp { why } => hands.shared.close(CloseCode::GOING_AWAY, why.code()),
                Action::PrefetchToken { transport } => prefetch(hands, &transport),
                Action::Switch { generation, .. } => self.switch(hands, generation),
            }
        }
    }

    /// A link that carried the session is drained by resume; one that only stood by can go at once.
    fn drain(&self, hands: &mut Hands, generation: Generation) {
        let carried = self.policy.snapshot(now()).path.is_some_and(|path| path.generation > generation);
        if carried && hands.links.get(&generation).is_some_and(|link| link.retire.is_none()) {
            hands.retire_before(Generation(generation.0 + 1));
        } else {
            hands.close(generation, CloseCode::NORMAL, "not needed");
        }
    }

    fn switch(&mut self, hands: &mut Hands, generation: Generation) {
        let Some(link) = hands.links.get(&generation).map(|link| link.sealed.link.clone()) else {
            // It ended this very moment; its report is on the way and the policy will hear it.
            return;
        };
        if let Err(stale) = hands.shared.attach(generation, link) {
            tracing::error!(%stale, "the policy went back in generations");
            hands.close(generation, CloseCode::INTERNAL, "stale generation");
        }
    }

    pub(super) fn attached(&mut self, generation: Generation, resent: u64) {
        tracing::info!(%generation, resent_segments = resent, "both sides are on the new path");
    }

    pub(super) fn answered(&mut self, generation: Generation) {
        self.event(Event::DialProgressed { generation });
    }

    pub(super) fn succeeded(&mut self, generation: Generation) {
        self.event(Event::DialSucceeded { generation });
    }

    pub(super) fn failed(&mut self, generation: Generation, kind: ConnectErrorKind) {
        self.event(Event::DialFailed { generation, kind });
    }

    pub(super) fn declined(&mut self, generation: Generation, reason: &str) {
        tracing::info!(%generation, reason, "the other side will not take part in this dial");
        self.failed(generation, ConnectErrorKind::Rejected);
    }

    pub(super) fn lost(&mut self, generation: Generation, closed: &Closed) {
        self.event(Event::Lost { generation, cause: LossCause::from(closed) });
    }

    pub(super) fn peer_lost(&mut self, generation: Generation) {
        self.event(Event::PeerReportsLost { generation });
    }

    pub(super) fn health(&mut self, generation: Generation, sample: HealthSample) {
        self.event(Event::Health { generation, sample });
    }

    pub(super) fn set_mode(&mut self, mode: FallbackMode) {
        self.mode = mode;
        self.event(Event::Override(mode.into()));
    }

    /// The other side is back in the room: it may have missed what was said meanwhile, and what is tried
    /// again may succeed now.
    pub(super) fn peer_present(&mut self, hands: &Hands) {
        for (_, announcement) in self.announced.iter().filter(|(of, _)| hands.dials.is_running(*of)) {
            hands.say(announcement.clone());
        }
        self.event(Event::PeerPresent);
    }

    pub(super) fn network_changed(&mut self) {
        self.event(Event::NetworkChanged { network: here(self.peer_moves) });
    }

    pub(super) fn peer_moved(&mut self) {
        self.peer_moves = self.peer_moves.wrapping_add(1);
        self.network_changed();
    }

    pub(super) fn woke(&mut self) {
        self.event(Event::Woke);
    }

    pub(super) fn gates_changed(&mut self, gates: Gates) {
        let is_closed = |gates: Gates, gate| gates.closed().any(|closed| closed == gate);
        for gate in Gate::ALL {
            let closed = is_closed(gates, gate);
            if closed != is_closed(self.gates, gate) {
                let state = if closed { GateState::Closed } else { GateState::Open };
                self.event(Event::GateChanged { gate, state });
            }
        }
        self.gates = gates;
    }

    pub(super) fn closed(&mut self, hands: &mut Hands) {
        self.event(Event::Closed);
        self.act(hands);
    }

    /// Describes where the session stands, for `explain`.
    pub(super) fn outlook(&self, hands: &Hands) -> Outlook {
        let snapshot = self.policy.snapshot(now());
        let tried = snapshot.rungs.iter().map(|rung| Tried {
            transport: rung.transport.clone(),
            fallback: rung.class == Class::Fallback,
            failures: rung.failures,
            quorum: rung.quorum,
            given_up: rung.given_up,
            open_dials: rung.open_dials,
            last_error: hands.errors.get(&rung.transport).map(|error| error.text.clone()),
            refusal: hands.errors.get(&rung.transport).and_then(|error| error.refusal),
        });
        Outlook {
            leading: true,
            mode: self.mode,
            path: snapshot.path.as_ref().and_then(|path| hands.path(path.generation)),
            standby: snapshot.standby.as_ref().map(|path| path.transport.clone()),
            reason: snapshot.reason,
            held: matches!(snapshot.standing, Standing::Held { .. }),
            degraded: snapshot.path.and_then(|path| path.degraded),
            tried: tried.collect(),
            closed_gates: snapshot.closed_gates,
            next: snapshot.next.map(|(at, step)| Next { at, step }),
        }
    }

    fn event(&mut self, event: Event) {
        self.policy.handle_event(now(), event);
    }
}

fn emit(hands: &Hands, transition: Transition) {
    let on = |standing: &Standing| match standing {
        Standing::Fallback { transport, generation } | Standing::Primary { transport, generation } => {
            Some((transport.clone(), *generation))
        }
        _ => None,
    };
    let (from, to) = (on(&transition.from), on(&transition.to));
    let last_error = |id: &TransportId| hands.errors.get(id).map(|error| format!("{id}: {}", error.text));
    // What went wrong on the primaries is why anything but a success happened.
    let primaries = hands.ways.0.iter().filter(|way| way.rung.class == Class::Primary);
    let errors: Vec<String> = primaries.filter_map(|way| last_error(&way.rung.transport)).collect();
    let detail = if to.as_ref().is_some_and(|(id, _)| hands.ways.is_primary(id)) {
        String::new()
    } else {
        errors.join("; ")
    };
    let generation = to.as_ref().or(from.as_ref()).map(|(_, generation)| *generation);
    let (from, to) = (from.map(|(id, _)| id), to.map(|(id, _)| id));
    hands.tell(transition.kind, transition.reason, from, to, generation, detail);
}

/// Fetches a token beside everything else. A refusal shows when the fallback is dialled.
fn prefetch(hands: &mut Hands, transport: &TransportId) {
    let prefetch = hands.ways.find(transport).and_then(|way| way.prefetch.clone());
    if let Some(prefetch) = prefetch {
        hands.pumps.spawn(async move {
            if let Err(error) = prefetch.prefetch().await {
                tracing::info!(error = error.chain(), "the fallback's token was not prefetched");
            }
        });
    }
}
