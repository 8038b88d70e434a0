//! Relay and control plane inside somebody else's axum service, over a listener that is not ours.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use axum::{Router, routing::get, serve::Listener};
use beach_lifeguard_client::{
    Access, Lane, Role, SUBPROTOCOL,
    membership::{Credentials, Identity, LinkSecret, Purpose},
    session::{DocumentLink, SessionDocument},
    signaling::{FromRoom, RoomPeer, ToRoom},
    token::{KeyId, TokenSigner, TokenVerifier},
};
use bytes::Bytes;
use futures::StreamExt;
use lifeguard_relay::{
    ControlPlane, Relay,
    control::{ControlConfig, TokenKeys},
    kill_switch::KillSwitch,
    relay::Admission,
    store::{MemoryStore, Store},
    telemetry::metrics::Metrics,
};
use relay_support::{Client, Heard, ISSUER, SEED, claims, config, hello, v1_claims};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
use uuid::Uuid;

#[tokio::test]
async fn a_foreign_service_carries_both_wires_and_a_room_and_hears_once_what_is_missing() {
    let warnings = Arc::new(AtomicUsize::new(0));
    let subscriber = tracing_subscriber::registry().with(Counting(warnings.clone()));
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    carries_everything(listener.local_addr().unwrap(), |app| tokio::spawn(serve(listener, app))).await;
    assert_eq!(warnings.load(Relaxed), 1, "no listener of ours");

    // A stream of a type that nobody but the service knows.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    carries_everything(address, |app| tokio::spawn(serve(VeiledListener(listener), app))).await;
    assert_eq!(warnings.load(Relaxed), 2, "and no socket that can be taken over");
}

async fn serve<L: Listener>(listener: L, app: Router)
where
    L::Addr: std::fmt::Debug,
{
    axum::serve(listener, app).await.unwrap();
}

async fn carries_everything(address: SocketAddr, spawn: impl FnOnce(Router) -> tokio::task::JoinHandle<()>) {
    let signer = TokenSigner::from_seed(KeyId::parse("test").unwrap(), &SEED).unwrap();
    let (store, metrics) = (Arc::new(MemoryStore::new()), Arc::new(Metrics::new()));
    let (kill_switch, stop) = (KillSwitch::local(), CancellationToken::new());
    let verifier = TokenVerifier::new(ISSUER, [(signer.key_id().clone(), signer.public_key())]);
    let admission = Admission::new(verifier, store.clone(), kill_switch.clone());
    let relay = Relay::new(config(), admission, metrics.clone());
    let control = ControlPlane::new(
        ControlConfig::development(),
        store.clone(),
        TokenKeys::generate(ISSUER).unwrap(),
        metrics,
        kill_switch,
        stop.clone(),
    );
    let app = Router::new()
        .route("/", get(|| async { "somebody else's" }))
        .nest("/tenants/{tenant}/beach", relay.router().merge(control.router()));
    let serving = spawn(app);

    carries_v2(address, &signer).await;
    carries_v1(address, &signer).await;
    carries_a_room(address, &*store).await;

    relay.shutdown(beach_lifeguard_client::CloseCode::RESTART).await;
    assert_eq!(relay.live_sockets(), 0);
    stop.cancel();
    serving.abort();
}

async fn carries_v2(address: SocketAddr, signer: &TokenSigner) {
    let session = Uuid::new_v4();
    let join = async |role| {
        let peer = Uuid::new_v4();
        let token = signer.sign(&claims(session, peer, role)).unwrap();
        let offer = [("sec-websocket-protocol", SUBPROTOCOL)];
        let path = format!("{PREFIX}/v2/ws");
        let mut client = Client::connect(address, &path, &offer).await.unwrap();
        client.say(Message::text(hello(session, peer, role, token).encode())).await;
        client.welcome().await;
        client
    };
    let (mut host, mut viewer) = (join(Role::Host).await, join(Role::Viewer).await);
    let (to_host, to_viewer) = (host.address(), viewer.address());
    viewer.send(to_host, Lane::Reliable, b"hello").await;
    assert_eq!(host.data().await, (to_viewer, Bytes::from_static(b"hello")));
    // More than the socket's buffers take while nobody reads, less than the peer's budget above them; and
    // several times over, in order.
    for round in 0..4_u8 {
        for n in 0..12_u8 {
            host.send(to_viewer, Lane::Reliable, &[round * 12 + n; 32 * 1024]).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        for n in 0..12_u8 {
            let (from, payload) = viewer.data().await;
            assert_eq!((from, payload.len()), (to_host, 32 * 1024));
            assert!(payload.iter().all(|byte| *byte == round * 12 + n), "{round}, {n}");
        }
    }
}

async fn carries_v1(address: SocketAddr, signer: &TokenSigner) {
    let session = Uuid::new_v4();
    let join = async || {
        let token = signer.sign(&v1_claims(session)).unwrap();
        let path = format!("{PREFIX}/ws?token={}", token.expose());
        let mut client = Client::connect(address, &path, &[]).await.unwrap();
        client.say(Message::text(format!(
            r#"{{"session_id":"{session}","protocol_version":1,"compression":"None","telemetry":"Disabled"}}"#
        ))).await;
        assert!(matches!(client.hear().await, Heard::Text(_)));
        client
    };
    let (mut a, mut b) = (join().await, join().await);
    a.say(Message::text("a line ✓")).await;
    assert_eq!(b.hear().await, Heard::Text("a line ✓".to_owned()));
    b.say(Message::text("back")).await;
    assert_eq!(a.hear().await, Heard::Text("back".to_owned()));
}

async fn carries_a_room(address: SocketAddr, store: &dyn Store) {
    let (host, link) = (Identity::random().unwrap(), LinkSecret::from_bytes([9; 16]));
    let mut document = SessionDocument::new(host.public(), 1);
    document.links.push(DocumentLink::new(&link, Access::Full));
    let session = document.session_id;
    store.publish(&document.into(), Duration::from_secs(60)).await.unwrap();
    let viewer = Credentials::viewer(host.public(), Identity::random().unwrap(), link, Access::Full);
    let enter = async |member: Credentials| {
        let path = format!("{PREFIX}/v1/signaling/{session}");
        let mut client = Client::connect(address, &path, &[]).await.unwrap();
        let proof = member.prove(Purpose::Signaling, SystemTime::now(), *Uuid::new_v4().as_bytes());
        tell(&mut client, &ToRoom::Hello { proof }).await;
        assert!(matches!(heard(&mut client).await, FromRoom::Welcome { .. }));
        (client, member.peer_id())
    };
    let (mut at_host, host) = enter(Credentials::host(host)).await;
    let (mut at_viewer, viewer) = enter(viewer).await;
    let joined = RoomPeer { peer_id: viewer, role: Role::Viewer };
    assert_eq!(heard(&mut at_host).await, FromRoom::PeerJoined(joined));
    let data = Bytes::from_static(b"offer");
    tell(&mut at_viewer, &ToRoom::Send { to: host, data: data.clone() }).await;
    assert_eq!(heard(&mut at_host).await, FromRoom::Envelope { from: viewer, data });
}

async fn tell(client: &mut Client, message: &ToRoom) {
    client.say(Message::text(serde_json::to_string(message).unwrap())).await;
}

async fn heard(client: &mut Client) -> FromRoom {
    match client.ws.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
        other => panic!("instead of a message: {other:?}"),
    }
}

/// Counts the warnings that something is missing.
struct Counting(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &tracing::Event<'_>, _: LayerContext<'_, S>) {
        if event.metadata().fields().field("missing").is_some() {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

/// TCP that does not look like it.
struct Veiled(TcpStream);

struct VeiledListener(TcpListener);

impl Listener for VeiledListener {
    type Addr = SocketAddr;
    type Io = Veiled;

    async fn accept(&mut self) -> (Veiled, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Veiled(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl AsyncRead for Veiled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Veiled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Where the service has mounted us.
const PREFIX: &str = "/tenants/one/beach";
