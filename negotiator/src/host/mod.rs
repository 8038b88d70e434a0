//! The sharing side: makes a session known, says who may come, and gives each viewer its own [`Session`].

mod absent;
mod approval;
mod book;
mod guests;
mod host_state;
mod link_secrets;
mod links;
mod members;
mod publish;
mod reception;
mod remembered;

use std::{fmt, sync::Arc};

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use transport_core::{
    PeerId, Role, SessionId,
    policy::Class,
    secure::{Access, Identity},
    signaling::{Exchange, Sealer},
};

pub use self::{
    approval::{Applicant, Approval, Decision},
    links::{LinkInfo, LinkOptions, LinkState, Links},
    members::Member,
};
use self::{
    host_state::HostState,
    link_secrets::{LinksInForce, LinksRemembered},
    publish::publish,
    reception::Reception,
};
use crate::{
    config::{FallbackMode, HostConfig},
    endpoint::{Endpoint, Party, Ways},
    error::ShareError,
    link::JoinLink,
    rendezvous::{Membership, Rendezvous, inside},
    runtime::{Duration, JoinHandle, JoinSet, spawn, timeout},
    session::Session,
};
pub(crate) use host_state::unix_now;

/// A shared session. Dropping it ends it for every viewer.
///
/// # Examples
///
/// ```no_run
/// use negotiator::{Host, HostConfig, Received};
///
/// async fn echo() -> Result<(), Box<dyn std::error::Error>> {
///     let host = Host::share(HostConfig::new("https://beach.example")).await?;
///     println!("join with {}", host.link().reveal());
///     while let Some(viewer) = host.accept().await {
///         tokio::spawn(async move {
///             while let Ok(Received::Message(words)) = viewer.recv().await {
///                 let _ = viewer.send(words).await;
///             }
///         });
///     }
///     Ok(())
/// }
/// ```
pub struct Host {
    link: JoinLink,
    host_state: Arc<HostState>,
    arrivals: Mutex<mpsc::Receiver<Session>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Host {
    /// Shares a new session through the control plane of `config`, by WebRTC and its relay.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is left running then.
    #[cfg(feature = "control-plane")]
    pub async fn share(config: HostConfig) -> Result<Self, ShareError> {
        let rendezvous = crate::control_plane::ControlPlaneRendezvous::of_host(&config)?;
        Self::meeting_at(config, Arc::new(rendezvous)).await
    }

    /// Shares a new session, meeting viewers and connecting as `rendezvous` says.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is left running then.
    pub async fn meeting_at(config: HostConfig, rendezvous: Arc<dyn Rendezvous>) -> Result<Self, ShareError> {
        let (address, identity) = (config.address()?, Identity::random()?);
        let seats = config.max_viewers.clamp(1, 1024);
        let host_state = Arc::new(HostState::new(address, config.certificate_pin, identity.clone(), seats));
        let mut links = Vec::new();
        for options in &config.links {
            links.push(host_state.add_link(options.clone())?.0);
        }
        let no_link = || ShareError::Misconfigured("a session is shared by one link or more".to_owned());
        let link = links.into_iter().next().ok_or_else(no_link)?;
        let revisions = host_state.revisions();
        let membership = Membership {
            session: link.session(),
            local: PeerId::from_bytes(identity.public().peer_id()),
            role: Role::Host,
            access: Access::Full,
            host: identity.public(),
            identity: identity.clone(),
            link: None,
            document: Some(host_state.document()),
        };
        let signaling = rendezvous.enter(&membership).await?;
        let sealer = Sealer::host(identity.clone(), Arc::new(LinksRemembered(host_state.clone())));
        let clock = rendezvous.clone();
        let exchange = Exchange::new(signaling, sealer, move || clock.wall_clock());
        inside(&exchange, config.network.connect_timeout).await?;
        // Only now is the session known to whoever admits.
        let missing = rendezvous.prepare(&membership).await.into();
        let mut ways = rendezvous.ways(&membership).map_err(ShareError::Misconfigured)?;
        if config.network.mode == FallbackMode::RelayOnly {
            // The viewer decides among what it is offered.
            ways.retain(|way| way.rung.class == Class::Fallback);
        }
        let door = Arc::new(LinksInForce(host_state.clone()));
        let endpoint = Endpoint::new(membership.session, identity, Party::Host { door });
        let (arrived, arrivals) = mpsc::channel(seats);
        let stop = CancellationToken::new();
        let mut errands = JoinSet::new();
        errands.spawn(publish(host_state.clone(), revisions, rendezvous.clone(), membership));
        let reception = Reception {
            endpoint: Arc::new(endpoint),
            host_state: host_state.clone(),
            ways: Ways(ways.into()),
            missing,
            exchange,
            rendezvous,
            approval: config.approval,
            network: config.network,
            arrived,
            drivers: JoinSet::new(),
            decisions: JoinSet::new(),
            errands,
        };
        let task = spawn(reception.run(stop.clone()));
        Ok(Self { link, host_state, arrivals: Mutex::new(arrivals), stop, task: Mutex::new(Some(task)) })
    }

    /// Returns the session's id.
    pub fn id(&self) -> SessionId {
        self.link.session()
    }

    /// Returns the first link that lets others join. Treat it as a password.
    pub fn link(&self) -> &JoinLink {
        &self.link
    }

    /// Returns a handle to every link: made, listed and taken back while the session runs.
    pub fn links(&self) -> Links {
        Links::new(self.host_state.clone())
    }

    /// Tells who is here.
    pub fn members(&self) -> Vec<Member> {
        self.host_state.members()
    }

    /// Lets a viewer do at most `access` from its next message on, in the place of what its link allows; never more than
    /// it asked for. The viewer is told. Says whether it is here.
    pub fn set_access(&self, peer: PeerId, access: Access) -> bool {
        self.host_state.set_access(peer, access)
    }

    /// Removes a viewer, and keeps it out: its session ends at once, on every path, and whoever admits is told. Nothing
    /// it sent arrives any more when this returns. Says whether it was here.
    ///
    /// Its link stays in force: who holds it can come back as somebody else.
    pub fn remove(&self, peer: PeerId) -> bool {
        self.host_state.remove(peer)
    }

    /// Waits for the next viewer whose session is usable; `None` after [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use negotiator::{NetworkConfig, testing::MemoryNetwork};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = MemoryNetwork::new();
    /// let host = network.share(MemoryNetwork::host_config()).await?;
    /// let joining = network.viewer(&host, NetworkConfig::default()).connect();
    /// let (joined, accepted) = tokio::join!(joining, host.accept());
    /// assert_eq!(joined?.id(), host.id());
    /// assert!(accepted.is_some());
    /// # Ok(())
    /// # }
    /// ```
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

/// How long `close` waits for the viewers to be told.
const CLOSE: Duration = Duration::from_secs(3);
