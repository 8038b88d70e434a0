//! The joining side: meets the host and leads the session.

use std::{fmt, sync::Arc};

use tokio::sync::{mpsc, watch};
use transport_core::{
    PeerId, Role, Text,
    judge::{Event, Judge},
    policy::{ConfigError, Gates, PolicyConfig},
    secure::{Access, Identity},
    signaling::{Exchange, ExchangeEvent, Message, Sealer},
};

use crate::{
    assembly::{Assembled, Assembly, assemble},
    config::NetworkConfig,
    core::SessionCore,
    endpoint::{Endpoint, Party, Ways},
    error::{JoinError, word_of},
    host::unix_now,
    link::JoinLink,
    meeting::{Meeting, Met},
    pump::Attach,
    rendezvous::{Membership, Missing, Rendezvous, inside},
    runtime::{Instant, now, sleep_until, spawn},
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
