//! Signaling through the control plane: a WebSocket into the session's room, and the registration that
//! makes the room exist.

mod backoff;
mod register;
mod room;
mod wire;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use tokio::{
    sync::{Mutex, Notify, mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use transport_core::{
    PeerId, SessionId,
    signaling::{MAX_ENVELOPE, Signaling, SignalingError, SignalingEvent},
};
use url::Url;
use zeroize::Zeroizing;

use crate::tls;

pub use register::{RegisterError, Registered, register};

/// Where the room is and how to enter it.
#[derive(Clone)]
#[non_exhaustive]
pub struct WsSignalingConfig {
    /// Base address of the control plane: `https://…`, `http://…`, `wss://…` or `ws://…`. Any path in
    /// it is kept as a prefix.
    pub base: Url,
    /// The session whose room is entered.
    pub session: SessionId,
    /// This endpoint; the room tells its own presence from others' by it.
    pub local: PeerId,
    /// Makes a fresh proof of membership, purpose `signaling`, for each entry.
    pub prove: Prove,
    /// The verifier that a host registers before each entry: a control plane that restarted without
    /// its memory learns the session again. `None` for viewers.
    pub register: Option<Zeroizing<[u8; 32]>>,
    /// Further roots that the control plane may be certified by, beside the web's.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

/// Makes a fresh membership proof: the JSON object that the control plane takes. Each has its own
/// nonce, so it is called for every connection.
pub type Prove = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

impl WsSignalingConfig {
    /// Names the required parts.
    pub fn new(base: Url, session: SessionId, local: PeerId, prove: Prove) -> Self {
        Self { base, session, local, prove, register: None, extra_roots: Vec::new() }
    }
}

impl fmt::Debug for WsSignalingConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsSignalingConfig")
            .field("session", &self.session)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// A place in the control plane's room. Reconnects by itself with jittered backoff; dropping it leaves.
pub struct WsSignaling {
    outbox: mpsc::Sender<(PeerId, Bytes)>,
    events: Mutex<mpsc::Receiver<SignalingEvent>>,
    state: watch::Receiver<RoomState>,
    doubted: Arc<Notify>,
    _task: JoinSet<()>,
}

/// How this side stands with the room.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RoomState {
    Down,
    Up,
    /// It will never work again.
    Over(SignalingError),
}

impl WsSignaling {
    /// Begins to enter the room, and returns at once; [`recv`](Signaling::recv) says
    /// [`SignalingEvent::Up`] when inside. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SignalingError::Unreachable`] when the base address has no such room or TLS cannot be set up.
    pub fn join(config: WsSignalingConfig) -> Result<Self, SignalingError> {
        let misuse = |detail: &str| SignalingError::Unreachable { detail: detail.to_owned() };
        let tls = tls::client_config(&config.extra_roots).map_err(|_| misuse("TLS cannot be set up"))?;
        let path = format!("v1/signaling/{}", config.session);
        let address = address(&config.base, &path, Protocol::WebSocket);
        let address = address.ok_or_else(|| misuse("the control plane's address cannot be used"))?;
        let (outbox, said) = mpsc::channel(QUEUE);
        let (events, inbox) = mpsc::channel(QUEUE);
        let (state, watched) = watch::channel(RoomState::Down);
        let mut task = JoinSet::new();
        let doubted = Arc::<Notify>::default();
        let room = room::Room { address, tls, config, said, events, state, doubted: doubted.clone() };
        task.spawn(room::stay(room));
        Ok(Self { outbox, events: Mutex::new(inbox), state: watched, doubted, _task: task })
    }
}

#[async_trait]
impl Signaling for WsSignaling {
    async fn send(&self, to: PeerId, envelope: Bytes) -> Result<(), SignalingError> {
        if envelope.len() > MAX_ENVELOPE {
            return Err(SignalingError::TooLarge);
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| *state != RoomState::Down);
        match timeout(PATIENCE, settled).await.map(|state| state.map(|state| state.clone())) {
            Ok(Ok(RoomState::Over(error))) => return Err(error),
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(SignalingError::Closed),
            Err(_) => return Err(SignalingError::Unreachable { detail: "not in the room".to_owned() }),
        }
        self.outbox.send((to, envelope)).await.map_err(|_| SignalingError::Closed)
    }

    async fn recv(&self) -> Result<SignalingEvent, SignalingError> {
        let event = self.events.lock().await.recv().await;
        event.ok_or_else(|| match &*self.state.borrow() {
            RoomState::Over(error) => error.clone(),
            _ => SignalingError::Closed,
        })
    }

    fn doubt(&self) {
        self.doubted.notify_one();
    }
}

impl fmt::Debug for WsSignaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsSignaling").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    WebSocket,
}

/// Appends `path` to `base` and gives it the scheme of `protocol`, as secure as the base's.
fn address(base: &Url, path: &str, protocol: Protocol) -> Option<Url> {
    let scheme = match (base.scheme(), protocol) {
        ("https" | "wss", Protocol::Http) => "https",
        ("https" | "wss", Protocol::WebSocket) => "wss",
        ("http" | "ws", Protocol::Http) => "http",
        ("http" | "ws", Protocol::WebSocket) => "ws",
        _ => return None,
    };
    let rest = base.as_str().split_once(':')?.1;
    let rest = rest.split(['?', '#']).next()?.trim_end_matches('/');
    Url::parse(&format!("{scheme}:{rest}/{path}")).ok()
}

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// How long a message waits for the room to be reachable; the dial's stages have deadlines of their own.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_host_prefix_and_security() {
        for (base, expected) in [
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/x"),
            ("https://example.org/beach/", "wss://example.org/beach/v1/x"),
            ("wss://example.org?a=b#c", "wss://example.org/v1/x"),
        ] {
            let address = address(&base.parse().unwrap(), "v1/x", Protocol::WebSocket).unwrap();
            assert_eq!(address.as_str(), expected);
        }
        assert_eq!(address(&"ftp://example.org".parse().unwrap(), "x", Protocol::Http), None);
    }
}
