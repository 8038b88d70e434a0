//! A real relay on a loopback port, endpoints that dial through it, and a wire that can be cut.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use beach_lifeguard_client::{
    Access, Claims, FeatureBits, Role,
    membership::{Credentials, Identity, LinkSecret},
    token::{AUDIENCE, Capability, KeyId, TokenSigner, TokenVerifier},
};
use bytes::Bytes;
use lifeguard_relay::{
    app,
    kill_switch::KillSwitch,
    listen::{Caps, Connections},
    relay::{Admission, Relay, RelayConfig},
    store::MemoryStore,
    telemetry::metrics::Metrics,
};
use tokio::{
    io::copy,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use transport_core::{
    Closed, ConnectError, Connector, DialRole, Generation, Lane, PeerId, SessionId, Target, Transport,
    TransportExt,
};
use transport_ws_fallback::{Grant, TokenFailure, TokenFor, TokenProvider, WsConfig, WsFallbackConnector};
use uuid::Uuid;

const ISSUER: &str = "https://control.test";

/// A relay, and the key that signs for it.
pub struct Rig {
    pub relay: Relay,
    pub address: SocketAddr,
    signer: TokenSigner,
    minted: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Rig {
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), quick_goodbyes()).await
    }

    pub async fn at(address: SocketAddr, config: RelayConfig) -> Self {
        let signer = TokenSigner::from_seed(KeyId::parse("test").unwrap(), &[7; 32]).unwrap();
        let key = (signer.key_id().clone(), signer.public_key());
        let verifier = TokenVerifier::new(ISSUER, [key]);
        let admission = Admission::new(verifier, Arc::new(MemoryStore::new()), KillSwitch::new(None));
        let relay = Relay::new(config, admission, Arc::new(Metrics::new()));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let connections = Connections::new(Caps::default());
        let running = tokio::spawn(app::serve_relay(relay.clone(), listener, connections, stop.clone()));
        Self { relay, address, signer, minted: Arc::default(), stop, running }
    }

    /// How many tokens were asked for.
    pub fn minted(&self) -> usize {
        self.minted.load(Relaxed)
    }

    /// An endpoint of `session` whose connector goes through `via`.
    pub fn endpoint_via(&self, session: SessionId, role: Role, via: SocketAddr) -> Endpoint {
        let minted = Arc::new(Minted { signer: self.signer.clone(), role, count: self.minted.clone() });
        let identity = Identity::random().unwrap();
        let credentials = match role {
            Role::Host => Credentials::host(identity),
            Role::Viewer => {
                let link = LinkSecret::from_bytes([1; 16]);
                Credentials::viewer(identity.public(), identity, link, Access::Full)
            }
        };
        let mut config = WsConfig::new("http://127.0.0.1:1".parse().unwrap(), credentials);
        config.relay_url = Some(format!("ws://{via}/v2/ws").parse().unwrap());
        config.heartbeat = Some(Duration::from_millis(300));
        config.deadlines.peer = Duration::from_secs(3);
        Endpoint::new(session, PeerId::random(), config, minted)
    }

    pub fn endpoint(&self, session: SessionId, role: Role) -> Endpoint {
        self.endpoint_via(session, role, self.address)
    }

    /// A host and a viewer of a fresh session.
    pub fn pair(&self) -> (Endpoint, Endpoint) {
        let session = SessionId::random();
        (self.endpoint(session, Role::Host), self.endpoint(session, Role::Viewer))
    }

    /// Tells the relay to stop, as a signal would, and waits.
    pub async fn stop(self) {
        self.stop.cancel();
        soon(self.running).await.unwrap();
    }
}

/// The defaults, but for goodbyes: tests do not wait for people.
pub fn quick_goodbyes() -> RelayConfig {
    let mut config = RelayConfig::default();
    config.drain.grace = Duration::from_millis(200);
    config.drain.spread = Duration::from_millis(50);
    config
}

/// Mints as the control plane does, with the relay's own key.
#[derive(Debug)]
struct Minted {
    signer: TokenSigner,
    role: Role,
    count: Arc<AtomicUsize>,
}

#[async_trait]
impl TokenProvider for Minted {
    async fn token(&self, whom: TokenFor) -> Result<Grant, TokenFailure> {
        self.count.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: Uuid::from_bytes(*whom.peer.as_bytes()),
            aud: AUDIENCE.to_owned(),
            session_id: Uuid::from_bytes(*whom.session.as_bytes()),
            cohort_id: "public".to_owned(),
            role: self.role,
            access: Access::Full,
            link: None,
            iat: now,
            nbf: now,
            exp: now + 60,
            jti: Uuid::new_v4(),
            feature_bits: FeatureBits { telemetry_enabled: false, fallback_authorized: true },
            capabilities: vec![Capability::V2.label().to_owned()],
        };
        let token = self.signer.sign(&claims).unwrap();
        Ok(Grant { token, expires_at: SystemTime::now() + Duration::from_secs(60), relay_url: None })
    }

    fn rescue(&self, _: TokenFor) -> Option<Grant> {
        None
    }
}

/// One side of a session.
#[derive(Debug)]
pub struct Endpoint {
    pub session: SessionId,
    pub peer: PeerId,
    pub connector: WsFallbackConnector,
    pub config: WsConfig,
    pub tokens: Arc<dyn TokenProvider>,
}

impl Endpoint {
    fn new(session: SessionId, peer: PeerId, config: WsConfig, tokens: Arc<dyn TokenProvider>) -> Self {
        let connector = WsFallbackConnector::new(config.clone(), tokens.clone()).unwrap();
        Self { session, peer, connector, config, tokens }
    }

    /// The same endpoint once more, as after a restart of its process.
    pub fn twin(&self) -> Self {
        Self::new(self.session, self.peer, self.config.clone(), self.tokens.clone())
    }

    /// The same endpoint with what its configuration says now.
    pub fn renewed(self) -> Self {
        Self::new(self.session, self.peer, self.config, self.tokens)
    }

    pub fn target(&self, other: &Endpoint, generation: u32) -> Target {
        Target::new(self.session, self.peer, other.peer, DialRole::Offerer, Generation(generation))
    }

    pub async fn dial(&self, other: &Endpoint, generation: u32) -> Result<Box<dyn Transport>, ConnectError> {
        self.connector.connect(&self.target(other, generation)).await
    }
}

/// Connects both sides at once.
pub async fn link(a: &Endpoint, b: &Endpoint, generation: u32) -> (Box<dyn Transport>, Box<dyn Transport>) {
    let (near, far) = tokio::join!(a.dial(b, generation), b.dial(a, generation));
    (near.unwrap(), far.unwrap())
}

/// Fails a test that hangs.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

pub async fn say(link: &dyn Transport, lane: Lane, text: &'static str) {
    soon(link.send(lane, Bytes::from_static(text.as_bytes()))).await.unwrap();
}

pub async fn hear(link: &dyn Transport) -> (Lane, String) {
    let inbound = soon(link.recv()).await.unwrap();
    (inbound.lane, String::from_utf8(inbound.payload.to_vec()).unwrap())
}

pub async fn end(link: &dyn Transport) -> Closed {
    soon(link.closed()).await
}

/// A TCP wire in front of the relay: stalled, it takes bytes no more and says nothing.
#[derive(Debug)]
pub struct Wire {
    pub address: SocketAddr,
    stalled: watch::Sender<bool>,
    /// Connections older than this are stalled for ever.
    lost: watch::Sender<usize>,
    task: JoinHandle<()>,
}

impl Wire {
    pub async fn to(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stalled, flow) = watch::channel(false);
        let (lost, losing) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (flow, mut losing) = (flow.clone(), losing.clone());
                let born = *losing.borrow();
                connections.spawn(async move {
                    let relay = TcpStream::connect(relay).await.unwrap();
                    // Both sockets stay open: neither side is told.
                    let mut sockets = (client, relay);
                    tokio::select! {
                        () = forward(&mut sockets, flow) => return,
                        _ = losing.wait_for(|lost| *lost > born) => {}
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { address, stalled, lost, task }
    }

    /// Forgets the connections there are, as a NAT does: what they carry vanishes, and fresh ones work.
    pub fn lose_what_is_open(&self) {
        self.lost.send_modify(|lost| *lost += 1);
    }

    pub fn stall(&self) {
        self.stalled.send_replace(true);
    }

    pub fn heal(&self) {
        self.stalled.send_replace(false);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward((client, relay): &mut (TcpStream, TcpStream), mut flow: watch::Receiver<bool>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_relay, mut to_relay) = relay.split();
    let both =
        async { tokio::join!(copy(&mut from_client, &mut to_relay), copy(&mut from_relay, &mut to_client)) };
    tokio::pin!(both);
    loop {
        if flow.wait_for(|stalled| !stalled).await.is_err() {
            return;
        }
        tokio::select! {
            _ = &mut both => return,
            stalled = flow.wait_for(|stalled| *stalled) => if stalled.is_err() { return },
        }
    }
}
