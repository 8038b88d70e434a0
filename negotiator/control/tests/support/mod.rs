//! A control plane that keeps one room, as far as a client can tell, and misbehaves on request.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use beach_lifeguard_client::signaling::{FromRoom, RoomPeer, ToRoom};
use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role},
    },
};
use url::Url;
use uuid::Uuid;

/// A running room; dropping it closes everything.
pub(crate) struct Service {
    pub(crate) base: Url,
    pub(crate) root: CertificateDer<'static>,
    state: Arc<State>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct State {
    members: Mutex<HashMap<Uuid, (RoomPeer, mpsc::Sender<Order>)>>,
    behavior: Mutex<Behavior>,
    published: Mutex<Vec<serde_json::Value>>,
    pings: AtomicUsize,
}

enum Order {
    Say(FromRoom),
    Hang,
    Freeze,
    Close(u16, &'static str),
}

/// What the room does to newcomers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Behavior {
    #[default]
    Admit,
    /// Answers everything over HTTP with a status and a reason.
    Http(u16, &'static str),
    /// Closes after the hello.
    Refuse(u16, &'static str),
}

impl Service {
    pub(crate) async fn open(tls: bool) -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let root = key.cert.der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![root.clone()], key.signing_key.serialize_der().try_into().unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let scheme = if tls { "https" } else { "http" };
        let base = format!("{scheme}://localhost:{}/prefix/", address.port()).parse().unwrap();
        let state = Arc::<State>::default();
        let (inner, mut task) = (state.clone(), JoinSet::new());
        task.spawn(async move {
            let mut visits = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, acceptor) = (inner.clone(), acceptor.clone());
                visits.spawn(async move {
                    if tls {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, state).await;
                        }
                    } else {
                        serve(stream, state).await;
                    }
                });
            }
        });
        Self { base, root, state, _task: task }
    }

    pub(crate) fn behave(&self, behavior: Behavior) {
        *self.state.behavior.lock() = behavior;
    }

    /// Drops every connection without a word.
    pub(crate) fn hang_up(&self) {
        for (_, orders) in self.state.members.lock().values() {
            let _ = orders.try_send(Order::Hang);
        }
    }

    /// Goes on holding every connection and neither reads nor writes there any more, as for a client that
    /// has moved to another network.
    pub(crate) fn freeze(&self) {
        for (_, orders) in self.state.members.lock().values() {
            let _ = orders.try_send(Order::Freeze);
        }
    }

    /// Closes every connection with a code.
    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        for (_, orders) in self.state.members.lock().values() {
            let _ = orders.try_send(Order::Close(code, reason));
        }
    }

    /// Pings that came so far.
    pub(crate) fn pings(&self) -> usize {
        self.state.pings.load(Ordering::Relaxed)
    }

    /// Bodies that were posted to publish a session.
    pub(crate) fn published(&self) -> Vec<serde_json::Value> {
        self.state.published.lock().clone()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let Some((head, body)) = request(&mut stream).await else { return };
    let behavior = *state.behavior.lock();
    if let Behavior::Http(status, reason) = behavior {
        let body = format!(r#"{{"success":false,"reason":"{reason}"}}"#);
        return answer(&mut stream, status, &body).await;
    }
    if head.starts_with("POST /prefix/v1/sessions ") {
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let known = state.published.lock().contains(&body);
        state.published.lock().push(body);
        return answer(&mut stream, if known { 200 } else { 201 }, "{}").await;
    }
    assert!(head.starts_with("GET /prefix/v1/signaling/"), "{head}");
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let upgrade = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let Some(Ok(Message::Text(hello))) = socket.next().await else { return };
    let ToRoom::Hello { proof } = serde_json::from_str(&hello).unwrap() else {
        panic!("not a hello: {hello}")
    };
    if let Behavior::Refuse(code, reason) = behavior {
        let _ = socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await;
        return;
    }
    let me = RoomPeer { peer_id: proof.peer_id(), role: proof.role };
    let (orders, mut inbox) = mpsc::channel(256);
    let peers = {
        let mut members = state.members.lock();
        for (_, other) in members.values() {
            let _ = other.try_send(Order::Say(FromRoom::PeerJoined(me)));
        }
        let mut peers: Vec<RoomPeer> = members.values().map(|(peer, _)| *peer).collect();
        peers.push(me);
        members.insert(me.peer_id, (me, orders));
        peers
    };
    say(&mut socket, &FromRoom::Welcome { peers }).await;
    loop {
        tokio::select! {
            order = inbox.recv() => match order {
                Some(Order::Say(message)) => say(&mut socket, &message).await,
                Some(Order::Close(code, reason)) => {
                    let _ = socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await;
                    break;
                }
                Some(Order::Freeze) => std::future::pending().await,
                Some(Order::Hang) | None => break,
            },
            heard = socket.next() => {
                let text = match heard {
                    Some(Ok(Message::Text(text))) => text,
                    // Answered by the library.
                    Some(Ok(Message::Ping(_))) => {
                        state.pings.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    _ => break,
                };
                let ToRoom::Send { to, data } = serde_json::from_str(&text).unwrap() else { continue };
                let members = state.members.lock();
                let message = FromRoom::Envelope { from: me.peer_id, data };
                if let Some((_, other)) = members.get(&to) {
                    let _ = other.try_send(Order::Say(message));
                }
            }
        }
    }
    let mut members = state.members.lock();
    members.remove(&me.peer_id);
    for (_, other) in members.values() {
        let _ = other.try_send(Order::Say(FromRoom::PeerLeft { peer_id: me.peer_id }));
    }
}

async fn say(socket: &mut WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>, message: &FromRoom) {
    let _ = socket.send(Message::text(serde_json::to_string(message).unwrap())).await;
}

/// Reads one HTTP request: its head, and as much body as it announces.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
        bytes.extend_from_slice(&chunk[..length]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let announced =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        while bytes.len() < end + 4 + announced.unwrap_or(0) {
            let length = stream.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
            bytes.extend_from_slice(&chunk[..length]);
        }
        return Some((head, bytes.split_off(end + 4)));
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), status: u16, body: &str) {
    let text =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
