//! What a session's judge can have done: dials, links, words to the peer, events, the state that `explain()` reads.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{broadcast, watch};
use transport_core::{
    CloseCode, Closed, ConnectError, DialRole, Generation, PeerId, TransportId,
    judge::{Action, Detail, Ending, Event, View},
    policy::{Class, Reason, Standing, Transition, TransitionKind},
    signaling::{ByeReason, Exchange, Message},
};

use super::{
    Meter,
    dials::{Abandoned, Dials},
    sampler::Sampler,
    voice::Voice,
};
use crate::{
    core::SessionCore,
    endpoint::{Endpoint, Sealed, Ways},
    event::NegotiationEvent,
    explain::{Absence, LastError, Next, Outlook, Path, Tried},
    pump::{Attach, pump},
    runtime::{Instant, JoinSet, now, reap, wall_clock},
};

/// What effects are made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) ways: Ways,
    pub(crate) peer: PeerId,
    pub(crate) core: Arc<SessionCore>,
    pub(crate) exchange: Arc<Exchange>,
    /// How a link is attached: by the judge where this side leads.
    pub(crate) attach: Attach,
    pub(crate) outlook: watch::Sender<Outlook>,
    pub(crate) events: broadcast::Sender<NegotiationEvent>,
}

/// Carries out what the judge asks for.
#[derive(Debug)]
pub(super) struct Effects {
    pub(super) core: Arc<SessionCore>,
    pub(super) dials: Dials,
    pub(super) meter: Meter,
    /// Tokens being fetched ahead of need.
    prefetches: JoinSet<()>,
    parts: Parts,
    voice: Voice,
    links: BTreeMap<Generation, Attached>,
    pumps: JoinSet<()>,
    sampler: Sampler,
    /// The last error of each transport, for `explain()`.
    errors: BTreeMap<TransportId, LastError>,
}

/// A link that both sides can use, from its dial to its end.
#[derive(Debug)]
struct Attached {
    sealed: Sealed,
    transport: TransportId,
    since: Instant,
}

impl Effects {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            core: parts.core.clone(),
            dials: Dials::new(parts.endpoint.clone()),
            meter: Meter::new(parts.endpoint.is_host()),
            prefetches: JoinSet::new(),
            voice: Voice::new(parts.exchange.clone(), parts.peer),
            links: BTreeMap::new(),
            pumps: JoinSet::new(),
            sampler: Sampler::new(),
            errors: BTreeMap::new(),
            parts,
        }
    }

    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::Attach { generation } => self.attach(generation),
            Action::Attend { transport } => {
                if let Some(way) = self.parts.ways.find(&transport).cloned() {
                    let endpoint = &self.parts.endpoint;
                    let target = endpoint.target(self.parts.peer, DialRole::Answerer, Generation::default());
                    self.dials.attend(way, target);
                }
            }
            Action::Leave => self.dials.leave(),
            Action::CancelDial { generation } => {
                if let Some(Abandoned { transport, nobody_came }) = self.dials.cancel(generation) {
                    self.meter.dial_abandoned(&transport);
                    if nobody_came && self.is_fallback(&transport) {
                        self.errors.insert(transport, LastError::nobody_came());
                    }
                }
            }
            Action::Close { generation, code, detail } => self.close(generation, code, detail),
            Action::Dial { transport, generation, role, deadline } => {
                if let Some(way) = self.parts.ways.find(&transport).cloned() {
                    let target = self.parts.endpoint.target(self.parts.peer, role, generation);
                    let channel = self.parts.exchange.open_link(&target, transport);
                    self.dials.start(way, target.with_signaling(channel), deadline);
                }
            }
            Action::DoubtSignaling => {
                self.parts.exchange.doubt();
                // What a connector's links share is as doubtful as the room.
                self.parts.ways.0.iter().for_each(|way| way.connector.doubt());
            }
            Action::End(ending) => self.end(ending),
            Action::PrefetchToken { transport } => self.prefetch(&transport),
            Action::Remember { transport, closed } => {
                self.errors.insert(transport, LastError::ended(&closed));
            }
            // Its peer is in another life already.
            Action::Say(_) if self.core.is_superseded() => {}
            Action::Say(Message::Bye { reason: ByeReason::Closed }) => {
                self.voice.say(Message::Bye { reason: self.core.farewell() });
            }
            Action::Say(message) => self.voice.say(message),
            Action::Tell { transition, detail } => self.tell(transition, &detail),
            action => tracing::error!(?action, "an action that nobody carries out"),
        }
    }

    /// Keeps a link that is open and does not carry the session yet.
    pub(super) fn stand_by(&mut self, generation: Generation, transport: TransportId, sealed: Sealed) {
        self.meter.dialled(&transport);
        self.errors.remove(&transport);
        if self.parts.attach == Attach::ByDriver {
            // At the host the handshake itself has noted what was asked for.
            self.core.asked(sealed.agreed.access);
        }
        let link = sealed.link.clone();
        self.pumps.spawn(pump(self.core.clone(), generation, link, self.parts.attach));
        self.links.insert(generation, Attached { sealed, transport, since: now() });
        reap(&mut self.pumps);
    }

    pub(super) fn forget(&mut self, generation: Generation, closed: &Closed) {
        if let Some(link) = self.links.remove(&generation) {
            tracing::debug!(%generation, transport = %link.transport, %closed, "link ended");
        }
    }

    pub(super) fn dial_failed(
        &mut self,
        generation: Generation,
        transport: TransportId,
        error: &ConnectError,
    ) {
        self.meter.dial_failed(error);
        tracing::info!(%generation, error = error.chain(), "dial failed");
        self.errors.insert(transport, LastError::of(error));
    }

    /// Measures every open link.
    pub(super) fn sample(&mut self) -> Vec<Event> {
        self.meter.session(|| self.core.stats());
        let (now, traffic) = (now(), self.core.traffic());
        let mut events = Vec::new();
        for (&generation, link) in &self.links {
            let stats = link.sealed.link.stats();
            if traffic.current == Some(generation) {
                let samples = self.sampler.carrying(now, traffic, stats);
                events.extend(samples.map(|sample| Event::Health { generation, sample }));
            } else {
                events.push(Event::Health { generation, sample: Sampler::standing_by(stats) });
            }
        }
        events
    }

    /// Publishes where the session stands.
    pub(super) fn publish(&self, view: View) {
        let outlook = self.outlook(view);
        self.parts.outlook.send_if_modified(|old| {
            let changed = *old != outlook;
            *old = outlook;
            changed
        });
    }

    /// Waits until every link has closed with its last bytes gone, and every word has left.
    pub(super) async fn finish(mut self) {
        while self.pumps.join_next().await.is_some() {}
        for link in self.links.values() {
            link.sealed.link.closed().await;
        }
        if !self.core.is_superseded() {
            self.voice.finish().await;
        }
        self.meter.session(|| self.core.stats());
    }

    fn attach(&mut self, generation: Generation) {
        let Some(link) = self.links.get(&generation).map(|link| link.sealed.link.clone()) else { return };
        if let Err(stale) = self.core.attach(generation, link) {
            tracing::error!(%stale, "the policy went back in generations");
            self.close(generation, CloseCode::INTERNAL, "stale generation");
        }
    }

    fn close(&self, generation: Generation, code: CloseCode, detail: &str) {
        if let Some(link) = self.links.get(&generation) {
            link.sealed.link.close(code, detail);
        }
    }

    fn end(&self, ending: Ending) {
        match ending {
            Ending::GiveUp { why } => self.core.close(CloseCode::GOING_AWAY, why.code()),
            Ending::HandlesDropped => self.core.close(CloseCode::GOING_AWAY, "the other side went away"),
            Ending::PeerForgot => self.core.peer_forgot(),
            Ending::PeerLeft(reason) => self.core.peer_left(reason),
            ending => tracing::error!(?ending, "an end that nobody carries out"),
        }
    }

    /// Fetches a token beside everything else. A refusal shows when the fallback is dialled.
    fn prefetch(&mut self, transport: &TransportId) {
        let prefetch = self.parts.ways.find(transport).and_then(|way| way.prefetch.clone());
        let Some(prefetch) = prefetch else { return };
        reap(&mut self.prefetches);
        self.prefetches.spawn(async move {
            if let Err(error) = prefetch.prefetch().await {
                tracing::info!(error = error.chain(), "the fallback's token was not prefetched");
            }
        });
    }

    fn tell(&self, transition: Transition, detail: &Detail) {
        let on = |standing: &Standing| match standing {
            Standing::Fallback { transport, generation } | Standing::Primary { transport, generation } => {
                Some((transport.clone(), *generation))
            }
            _ => None,
        };
        let (from, to) = (on(&transition.from), on(&transition.to));
        let event = NegotiationEvent {
            at: wall_clock(),
            peer: self.parts.peer,
            name: transition.kind,
            reason: transition.reason,
            generation: to.as_ref().or(from.as_ref()).map(|(_, generation)| *generation),
            from: from.map(|(transport, _)| transport),
            to: to.map(|(transport, _)| transport),
            detail: self.in_words(detail),
        };
        self.send(event);
    }

    /// Tells once that the viewer sends although it may only look.
    pub(super) fn tell_input_refused(&self) {
        let path = self.parts.outlook.borrow().path.clone();
        let transport = path.as_ref().map(|path| path.transport.clone());
        self.send(NegotiationEvent {
            at: wall_clock(),
            peer: self.parts.peer,
            name: TransitionKind::InputRefused,
            reason: Reason::ReadOnly,
            from: transport.clone(),
            to: transport,
            generation: path.map(|path| path.generation),
            detail: String::new(),
        });
    }

    fn send(&self, event: NegotiationEvent) {
        tracing::info!(target: "negotiator::transition", peer = ?event.peer, name = event.name.name(), reason = event.reason.code(), %event);
        self.meter.event(&event);
        // An error means that nobody subscribed.
        let _ = self.parts.events.send(event);
    }

    fn in_words(&self, detail: &Detail) -> String {
        match detail {
            Detail::Ended(closed) => closed.to_string(),
            Detail::PrimaryErrors => {
                let primaries = self.parts.ways.0.iter().filter(|way| way.rung.class == Class::Primary);
                let errors = primaries.map(|way| {
                    let id = &way.rung.transport;
                    // The fallback is not dialled before each primary failed: one without an error has said nothing.
                    let error = self.errors.get(id).map_or("no answer", |error| &error.text);
                    format!("{id}: {error}")
                });
                errors.collect::<Vec<_>>().join("; ")
            }
            Detail::Resent { segments } => format!("{segments} segments sent again"),
            _ => String::new(),
        }
    }

    fn outlook(&self, view: View) -> Outlook {
        let tried = if view.leading {
            view.rungs.iter().map(|rung| Tried::of(rung, self.errors.get(&rung.transport))).collect()
        } else {
            self.errors.iter().map(|(transport, error)| Tried::without_counts(transport, error)).collect()
        };
        Outlook {
            leading: view.leading,
            path: view.path.and_then(|generation| self.path(generation)),
            standby: view.standby,
            reason: view.reason,
            held: view.held,
            degraded: view.degraded,
            absent: self.absent(view.path),
            tried,
            closed_gates: view.closed_gates,
            next: view.next.map(|(at, step)| Next { at, step }),
        }
    }

    /// Who is missing for a session without a path, as far as the fallback's last dial shows.
    fn absent(&self, path: Option<Generation>) -> Option<Absence> {
        let fallbacks = self.parts.ways.0.iter().filter(|way| way.rung.class == Class::Fallback);
        let mut errors = fallbacks.filter_map(|way| self.errors.get(&way.rung.transport));
        if path.is_some() { None } else { errors.find_map(|error| error.absent) }
    }

    fn is_fallback(&self, transport: &TransportId) -> bool {
        self.parts.ways.find(transport).is_some_and(|way| way.rung.class == Class::Fallback)
    }

    fn path(&self, generation: Generation) -> Option<Path> {
        let link = self.links.get(&generation)?;
        let carried = link.sealed.link.profile().path.to_string();
        Some(Path { transport: link.transport.clone(), carried, generation, since: link.since })
    }
}
