//! What both judges have done: dials, links, words to the peer, events.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant as StdInstant, SystemTime},
};

use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use transport_core::{
    CloseCode, DialRole, Generation, PeerId, TransportId,
    policy::{Class, Reach, Reason, TransitionKind},
    signaling::{Exchange, Message, SignalingError},
};

use super::{Parts, dials::Dials, follower::Follower, sampler::Sampler};
use crate::{
    config::FallbackMode,
    endpoint::{Endpoint, Sealed, Ways},
    event::NegotiationEvent,
    explain::{LastError, Outlook, Path},
    pump::{Attach, pump},
    session::Command,
    shared::{Shared, now},
};

/// What both judges can have done.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) ways: Ways,
    pub(super) peer: PeerId,
    pub(super) mode: FallbackMode,
    pub(super) shared: Arc<Shared>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) say: mpsc::Sender<Message>,
    pub(super) dials: Dials,
    pub(super) links: BTreeMap<Generation, Link>,
    pub(super) pumps: JoinSet<()>,
    pub(super) sampler: Sampler,
    pub(super) outlook: watch::Sender<Outlook>,
    pub(super) events: broadcast::Sender<NegotiationEvent>,
    /// The last error of each transport, for `explain`.
    pub(super) errors: BTreeMap<TransportId, LastError>,
    _voice: tokio_util::task::AbortOnDropHandle<()>,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) sealed: Sealed,
    pub(super) transport: TransportId,
    pub(super) since: StdInstant,
    /// When it is closed although it was never drained.
    pub(super) retire: Option<StdInstant>,
}

impl Hands {
    /// Takes what the hands need of `parts`; returns the rest, which the driver listens to.
    pub(super) fn new(
        parts: Parts,
        mode: FallbackMode,
    ) -> (Self, mpsc::Receiver<Message>, mpsc::Receiver<Command>) {
        let (say, words) = mpsc::channel(WORDS);
        let voice = tokio::spawn(speak(parts.exchange.clone(), parts.peer, words));
        let hands = Self {
            endpoint: parts.endpoint,
            ways: parts.ways,
            peer: parts.peer,
            mode,
            shared: parts.shared,
            exchange: parts.exchange,
            say,
            dials: Dials::new(),
            links: BTreeMap::new(),
            pumps: JoinSet::new(),
            sampler: Sampler::new(),
            outlook: parts.outlook,
            events: parts.events,
            errors: BTreeMap::new(),
            _voice: tokio_util::task::AbortOnDropHandle::new(voice),
        };
        (hands, parts.inbox, parts.commands)
    }

    pub(super) fn say(&self, message: Message) {
        // Full: signaling has been away for a long time, and what waits there is stale too.
        if self.say.try_send(message).is_err() {
            tracing::debug!("signaling is too far behind; a message was dropped");
        }
    }

    /// Tells the leader that something happened here that puts every path in doubt.
    pub(super) fn doubt(&self, why: Reason) {
        let generation = self.shared.traffic().current.unwrap_or_default();
        self.say(Message::Lost { generation, reason: why.code().to_owned() });
    }

    pub(super) fn dial(
        &mut self,
        transport: &TransportId,
        generation: Generation,
        role: DialRole,
        deadline: Instant,
    ) {
        if let Some(way) = self.ways.find(transport).cloned() {
            let target = self.endpoint.target(self.peer, role, generation);
            let channel = self.exchange.open_link(&target, transport.clone());
            self.dials.start(self.endpoint.clone(), way, target.with_signaling(channel), deadline);
        }
    }

    /// Whether this side takes part in a dial the other side announced.
    pub(super) fn allowed(&self, transport: &TransportId) -> Result<(), Reason> {
        let Some(way) = self.ways.find(transport) else { return Err(Reason::NoFallback) };
        match self.mode {
            FallbackMode::DirectOnly if way.rung.reach == Reach::Relayed => Err(Reason::PolicyDirectOnly),
            FallbackMode::NoRelay if way.rung.class == Class::Fallback => Err(Reason::PolicyNoRelay),
            _ => Ok(()),
        }
    }

    /// Keeps a link that is open and does not carry the session yet.
    pub(super) fn stand_by(
        &mut self,
        generation: Generation,
        transport: TransportId,
        sealed: Sealed,
        attach: Attach,
    ) {
        let link = sealed.link.clone();
        self.pumps.spawn(pump(self.shared.clone(), generation, link, attach));
        self.links.insert(generation, Link { sealed, transport, since: now(), retire: None });
        while self.pumps.try_join_next().is_some() {}
    }

    pub(super) fn close(&mut self, generation: Generation, code: CloseCode, detail: &str) {
        if let Some(link) = self.links.get_mut(&generation) {
            link.retire.get_or_insert_with(now);
            link.sealed.link.close(code, detail);
        }
    }

    /// The session moved to `generation`: older links are drained by both sides, then closed.
    pub(super) fn retire_before(&mut self, generation: Generation) {
        for (_, link) in self.links.range_mut(..generation) {
            link.retire.get_or_insert_with(|| now() + LINGER);
        }
    }

    pub(super) fn close_retired(&mut self, now: StdInstant) {
        let due = |link: &Link| link.retire.is_some_and(|at| at <= now);
        for link in self.links.values().filter(|link| due(link)) {
            link.sealed.link.close(CloseCode::NORMAL, "moved");
        }
    }

    pub(super) fn path(&self, generation: Generation) -> Option<Path> {
        let link = self.links.get(&generation)?;
        let carried = link.sealed.link.profile().path.to_string();
        let access = link.sealed.agreed.access;
        Some(Path { transport: link.transport.clone(), carried, generation, since: link.since, access })
    }

    pub(super) fn tell(
        &self,
        name: TransitionKind,
        reason: Reason,
        from: Option<TransportId>,
        to: Option<TransportId>,
        generation: Option<Generation>,
        detail: String,
    ) {
        let event = NegotiationEvent {
            at: SystemTime::now(),
            peer: self.peer,
            name,
            reason,
            from,
            to,
            generation,
            detail,
        };
        tracing::info!(target: "negotiator::transition", peer = ?event.peer, name = event.name.name(), reason = event.reason.code(), %event);
        // An error means that nobody subscribed.
        let _ = self.events.send(event);
    }

    /// The following side tells what the leader decided.
    pub(super) fn tell_followed(&mut self, follower: &Follower, generation: Generation, resent: u64) {
        let Some(path) = self.path(generation) else { return };
        let before = self.outlook.borrow().path.as_ref().map(|path| path.transport.clone());
        let class = |id: &TransportId| self.ways.find(id).map(|way| way.rung.class);
        let name = match (before.as_ref().and_then(class), class(&path.transport)) {
            (_, Some(Class::Fallback)) => TransitionKind::FallbackActivated,
            (Some(Class::Fallback), _) => TransitionKind::Restored,
            (Some(Class::Primary), _) => TransitionKind::Recovered,
            (None, _) => TransitionKind::Connected,
        };
        let detail = if resent == 0 { String::new() } else { format!("{resent} segments sent again") };
        self.tell(name, follower.arrived(generation), before, Some(path.transport), Some(generation), detail);
    }

    pub(super) fn followed(&self, follower: &Follower) -> Outlook {
        let current = self.shared.traffic().current;
        let path = current.and_then(|generation| self.path(generation));
        let reason = current.map_or(Reason::FirstConnect, |generation| follower.arrived(generation));
        Outlook { path, reason, ..Outlook::following(self.mode, &self.errors) }
    }
}

/// Sends a driver's words to its peer, one after the other, each within [`WORD`]. When the room is away a word
/// waits for it: a dial that was never announced would cost its whole deadline.
async fn speak(exchange: Arc<Exchange>, peer: PeerId, mut words: mpsc::Receiver<Message>) {
    while let Some(message) = words.recv().await {
        let said = async {
            loop {
                match exchange.send(peer, &message).await {
                    Err(SignalingError::Unreachable { .. }) => tokio::time::sleep(AGAIN).await,
                    other => return other,
                }
            }
        };
        match tokio::time::timeout(WORD, said).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a signaling message was not sent"),
            Err(_) => tracing::debug!("signaling took too long; a message was dropped"),
        }
    }
}

/// How long a replaced link may stay when the other side does not say that it is drained.
const LINGER: Duration = Duration::from_secs(2);
/// How long one signaling message may take to leave.
const WORD: Duration = Duration::from_secs(5);
/// How soon a signaling message is tried again while the room is away.
const AGAIN: Duration = Duration::from_millis(200);
/// Signaling messages that may wait.
const WORDS: usize = 64;
