//! Relay and control plane in one process, for tests, demos and newcomers.

use std::{net::SocketAddr, sync::Arc};

use beach_lifeguard_client::{CloseCode, token::KeyError};
use tokio::net::UdpSocket;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::Admin,
    app,
    control::{ControlConfig, ControlPlane, TokenKeys},
    kill_switch::KillSwitch,
    listen::{self, Caps, Certificates, Connections, ListenConfig, TlsError},
    page::{Page, PageConfig, PageError},
    relay::{Admission, Relay, RelayConfig},
    service::{Handed, Place},
    store::{MemoryStore, Store},
    stun,
    telemetry::metrics::Metrics,
};

/// What a development service can be told.
///
/// # Defaults
///
/// Loopback ports chosen by the system, no TLS, the fallback enabled for everybody, everything else as in
/// production.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DevConfig {
    /// Where clients connect: relay, tokens and signaling on one port. Port 0 lets the system choose.
    pub public: SocketAddr,
    /// Where the operator connects.
    pub admin: SocketAddr,
    /// Where to answer STUN by UDP; the control plane names it to clients. Port 0 lets the system
    /// choose. Default nowhere; the command `dev` answers.
    pub stun: Option<SocketAddr>,
    /// Serve TLS with a certificate made at start.
    pub tls: bool,
    /// Serve TLS with this one instead. Default none.
    pub certificates: Option<Arc<Certificates>>,
    /// `HOST:PORT` under which clients reach it, by TCP and, for STUN, by UDP. The relay has no URL of its own then: clients
    /// take it from the control plane's, whatever that is from where they are. Default: the addresses that it listens on.
    pub advertised: Option<String>,
    /// Caps on connections. A test on one machine is many clients, so nobody is too many here.
    pub caps: Caps,
    /// The relay plane.
    pub relay: RelayConfig,
    /// The control plane. The relay's URL is filled in.
    pub control: ControlConfig,
    /// The page behind a join link.
    pub page: PageConfig,
    /// Make the relay one of a pool, under its own URL. Needs a store that nodes share.
    pub pooled: bool,
}

impl Default for DevConfig {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut relay = RelayConfig::default();
        relay.limits.address_connections = crate::relay::Rate::UNLIMITED;
        Self {
            public: loopback,
            admin: loopback,
            stun: None,
            tls: false,
            certificates: None,
            advertised: None,
            caps: Caps { strangers: 4_096, ..Caps::default() },
            relay,
            control: ControlConfig::development(),
            page: PageConfig::default(),
            pooled: false,
        }
    }
}

/// A running relay and control plane with a memory store and keys made at start.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use lifeguard_relay::{Dev, DevConfig};
///
/// let dev = Dev::start(DevConfig::default()).await?;
/// println!("control plane {}, relay {}", dev.public_url(), dev.relay_ws_url());
/// assert_eq!(dev.live_relay_sockets(), 0);
/// dev.shutdown().await;
/// # Ok::<(), lifeguard_relay::dev::DevError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Dev {
    public: SocketAddr,
    /// `HOST:PORT`, as clients reach it.
    authority: String,
    tls: bool,
    admin: SocketAddr,
    stun: Option<SocketAddr>,
    certificate: Option<String>,
    relay: Relay,
    store: Arc<dyn Store>,
    keys: TokenKeys,
    kill_switch: KillSwitch,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Dev {
    /// Starts it. Everything it runs ends with [`shutdown`](Self::shutdown), or when it is dropped.
    ///
    /// # Errors
    ///
    /// [`DevError`] when an address is taken or the system has no random numbers.
    pub async fn start(config: DevConfig) -> Result<Self, DevError> {
        let keys = TokenKeys::generate(config.control.issuer.clone())?;
        Self::start_with(config, Arc::new(MemoryStore::new()), keys).await
    }

    /// Starts a second node of the same service: it shares the store and the keys, so that a session may
    /// leave one and go on at the other.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_another(&self, config: DevConfig) -> Result<Self, DevError> {
        Self::start_with(config, self.store.clone(), self.keys.clone()).await
    }

    /// Starts a node with this store and these keys, which others may have too.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_with(
        config: DevConfig,
        store: Arc<dyn Store>,
        keys: TokenKeys,
    ) -> Result<Self, DevError> {
        Self::start_on(config, store, keys, &mut Handed::default()).await
    }

    /// As [`start_with`](Self::start_with), on sockets that were handed over, where there are some.
    pub(crate) async fn start_on(
        mut config: DevConfig,
        store: Arc<dyn Store>,
        keys: TokenKeys,
        handed: &mut Handed,
    ) -> Result<Self, DevError> {
        let mut bind = |place, address| {
            handed.listen(place, address).map_err(|source| DevError::Bind { address, source })
        };
        let listener = bind(Place::Public, config.public)?;
        let admin_listener = bind(Place::Admin, config.admin)?;
        let (public, admin) = (listener.local_addr()?, admin_listener.local_addr()?);
        let answering = config
            .stun
            .map(|address| stun::bind(address).map_err(|source| DevError::BindStun { address, source }));
        let answering = answering.transpose()?;
        let stun = answering.as_ref().map(UdpSocket::local_addr).transpose()?;
        let named = |address: SocketAddr| config.advertised.clone().unwrap_or_else(|| address.to_string());
        let authority = named(public);
        config.control.stun.urls.extend(stun.map(|address| format!("stun:{}", named(address))));
        let (certificates, certificate) = match config.certificates {
            Some(certificates) => (Some(certificates), None),
            None if config.tls => {
                let (certificates, pem) = Certificates::self_signed(&["localhost", "127.0.0.1"])?;
                (Some(Arc::new(certificates)), Some(pem))
            }
            None => (None, None),
        };
        let tls = certificates.is_some();
        if config.advertised.is_none() {
            config.control.relay_url.get_or_insert_with(|| relay_ws_url(&authority, tls));
        }
        if config.pooled {
            config.relay.public_url = Some(relay_ws_url(&authority, tls));
        }

        let page = Page::new(&config.page)?;
        let metrics = Arc::new(Metrics::new());
        metrics.certificate_expires(certificates.as_ref().map_or(0, |certificates| certificates.expires()));
        let kill_switch = KillSwitch::new(Some(store.clone()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(kill_switch.clone().follow(metrics.clone(), stop.clone()));

        if let Some(socket) = answering {
            let stun = config.control.stun.clone();
            tasks.spawn(stun::serve(socket, stun, metrics.clone(), stop.clone()));
        }
        let admission = Admission::new(keys.verifier(), store.clone(), kill_switch.clone());
        let relay = Relay::new(config.relay, admission, metrics.clone());
        let control = ControlPlane::new(
            config.control,
            store.clone(),
            keys.clone(),
            metrics.clone(),
            kill_switch.clone(),
            stop.clone(),
        );
        let ready = app::relay_readiness(&relay);
        let routes = relay.router().merge(control.router()).merge(page.router());
        let operator = Admin::new(
            Some(relay.clone()),
            kill_switch.clone(),
            metrics.clone(),
            ready.clone(),
            None,
            Vec::new(),
        );
        let serve = |listener, certificates, app, connections| {
            let config = ListenConfig::default();
            tasks.spawn(listen::serve(
                listener,
                certificates,
                app,
                config,
                connections,
                stop.clone(),
                tasks.clone(),
            ));
        };
        let connections = Connections::counting(config.caps, metrics.clone());
        serve(listener, certificates, app::public(routes, ready), connections);
        serve(admin_listener, None, operator.router(), Connections::new(Caps::default()));
        Ok(Self {
            public,
            authority,
            tls,
            admin,
            stun,
            certificate,
            relay,
            store,
            keys,
            kill_switch,
            metrics,
            stop,
            tasks,
        })
    }

    /// The control plane's base URL: `http://127.0.0.1:PORT`, or `https` with TLS.
    pub fn public_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// Where it listens for clients.
    pub fn listen_addr(&self) -> SocketAddr {
        self.public
    }

    /// The relay's WebSocket URL, `ws://127.0.0.1:PORT/v2/ws`, or `wss` with TLS.
    pub fn relay_ws_url(&self) -> String {
        relay_ws_url(&self.authority, self.tls)
    }

    /// The operator's base URL: `http://127.0.0.1:PORT`.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Where STUN is answered by UDP, if it is.
    pub fn stun_addr(&self) -> Option<SocketAddr> {
        self.stun
    }

    /// The certificate to trust, PEM, where one was made at start.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Relay sockets that are open now, admitted or not.
    pub fn live_relay_sockets(&self) -> usize {
        self.relay.live_sockets()
    }

    /// Relay sockets that were ever opened.
    pub fn total_relay_connections(&self) -> u64 {
        self.relay.total_connections()
    }

    /// The relay plane itself.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The kill switch.
    pub fn kill_switch(&self) -> &KillSwitch {
        &self.kill_switch
    }

    /// The metrics, as `/metrics` shows them.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn shared_metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Lets everybody go within the relay's grace time, then ends everything. Returns how many peers had
    /// to be closed.
    pub async fn drain(self) -> usize {
        let closed = self.relay.drain(CloseCode::RESTART).await;
        self.shutdown().await;
        closed
    }

    /// Ends everything now. Peers are closed with 4012 and may come back to the next one.
    pub async fn shutdown(self) {
        self.relay.shutdown(CloseCode::RESTART).await;
        self.stop.cancel();
        self.tasks.close();
        // Each task ends by its own deadline once `stop` is set.
        self.tasks.wait().await;
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.relay.abandon();
        self.stop.cancel();
    }
}

fn relay_ws_url(authority: &str, tls: bool) -> String {
    let scheme = if tls { "wss" } else { "ws" };
    format!("{scheme}://{authority}{}", beach_lifeguard_client::RELAY_PATH)
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// An address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address for STUN is taken, or not this machine's.
    #[error("cannot answer STUN on {address}: {source}")]
    BindStun {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The system has no random numbers.
    #[error("cannot make a signing key")]
    Key(#[from] KeyError),
    /// A listener without an address.
    #[error("the listener is gone")]
    Listener(#[from] std::io::Error),
    /// The page cannot be served.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The certificate could not be made.
    #[error("cannot make a certificate")]
    Tls(#[from] TlsError),
}
