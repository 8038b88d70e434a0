//! The joining side: meets the host and leads the session.

use std::{fmt, sync::Arc};

use tokio::sync::{mpsc, watch};
use transport_core::{
    PeerId, Role, Text, TransportId,
    judge::{Event, Judge},
    policy::{ConfigError, Gates, PolicyConfig},
    secure::{Access, Identity},
    signaling::{Exchange, ExchangeEvent, Message, SealError, Sealer, SignalingError},
};

use crate::{
    assembly::{Assembled, Assembly, assemble},
    config::NetworkConfig,
    core::SessionCore,
    endpoint::{Endpoint, Party, Ways},
    error::{JoinError, word_of},
    host::unix_now,
    link::JoinLink,
    pump::Attach,
    rendezvous::{Membership, Missing, Rendezvous, inside},
    runtime::{Duration, Instant, interval, now, sleep_until, spawn},
    session::Session,
    viewer_key::ViewerKey,
};

/// Joins a session.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use negotiator::{JoinError, JoinLink, NetworkConfig, Negotiator, Session};
///
/// async fn join(link: JoinLink) -> Result<Session, JoinError> {
///     let mut network = NetworkConfig::default();
///     network.connect_timeout = Duration::from_secs(20);
///     Negotiator::new(link, network)
///         .named("ada")
///         .when_pending(|| println!("waiting for the host to let you in"))
///         .connect()
///         .await
/// }
/// ```
pub struct Negotiator {
    link: JoinLink,
    config: NetworkConfig,
    access: Access,
    name: Option<Text>,
    on_pending: Option<Box<dyn Fn() + Send + Sync>>,
    rendezvous: Option<Arc<dyn Rendezvous>>,
    key: Option<ViewerKey>,
}

impl Negotiator {
    /// Joins by `link`: through its control plane, by WebRTC first and its relay when it must be.
    #[cfg(feature = "control-plane")]
    pub fn new(link: JoinLink, config: NetworkConfig) -> Self {
        Self { link, config, access: Access::Full, name: None, on_pending: None, rendezvous: None, key: None }
    }

    /// Joins by `link`, meeting and connecting as `rendezvous` says.
    pub fn meeting_at(link: JoinLink, config: NetworkConfig, rendezvous: Arc<dyn Rendezvous>) -> Self {
        let rendezvous = Some(rendezvous);
        Self { link, config, access: Access::Full, name: None, on_pending: None, rendezvous, key: None }
    }

    /// Joins under a key that was kept, as the viewer it names; without one, as somebody new. A host at which that viewer
    /// is ends the session of its earlier life and gives this one its place, without another approval. A later life costs
    /// no further use of the link and may come after the link has expired, which the host decides then; who was removed
    /// stays out.
    #[must_use]
    pub fn with_key(mut self, key: ViewerKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks to look and not to type.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Tells the host how to call this viewer. It proves nothing.
    #[must_use]
    pub fn named(mut self, name: impl Into<Text>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has `told` called once when the host asks its person whether to let this viewer in: from then on
    /// [`connect`](Self::connect) waits for the decision, however long that takes.
    #[must_use]
    pub fn when_pending(mut self, told: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_pending = Some(Box::new(told));
        self
    }

    /// Meets the host, finds a path, and returns the session once it is usable.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; nothing is left running then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up and leaves nothing running.
    pub async fn connect(self) -> Result<Session, JoinError> {
        let expires = self.link.expires_at().is_some();
        self.enter().await.map_err(|error| match error {
            // A room is told of a link that was used up as of one that has expired from then on.
            JoinError::LinkExpired if !expires => JoinError::LinkUsedUp,
            error => error,
        })
    }

    async fn enter(self) -> Result<Session, JoinError> {
        let Self { link, config, access, name, on_pending, rendezvous, key } = self;
        if key.as_ref().is_some_and(|key| key.link() != link.id()) {
            return Err(JoinError::Misconfigured("the viewer's key is for another link".to_owned()));
        }
        let begun = now();
        if !key.as_ref().is_some_and(ViewerKey::returns) {
            link.check_expiry(unix_now()).map_err(crate::link::BadJoinLink::from)?;
        }
        let rendezvous = match rendezvous {
            Some(rendezvous) => rendezvous,
            None => default_rendezvous(&link, &config)?,
        };
        let host = link.host_key();
        let identity = key.as_ref().map_or_else(Identity::random, |key| Ok(key.identity().clone()))?;
        let membership = Membership {
            session: link.session(),
            local: PeerId::of(&identity.public()),
            role: Role::Viewer,
            // Whoever admits refuses more than the link grants.
            access: access.min(link.access()),
            host,
            identity: identity.clone(),
            link: Some(link.secret().clone()),
            document: None,
        };
        let signaling = rendezvous.enter(&membership).await.map_err(JoinError::shown_out)?;
        let sealer = Sealer::joiner(identity.clone(), host, link.secret().clone());
        let clock = rendezvous.clone();
        let exchange = Exchange::new(signaling, sealer, move || clock.wall_clock());
        let (entered, mut missing) =
            tokio::join!(inside(&exchange, config.connect_timeout), rendezvous.prepare(&membership));
        entered.map_err(JoinError::shown_out)?;
        let mut ways = rendezvous.ways(&membership).map_err(JoinError::Misconfigured)?;
        let host_key = host;
        let host = PeerId::of(&host_key);
        let knock = Message::Knock {
            version: Message::VERSION,
            transports: ways.iter().map(|way| way.rung.transport.clone()).collect(),
            name,
            life: key.as_ref().map(ViewerKey::life),
        };
        let meeting = Meeting { exchange: &exchange, host, knock, key: key.as_ref(), on_pending };
        let Met { transports: theirs, waited } =
            meeting.meet(config.answer_timeout.min(config.connect_timeout)).await?;
        // A person's time to decide is not the network's.
        let deadline = begun + waited + config.connect_timeout;
        ways.retain(|way| {
            let common = theirs.contains(&way.rung.transport);
            if !common {
                missing.push(Missing::new(way.rung.transport.clone(), "the host does not offer it"));
            }
            common
        });
        let ways = Ways(ways.into());
        let gates = config.gate.as_ref().map(|gate| gate.watch());
        let judge = lead(&config, &ways, gates.clone())
            .map_err(|error| JoinError::Misconfigured(error.to_string()))?;
        // The handshake asks for what the host may grant beyond the link, too.
        let party = Party::Viewer { host: host_key, link: link.secret().clone(), access };
        let Assembled { session, driver, inbox } = assemble(Assembly {
            judge,
            attach: Attach::ByDriver,
            gates,
            endpoint: Arc::new(Endpoint::new(membership.session, identity, party)),
            ways,
            missing: missing.into(),
            peer: host,
            exchange: exchange.clone(),
            config: &config,
        });
        let core = session.core().clone();
        // Ends with the driver, which ends with the session: when it is closed or its last handle is dropped.
        spawn(async move {
            tokio::select! {
                () = driver.run() => {}
                // Ends only when signaling will never work again; the session may live on without.
                () = async { listen(&exchange, host, &inbox, &core).await; std::future::pending().await } => {}
            }
        });
        if let Err(error) = usable(&session, deadline).await {
            session.abort("no path");
            session.closed().await;
            return Err(error);
        }
        Ok(session)
    }
}

impl fmt::Debug for Negotiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiator")
            .field("link", &self.link)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// Sets the judge up for `ways`.
fn lead(
    config: &NetworkConfig,
    ways: &Ways,
    gates: Option<watch::Receiver<Gates>>,
) -> Result<Judge, ConfigError> {
    let mut settings = PolicyConfig::new(ways.rungs());
    settings.gates = gates.map_or(Gates::all_open(), |gates| *gates.borrow());
    settings.mode = config.mode.into();
    // Sessions must not move in step.
    settings.seed = rand::random();
    if let Some(tune) = &config.tune_policy {
        tune.tune(&mut settings);
    }
    Judge::lead(settings)
}

/// The way to the host's door.
struct Meeting<'a> {
    exchange: &'a Exchange,
    host: PeerId,
    knock: Message,
    key: Option<&'a ViewerKey>,
    on_pending: Option<Box<dyn Fn() + Send + Sync>>,
}

/// The host let this side in.
struct Met {
    /// The transports it can dial.
    transports: Vec<TransportId>,
    /// How long somebody took to decide.
    waited: Duration,
}

impl Meeting<'_> {
    /// Knocks until the host welcomes or turns away. It has `patience` for each sign that the knock was heard.
    async fn meet(&self, patience: Duration) -> Result<Met, JoinError> {
        let mut knock = interval(KNOCK);
        let (mut heard, mut pending) = (now(), None::<Instant>);
        loop {
            tokio::select! {
                () = sleep_until(heard + patience) => return Err(JoinError::HostAbsent),
                _ = knock.tick() => match self.exchange.send(self.host, &self.knock).await {
                    // Not reachable yet: the next knock tries again, the deadline ends it.
                    Ok(()) | Err(SignalingError::Unreachable { .. }) => {}
                    Err(error) => return Err(JoinError::shown_out(error)),
                },
                event = self.exchange.next() => match event.map_err(JoinError::shown_out)? {
                    ExchangeEvent::Message { from, message, .. } if from == self.host => match message {
                        Message::Welcome { version, transports, life } => {
                            if version != Message::VERSION {
                                return Err(JoinError::Version { ours: Message::VERSION, theirs: version });
                            }
                            match (self.key, life) {
                                // It would keep to the session that this side has lost.
                                (Some(key), None) if key.returns() => return Err(JoinError::NotTakenBack),
                                // Said to an earlier life.
                                (Some(key), Some(life)) if life != key.life() => continue,
                                _ => {}
                            }
                            let waited = pending.map(|since| now().saturating_duration_since(since));
                            return Ok(Met { transports, waited: waited.unwrap_or_default() });
                        }
                        Message::Bye { reason } => return Err(JoinError::turned_away(reason)),
                        Message::Pending => {
                            heard = now();
                            if pending.is_none() {
                                pending = Some(heard);
                                self.on_pending.iter().for_each(|told| told());
                            }
                        }
                        _ => {}
                    },
                    ExchangeEvent::Refused { from, why: SealError::Forged } if from == self.host => {
                        return Err(JoinError::SecretMismatch);
                    }
                    ExchangeEvent::Joined { peer } if peer == self.host => knock.reset_immediately(),
                    _ => {}
                },
            }
        }
    }
}

/// Brings what concerns the host to the driver until signaling ends for good.
async fn listen(exchange: &Exchange, host: PeerId, inbox: &mpsc::Sender<Event>, core: &SessionCore) {
    loop {
        let (event, over) = match exchange.next().await {
            Ok(ExchangeEvent::Message { from, message: Message::Access { access }, .. }) if from == host => {
                core.asked(access);
                continue;
            }
            Ok(ExchangeEvent::Message { from, message, .. }) if from == host => {
                (Event::Heard(message), false)
            }
            Ok(ExchangeEvent::Joined { peer }) if peer == host => (Event::PeerPresent, false),
            Ok(ExchangeEvent::Refused { why, .. }) => {
                tracing::debug!(%why, "an envelope was refused");
                continue;
            }
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(%error, "signaling ended; the session lives on while its path does");
                match word_of(&error) {
                    // Whoever admits was told by the host; its own goodbye may have been lost.
                    Some(reason) => (Event::Heard(Message::Bye { reason }), true),
                    None => return,
                }
            }
        };
        // Full: the driver is far behind; what it misses is repeated or times out.
        let _ = inbox.try_send(event);
        if over {
            return;
        }
    }
}

/// Waits for the first path.
async fn usable(session: &Session, deadline: Instant) -> Result<(), JoinError> {
    loop {
        let changed = session.changed();
        if session.status().path.is_some() {
            return Ok(());
        }
        tokio::select! {
            () = changed => continue,
            end = session.ended() => if let Some(error) = JoinError::from_end(&end) { return Err(error) },
            () = sleep_until(deadline) => {}
        }
        return Err(JoinError::NoPath { explanation: Box::new(session.explain()) });
    }
}

#[cfg(feature = "control-plane")]
fn default_rendezvous(link: &JoinLink, config: &NetworkConfig) -> Result<Arc<dyn Rendezvous>, JoinError> {
    let rendezvous = crate::control_plane::ControlPlaneRendezvous::of_link(link, config.clone())
        .map_err(|error| JoinError::Misconfigured(error.to_string()))?;
    Ok(Arc::new(rendezvous))
}

#[cfg(not(feature = "control-plane"))]
fn default_rendezvous(_: &JoinLink, _: &NetworkConfig) -> Result<Arc<dyn Rendezvous>, JoinError> {
    Err(JoinError::Misconfigured("this build has no transports: name a rendezvous".to_owned()))
}

/// Between two knocks: signaling may lose one.
const KNOCK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use transport_core::{
        secure::{JoinFragment, LinkSecret},
        signaling::MemoryRoom,
    };

    use super::*;
    use crate::{
        link::parse_control_plane,
        runtime::{timeout, wall_clock},
    };

    fn link() -> JoinLink {
        let fragment = JoinFragment {
            host: Identity::from_seed(&[1; 32]).public(),
            secret: LinkSecret::from_bytes([3; 16]),
            access: Access::Full,
            expires_at: None,
            certificate: None,
        };
        JoinLink::new(parse_control_plane("https://beach.example").unwrap(), fragment)
    }

    /// What comes of a knock under `key` where the host answers with `answers`, one after the other.
    async fn answered(key: Option<&ViewerKey>, answers: &[(u16, Option<u64>)]) -> Result<Met, JoinError> {
        let (room, link) = (MemoryRoom::default(), link());
        let [host, viewer] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]));
        let enter = |sealer: Sealer| Exchange::new(Arc::new(room.join(sealer.local())), sealer, wall_clock);
        let theirs = enter(Sealer::host(host, Arc::new(link.secret().clone())));
        let viewer = key.map_or(viewer, |key| key.identity().clone());
        let ours = enter(Sealer::joiner(viewer, link.host_key(), link.secret().clone()));
        let answering = async {
            loop {
                if let Ok(ExchangeEvent::Message { from, message: Message::Knock { .. }, .. }) =
                    theirs.next().await
                {
                    for (version, life) in answers.iter().copied() {
                        let answer = Message::Welcome { version, transports: Vec::new(), life };
                        theirs.send(from, &answer).await.unwrap();
                    }
                }
            }
        };
        let (version, life) = (Message::VERSION, key.map(ViewerKey::life));
        let knock = Message::Knock { version, transports: Vec::new(), name: None, life };
        let host = PeerId::of(&link.host_key());
        let meeting = Meeting { exchange: &ours, host, knock, key, on_pending: None };
        tokio::select! {
            met = meeting.meet(NetworkConfig::default().answer_timeout) => met,
            () = answering => unreachable!(),
        }
    }

    #[tokio::test]
    async fn a_host_of_another_version_is_told_apart_from_one_that_is_away() {
        let expected = Message::VERSION;
        let error = answered(None, &[(expected + 1, None)]).await.err().expect("no common version");
        assert!(
            matches!(error, JoinError::Version { ours, theirs } if (ours, theirs) == (expected, expected + 1)),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_welcome_is_for_one_life_and_a_host_that_knows_none_takes_nobody_back() {
        let (version, first) = (Message::VERSION, ViewerKey::draw(&link()).unwrap());
        let next = first.clone().next_life();
        assert!(
            answered(Some(&first), &[(version, None)]).await.is_ok(),
            "it has nothing of an earlier life"
        );
        let forgetful = answered(Some(&next), &[(version, None)]).await;
        assert!(matches!(forgetful, Err(JoinError::NotTakenBack)));
        let [before, now] = [first.life(), next.life()].map(|life| (version, Some(life)));
        assert!(answered(Some(&next), &[before, now]).await.is_ok());
        let only_before = timeout(Duration::from_secs(3), answered(Some(&next), &[before])).await;
        assert!(only_before.is_err(), "said to an earlier life");
    }
}
