//! A control plane and a relay on one loopback port, and somebody who uses them.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use beach_lifeguard_client::{
    Access, Role,
    api::TokenResponse,
    membership::{Credentials, Identity, LinkSecret, MembershipProof, Purpose},
    session::{DocumentLink, SessionDocument, SignedDocument},
    token::TokenVerifier,
};
use lifeguard_relay::{
    ControlPlane, Relay, RelayConfig, app,
    control::{ControlConfig, TokenKeys},
    kill_switch::KillSwitch,
    listen::{self, Caps, Connections, ListenConfig},
    relay::{Admission, Rate},
    store::{MemoryStore, Store},
    telemetry::metrics::Metrics,
};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub struct Plane {
    pub address: SocketAddr,
    pub metrics: Arc<Metrics>,
    pub kill_switch: KillSwitch,
    pub store: Arc<dyn Store>,
    pub verifier: TokenVerifier,
    pub relay: Relay,
    http: reqwest::Client,
    stop: CancellationToken,
}

impl Plane {
    pub async fn start(config: ControlConfig) -> Self {
        Self::with(config, Arc::new(MemoryStore::new())).await
    }

    pub async fn with(config: ControlConfig, store: Arc<dyn Store>) -> Self {
        let keys = TokenKeys::generate(config.issuer.clone()).unwrap();
        Self::node(config, store, keys, |_, _| {}).await
    }

    /// One node of several: with keys that others have too, and a relay of its own making.
    pub async fn node(
        config: ControlConfig,
        store: Arc<dyn Store>,
        keys: TokenKeys,
        make: impl FnOnce(SocketAddr, &mut RelayConfig),
    ) -> Self {
        config.check().unwrap();
        // The binary does this once; here every test is its own process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (metrics, stop) = (Arc::new(Metrics::new()), CancellationToken::new());
        let kill_switch = KillSwitch::new(Some(store.clone()));
        tokio::spawn(kill_switch.clone().follow(metrics.clone(), stop.clone()));
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let verifier = keys.verifier();
        let mut relay = RelayConfig::default();
        relay.limits.address_connections = Rate::UNLIMITED;
        relay.drain.grace = Duration::from_millis(100);
        make(address, &mut relay);
        let admission = Admission::new(keys.verifier(), store.clone(), kill_switch.clone());
        let relay = Relay::new(relay, admission, metrics.clone());
        let control = ControlPlane::new(
            config,
            store.clone(),
            keys,
            metrics.clone(),
            kill_switch.clone(),
            stop.clone(),
        );
        let ready = app::relay_readiness(&relay);
        let app = app::public(relay.router().merge(control.router()), ready);
        let mut caps = Caps::default();
        caps.strangers = 4_096;
        let serving = listen::serve(
            listener,
            None,
            app,
            ListenConfig::default(),
            Connections::new(caps),
            stop.clone(),
            TaskTracker::new(),
        );
        tokio::spawn(serving);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address, metrics, kill_switch, store, verifier, relay, http, stop }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Posts JSON; returns the status and the answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_as(path, body, None).await
    }

    /// The same, with a bearer token.
    pub async fn post_as(&self, path: &str, body: &Value, bearer: Option<&str>) -> (u16, Value) {
        let request = self.http.post(self.url(path)).json(body);
        let request = match bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Registers a new session.
    pub async fn session(&self) -> Person {
        let person = Person::new();
        assert_eq!(self.register(&person).await.0, 201);
        person
    }

    pub async fn register(&self, person: &Person) -> (u16, Value) {
        self.publish(&person.document(1).sign(&person.host)).await
    }

    pub async fn publish(&self, document: &SignedDocument) -> (u16, Value) {
        self.post("/v1/sessions", &serde_json::to_value(document).unwrap()).await
    }

    /// How often a token was asked for with this result.
    pub fn requests(&self, outcome: &str, guardrail: &str) -> u64 {
        self.metrics.read("beach_fallback_token_requests", &[outcome, guardrail])
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A member of a session, and what a test needs to know of the rest of it.
#[derive(Debug, Clone)]
pub struct Person {
    pub session: Uuid,
    pub peer: Uuid,
    pub role: Role,
    /// The host's key, whoever this is.
    pub host: Identity,
    pub identity: Identity,
    /// A link that allows everything.
    pub link: LinkSecret,
    pub access: Access,
}

impl Person {
    /// The host of a session that nobody knows.
    pub fn new() -> Self {
        let host = Identity::random().unwrap();
        Self {
            session: Uuid::from_bytes(host.public().session_id()),
            peer: Uuid::from_bytes(host.public().peer_id()),
            role: Role::Host,
            identity: host.clone(),
            host,
            link: LinkSecret::from_bytes([9; 16]),
            access: Access::Full,
        }
    }

    /// A viewer of the same session.
    pub fn viewer(&self) -> Self {
        let identity = Identity::random().unwrap();
        let peer = Uuid::from_bytes(identity.public().peer_id());
        Self { identity, peer, role: Role::Viewer, ..self.clone() }
    }

    /// The session with its one link.
    pub fn document(&self, revision: u64) -> SessionDocument {
        let mut document = SessionDocument::new(self.host.public(), revision);
        document.links.push(DocumentLink::new(&self.link, Access::Full));
        document
    }

    pub fn credentials(&self) -> Credentials {
        match self.role {
            Role::Host => Credentials::host(self.identity.clone()),
            Role::Viewer => {
                Credentials::viewer(self.host.public(), self.identity.clone(), self.link.clone(), self.access)
            }
        }
    }

    pub fn proof(&self, purpose: Purpose) -> MembershipProof {
        self.credentials().prove(purpose, SystemTime::now(), *Uuid::new_v4().as_bytes())
    }

    /// A request that is granted.
    pub fn request(&self) -> Value {
        json!({ "session_id": self.session, "proof": self.proof(Purpose::Token) })
    }

    pub fn turn_request(&self) -> Value {
        json!({ "session_id": self.session, "proof": self.proof(Purpose::Turn) })
    }

    pub async fn token(&self, plane: &Plane) -> TokenResponse {
        let (status, answer) = plane.post("/v1/fallback/token", &self.request()).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer).unwrap()
    }
}
