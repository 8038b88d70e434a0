//! The leading side: carries what happens to the policy, and the policy's actions to the links and to the peer.

use std::collections::{BTreeMap, VecDeque};

use super::{Action, Detail, Ending, UNSAID, View, ask, links::Links, mode::both};
use crate::{
    connector::DialRole,
    error::ConnectErrorKind,
    ids::{Generation, TransportId},
    policy::{
        self, Class, ConfigError, FallbackPolicy, Gate, GateState, Gates, Override, PolicyConfig, Reason,
        Standing, Transition,
    },
    signaling::Message,
    time::{Duration, Instant},
};

/// The policy of one session, and what it does not know about the peer.
#[derive(Debug, Clone)]
pub(super) struct Lead {
    policy: FallbackPolicy,
    primaries: Vec<TransportId>,
    gates: Gates,
    /// What this side allows.
    mode: Override,
    /// What the peer allows.
    peer_mode: Override,
    /// Dials under way, as the peer was told of them.
    dials: BTreeMap<Generation, Announced>,
}

#[derive(Debug, Clone)]
struct Announced {
    transport: TransportId,
    reason: Reason,
    /// When the peer is told again, unless the dial has ended.
    again: Instant,
}

impl Lead {
    pub(super) fn new(config: PolicyConfig) -> Result<Self, ConfigError> {
        let primaries = config.rungs.iter().filter(|rung| rung.class == Class::Primary);
        Ok(Self {
            primaries: primaries.map(|rung| rung.transport.clone()).collect(),
            gates: config.gates,
            mode: config.mode,
            peer_mode: UNSAID,
            dials: BTreeMap::new(),
            policy: FallbackPolicy::new(config)?,
        })
    }

    pub(super) fn event(&mut self, now: Instant, event: policy::Event) {
        self.policy.handle_event(now, event);
    }

    /// Does what is due. A dial that lasts is announced again, because signaling may lose a message, and a peer that never
    /// heard of it would cost its whole deadline.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<Action> {
        let due = self.dials.iter_mut().filter(|(_, dial)| dial.again <= now);
        let again = due.map(|(generation, dial)| {
            dial.again = now + ANNOUNCE_AGAIN;
            announcement(*generation, dial)
        });
        let again = again.collect();
        self.policy.handle_timeout(now);
        again
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.dials.values().map(|dial| dial.again).chain(self.policy.poll_timeout()).min()
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.policy.next_look()
    }

    pub(super) fn standing(&self) -> &Standing {
        self.policy.standing()
    }

    pub(super) fn dial_failed(&mut self, now: Instant, generation: Generation, kind: ConnectErrorKind) {
        self.dials.remove(&generation);
        self.event(now, policy::Event::DialFailed { generation, kind });
    }

    /// Takes a dial that succeeded; says by which transport, unless it was given up.
    pub(super) fn dialled(&mut self, generation: Generation) -> Option<TransportId> {
        self.dials.remove(&generation).map(|dial| dial.transport)
    }

    /// The follower takes no part in a dial, which is a refusal and says nothing about the network.
    pub(super) fn declined(&mut self, now: Instant, generation: Generation) -> Option<Action> {
        self.dials.contains_key(&generation).then(|| {
            self.dial_failed(now, generation, ConnectErrorKind::Rejected);
            Action::CancelDial { generation }
        })
    }

    /// Announces every open dial once more.
    pub(super) fn repeat(&self) -> impl Iterator<Item = Action> {
        self.dials.iter().map(|(generation, dial)| announcement(*generation, dial))
    }

    pub(super) fn gates_changed(&mut self, now: Instant, gates: Gates) {
        let is_closed = |gates: Gates, gate| gates.closed().any(|closed| closed == gate);
        for gate in Gate::ALL {
            let closed = is_closed(gates, gate);
            if closed != is_closed(self.gates, gate) {
                let state = if closed { GateState::Closed } else { GateState::Open };
                self.event(now, policy::Event::GateChanged { gate, state });
            }
        }
        self.gates = gates;
    }

    pub(super) fn set_mode(&mut self, now: Instant, mode: Override) {
        self.mode = mode;
        self.apply_mode(now);
    }

    pub(super) fn peer_allows(&mut self, now: Instant, mode: Override) {
        self.peer_mode = mode;
        self.apply_mode(now);
    }

    fn apply_mode(&mut self, now: Instant) {
        self.event(now, policy::Event::Override(both(self.mode, self.peer_mode)));
    }

    /// Turns what the policy asks for into actions.
    pub(super) fn obey(&mut self, now: Instant, links: &mut Links, out: &mut VecDeque<Action>) {
        while let Some(action) = self.policy.poll_action() {
            match action {
                policy::Action::Answer { generation, number, heard } => {
                    out.push_back(Action::Say(Message::Answer { generation, number, heard }));
                }
                policy::Action::Ask { generation, question } => out.extend(ask(generation, question)),
                policy::Action::CancelDial { generation } => {
                    self.dials.remove(&generation);
                    out.push_back(Action::CancelDial { generation });
                }
                policy::Action::Dial { transport, generation, deadline, why } => {
                    let again = now + ANNOUNCE_AGAIN;
                    let dial = Announced { transport: transport.clone(), reason: why, again };
                    out.push_back(announcement(generation, &dial));
                    self.dials.insert(generation, dial);
                    let role = DialRole::Offerer;
                    out.push_back(Action::Dial { transport, generation, role, deadline });
                }
                policy::Action::Drain { generation } => out.extend(self.drain(now, links, generation)),
                policy::Action::Emit(transition) => out.push_back(self.tell(transition)),
                policy::Action::GiveUp { why } => out.push_back(Action::End(Ending::GiveUp { why })),
                policy::Action::PrefetchToken { transport } => {
                    out.push_back(Action::PrefetchToken { transport });
                }
                // A link that ended this very moment is no longer open here; its end is on the way to the policy.
                policy::Action::Switch { generation, .. } if links.transport(generation).is_some() => {
                    out.push_back(Action::Attach { generation });
                }
                // The transition beside a hold tells the person.
                _ => {}
            }
        }
    }

    /// A link that carried the session finishes what it carries; one that only stood by can go at once.
    fn drain(&self, now: Instant, links: &mut Links, generation: Generation) -> Option<Action> {
        let path = self.policy.snapshot(now).path;
        if path.is_some_and(|path| path.generation > generation) && links.stays(generation) {
            links.retire_up_to(now, generation);
            return None;
        }
        links.close(generation, "not needed")
    }

    /// What went wrong on the primaries is why anything but a primary is used.
    fn tell(&self, transition: Transition) -> Action {
        let on_primary = matches!(&transition.to, Standing::Primary { transport, .. } if self.primaries.contains(transport));
        let detail = if on_primary { Detail::Nothing } else { Detail::PrimaryErrors };
        Action::Tell { transition, detail }
    }

    pub(super) fn view(&self, now: Instant) -> View {
        let snapshot = self.policy.snapshot(now);
        View {
            leading: true,
            mode: both(self.mode, self.peer_mode),
            path: snapshot.path.as_ref().map(|path| path.generation),
            standby: snapshot.standby.map(|path| path.transport),
            reason: snapshot.reason,
            held: matches!(snapshot.standing, Standing::Held { .. }),
            degraded: snapshot.path.and_then(|path| path.degraded),
            rungs: snapshot.rungs,
            closed_gates: snapshot.closed_gates,
            next: snapshot.next,
        }
    }
}

fn announcement(generation: Generation, dial: &Announced) -> Action {
    let (transport, reason) = (dial.transport.clone(), dial.reason);
    Action::Say(Message::Dial { transport, generation, reason })
}

/// Pause between two announcements of the same dial.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(2);
