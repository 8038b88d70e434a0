//! The sharing side: makes a session known, and gives each viewer its own [`Session`].

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use transport_core::{
    CloseCode, PeerId, Role, SessionId,
    judge::{Event, FollowConfig, Judge},
    policy::Class,
    secure::{Access, HostKey, JoinFragment as Fragment, SessionSecret},
    signaling::{ByeReason, Exchange, ExchangeEvent, Message, Sealer},
};

use crate::{
    assembly::{Assembled, Assembly, assemble},
    config::{FallbackMode, HostConfig},
    core::SessionCore,
    endpoint::{Endpoint, Party, Ways},
    error::ShareError,
    link::{JoinLink, host_peer},
    pump::Attach,
    rendezvous::{Membership, Missing, Rendezvous, inside},
    runtime::{Duration, JoinHandle, JoinSet, UNIX_EPOCH, spawn, timeout, wall_clock},
    session::Session,
};

/// A shared session. Dropping it ends it for every viewer.
pub struct Host {
    link: JoinLink,
    arrivals: Mutex<mpsc::Receiver<Session>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Host {
    /// Shares a new session through the control plane of `config`, by WebRTC and its relay. Viewers
    /// may do everything.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is left running then.
    #[cfg(feature = "control-plane")]
    pub async fn share(config: HostConfig) -> Result<Self, ShareError> {
        Self::share_with_access(config, Access::Full).await
    }

    /// As [`share`](Self::share), and lets viewers do at most `access`.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is left running then.
    #[cfg(feature = "control-plane")]
    pub async fn share_with_access(config: HostConfig, access: Access) -> Result<Self, ShareError> {
        let address = config.address()?;
        let rendezvous = crate::control_plane::ControlPlaneRendezvous::new(address, config.network.clone())
            .map_err(|error| ShareError::Misconfigured(error.to_string()))?;
        Self::meeting_at(config, access, Arc::new(rendezvous)).await
    }

    /// Shares a new session, meeting viewers and connecting as `rendezvous` says.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is left running then.
    pub async fn meeting_at(
        config: HostConfig,
        access: Access,
        rendezvous: Arc<dyn Rendezvous>,
    ) -> Result<Self, ShareError> {
        let address = config.address()?;
        let (secret, key) = (SessionSecret::random()?, HostKey::random()?);
        let fragment = Fragment::new(SessionId::random(), secret.clone(), key.public());
        let mut link = JoinLink::new(address, fragment);
        if let Some(lifetime) = config.link_lifetime {
            link = link.expiring_at(unix_now() + lifetime.as_secs());
        }
        let membership = Membership {
            session: link.session(),
            local: host_peer(&key.public()),
            role: Role::Host,
            access,
            verifier: secret.membership_verifier(),
        };
        let signaling = rendezvous.enter(&membership).await?;
        let sealer = Sealer::new(&secret.signaling_seal(), membership.session, membership.local);
        let exchange = Exchange::new(signaling, sealer, wall_clock);
        inside(&exchange, config.network.connect_timeout).await?;
        // Only now is the session known to whoever admits.
        let missing = rendezvous.prepare(&membership).await.into();
        let mut ways = rendezvous.ways(&membership).map_err(ShareError::Misconfigured)?;
        if config.network.mode == FallbackMode::RelayOnly {
            // The viewer decides among what it is offered.
            ways.retain(|way| way.rung.class == Class::Fallback);
        }
        let endpoint = Endpoint {
            session: membership.session,
            local: membership.local,
            secret,
            party: Party::Host { key, access },
        };
        let (arrived, arrivals) = mpsc::channel(config.max_viewers.clamp(1, 1024));
        let stop = CancellationToken::new();
        let reception = Reception {
            endpoint: Arc::new(endpoint),
            ways: Ways(ways.into()),
            missing,
            exchange,
            config,
            link: link.clone(),
            arrived,
            viewers: BTreeMap::new(),
            drivers: JoinSet::new(),
        };
        let task = spawn(reception.run(stop.clone()));
        Ok(Self { link, arrivals: Mutex::new(arrivals), stop, task: Mutex::new(Some(task)) })
    }

    /// Returns the link that lets others join. Treat it as a password.
    pub fn link(&self) -> &JoinLink {
        &self.link
    }

    /// Waits for the next viewer whose session is usable; `None` after [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn accept(&self) -> Option<Session> {
        self.arrivals.lock().await.recv().await
    }

    /// Ends the session for every viewer and waits until they were told, 3 s at most.
    pub async fn close(&self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().await.take() {
            let _ = timeout(CLOSE, task).await;
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The task that answers the door.
#[derive(Debug)]
struct Reception {
    endpoint: Arc<Endpoint>,
    ways: Ways,
    missing: Arc<[Missing]>,
    exchange: Arc<Exchange>,
    config: HostConfig,
    link: JoinLink,
    arrived: mpsc::Sender<Session>,
    viewers: BTreeMap<PeerId, Viewer>,
    drivers: JoinSet<PeerId>,
}

#[derive(Debug)]
struct Viewer {
    inbox: mpsc::Sender<Event>,
    core: Arc<SessionCore>,
}

impl Reception {
    async fn run(mut self, stop: CancellationToken) {
        let exchange = self.exchange.clone();
        let mut signaling = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = exchange.next(), if signaling => match event {
                    Ok(ExchangeEvent::Message { from, message }) => self.hear(from, message).await,
                    Ok(ExchangeEvent::Joined { peer }) => self.tell(peer, Event::PeerPresent),
                    Ok(ExchangeEvent::Refused { why, .. }) => tracing::info!(%why, "an envelope was refused"),
                    Ok(event) => tracing::debug!(?event, "signaling"),
                    Err(error) => {
                        tracing::error!(%error, "signaling ended: no new viewer can join, those here stay");
                        signaling = false;
                    }
                },
                Some(ended) = self.drivers.join_next() => {
                    if let Ok(peer) = ended {
                        self.viewers.remove(&peer);
                    }
                }
            }
        }
        for viewer in self.viewers.values() {
            viewer.core.close(CloseCode::GOING_AWAY, "the host stopped sharing");
        }
        // The drivers say goodbye over signaling too, which needs nobody to listen.
        while self.drivers.join_next().await.is_some() {}
    }

    async fn hear(&mut self, from: PeerId, message: Message) {
        match message {
            Message::Knock { version, .. } => {
                let answer = self.knocked(from, version);
                self.answer(from, &answer).await;
            }
            Message::Dial { .. } if !self.viewers.contains_key(&from) => {
                // It was away for longer than its session was kept, and must not dial for ever.
                self.answer(from, &Message::Bye { reason: ByeReason::Forgotten }).await;
            }
            message => self.tell(from, Event::Heard(message)),
        }
    }

    /// Brings something to the driver of a viewer that has one.
    fn tell(&self, viewer: PeerId, event: Event) {
        if let Some(viewer) = self.viewers.get(&viewer) {
            // Full: the driver is far behind; what it misses is repeated or times out.
            let _ = viewer.inbox.try_send(event);
        }
    }

    /// Lets a viewer in, or says why not. One that is inside already is welcomed again.
    fn knocked(&mut self, from: PeerId, version: u16) -> Message {
        if version == Message::VERSION && !self.viewers.contains_key(&from) {
            if let Some(reason) = self.objection() {
                return Message::Bye { reason };
            }
            self.admit(from);
        }
        Message::Welcome { version: Message::VERSION, transports: self.ways.transports() }
    }

    /// Says why nobody new is let in, if nobody is.
    fn objection(&self) -> Option<ByeReason> {
        if self.link.check_expiry(unix_now()).is_err() {
            return Some(ByeReason::LinkExpired);
        }
        (self.viewers.len() >= self.config.max_viewers).then_some(ByeReason::Full)
    }

    async fn answer(&self, to: PeerId, answer: &Message) {
        if let Ok(Err(error)) = timeout(WORD, self.exchange.send(to, answer)).await {
            tracing::debug!(%error, "a viewer was not answered");
        }
    }

    fn admit(&mut self, peer: PeerId) {
        let network = &self.config.network;
        let mut following = FollowConfig::new(self.ways.rungs());
        following.mode = network.mode.into();
        // Sessions must not move in step.
        following.seed = rand::random();
        let Assembled { session, driver, inbox } = assemble(Assembly {
            judge: Judge::follow(following),
            attach: Attach::ByFirstFrame,
            gates: None,
            endpoint: self.endpoint.clone(),
            ways: self.ways.clone(),
            missing: self.missing.clone(),
            peer,
            exchange: self.exchange.clone(),
            config: network,
        });
        self.viewers.insert(peer, Viewer { inbox, core: session.core().clone() });
        let arrived = self.arrived.clone();
        self.drivers.spawn(async move {
            let introduce = async {
                if timeout(INTRODUCE, usable(&session)).await.is_ok_and(|usable| usable) {
                    let _ = arrived.send(session).await;
                }
                // Dropping the only handle of a viewer that never came ends its driver.
            };
            tokio::join!(driver.run(), introduce);
            peer
        });
    }
}

/// Waits for the first path; says whether it came before the end.
async fn usable(session: &Session) -> bool {
    loop {
        let changed = session.changed();
        if session.status().path.is_some() {
            return true;
        }
        if session.end().is_some() {
            return false;
        }
        changed.await;
    }
}

fn unix_now() -> u64 {
    wall_clock().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long a viewer that knocked may take to become usable.
const INTRODUCE: Duration = Duration::from_secs(60);
/// How long `close` waits for the viewers to be told.
const CLOSE: Duration = Duration::from_secs(3);
/// How long one answer may take to leave.
const WORD: Duration = Duration::from_secs(5);
