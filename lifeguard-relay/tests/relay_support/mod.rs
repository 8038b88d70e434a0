//! A real relay on a loopback port, and clients that speak to it over real sockets.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use beach_lifeguard_client::{
    Access, Claims, ClientHello, FallbackToken, FeatureBits, Header, Lane, LinkNumber, PeerAddr, Role,
    SUBPROTOCOL, ServerHello,
    control::Control,
    hello::Compression,
    token::{AUDIENCE, Capability, KeyId, TokenSigner, TokenVerifier},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use lifeguard_relay::{
    app,
    kill_switch::KillSwitch,
    listen::{self, Caps, Connections},
    relay::{Admission, Relay, RelayConfig},
    store::MemoryStore,
    telemetry::metrics::Metrics,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error as WsError, Message, client::IntoClientRequest, http},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const ISSUER: &str = "https://control.test";
/// The private key of the rig.
pub const SEED: [u8; 32] = [7; 32];

/// A relay and the key that signs for it.
pub struct Rig {
    pub relay: Relay,
    pub address: SocketAddr,
    pub metrics: Arc<Metrics>,
    pub kill_switch: KillSwitch,
    pub connections: Arc<Connections>,
    signer: TokenSigner,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(config(), roomy()).await
    }

    pub async fn with(config: RelayConfig, caps: Caps) -> Self {
        let signer = TokenSigner::from_seed(KeyId::parse("test").unwrap(), &SEED).unwrap();
        let key = (signer.key_id().clone(), signer.public_key());
        let metrics = Arc::new(Metrics::new());
        let kill_switch = KillSwitch::new(None);
        let admission = Admission::new(
            TokenVerifier::new(ISSUER, [key]),
            Arc::new(MemoryStore::new()),
            kill_switch.clone(),
        );
        let relay = Relay::new(config, admission, metrics.clone());
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stop) = (Connections::counting(caps, metrics.clone()), CancellationToken::new());
        let running =
            tokio::spawn(app::serve_relay(relay.clone(), listener, connections.clone(), stop.clone()));
        Self { relay, address, metrics, kill_switch, connections, signer, stop, running }
    }

    /// A token with `change`s to what it usually says.
    pub fn token(
        &self,
        session: Uuid,
        peer: Uuid,
        role: Role,
        change: impl FnOnce(&mut Claims),
    ) -> FallbackToken {
        let mut claims = claims(session, peer, role);
        change(&mut claims);
        self.signer.sign(&claims).unwrap()
    }

    pub fn hello(&self, session: Uuid, role: Role) -> ClientHello {
        let peer_id = Uuid::new_v4();
        let token = self.token(session, peer_id, role, |_| {});
        hello(session, peer_id, role, token)
    }

    /// Upgrades, says hello and expects to be let in.
    pub async fn join(&self, session: Uuid, role: Role) -> Client {
        self.join_with(&self.hello(session, role)).await
    }

    pub async fn join_with(&self, hello: &ClientHello) -> Client {
        let mut client = self.knock().await;
        client.say(Message::text(hello.encode())).await;
        client.welcome().await;
        client
    }

    /// Upgrades, says `first`, and reports the close that follows.
    pub async fn turned_away(&self, first: Message) -> (u16, String) {
        let mut client = self.knock().await;
        client.say(first).await;
        client.closed().await
    }

    /// A socket that has said nothing yet.
    pub async fn knock(&self) -> Client {
        Client::connect(self.address, "/v2/ws", &[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap()
    }

    /// Tells the relay to stop, as a signal would, and waits.
    pub async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(20), self.running).await.unwrap().unwrap();
    }
}

/// The defaults, but for goodbyes: tests do not wait for people.
pub fn config() -> RelayConfig {
    let mut config = RelayConfig::default();
    // Every suite must pass on both data paths.
    #[cfg(feature = "reference-path")]
    if std::env::var("BEACH_LIFEGUARD_DATA_PATH").is_ok_and(|path| path == "reference") {
        config.data_path = lifeguard_relay::relay::DataPath::Reference;
    }
    config.drain.grace = Duration::from_millis(100);
    config.drain.spread = Duration::from_millis(100);
    config
}

/// Caps that let a test machine be many clients.
pub fn roomy() -> Caps {
    let mut caps = Caps::default();
    caps.strangers = 4_096;
    caps
}

/// What a token usually says.
pub fn claims(session: Uuid, peer: Uuid, role: Role) -> Claims {
    let now = unix_now();
    Claims {
        iss: ISSUER.to_owned(),
        sub: peer,
        aud: AUDIENCE.to_owned(),
        session_id: session,
        cohort_id: "public".to_owned(),
        role,
        access: Access::Full,
        link: None,
        iat: now,
        nbf: now,
        exp: now + 60,
        jti: Uuid::new_v4(),
        feature_bits: FeatureBits { telemetry_enabled: false, fallback_authorized: true },
        capabilities: vec![Capability::V2.label().to_owned()],
    }
}

/// What a deployed client's token says.
pub fn v1_claims(session: Uuid) -> Claims {
    let capabilities = vec![Capability::V1.label().to_owned()];
    Claims { capabilities, ..claims(session, Uuid::new_v4(), Role::Viewer) }
}

pub fn hello(session: Uuid, peer_id: Uuid, role: Role, token: FallbackToken) -> ClientHello {
    ClientHello {
        protocol_version: 2,
        session_id: session,
        peer_id,
        role,
        access: Access::Full,
        token,
        client_nonce: *Uuid::new_v4().as_bytes(),
        client_version: "test/1".to_owned(),
        compression: Compression::None,
        telemetry: false,
    }
}

pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// One client's socket.
pub struct Client {
    pub ws: WebSocketStream<TcpStream>,
    pub welcome: Option<ServerHello>,
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Frame(Header, Bytes),
    Control(Control),
    Text(String),
    Closed(u16, String),
    /// The socket ended without a close frame.
    Ended,
}

impl Client {
    pub async fn connect(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, http::StatusCode> {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, address, path, headers).await
    }

    /// Like [`connect`](Self::connect), with a receive buffer so small that a client that does not read is
    /// felt by the relay at once.
    pub async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = socket.connect(address).await.unwrap();
        Self::over(stream, address, "/v2/ws", &[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap()
    }

    async fn over(
        stream: TcpStream,
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, http::StatusCode> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((ws, _)) => Ok(Self { ws, welcome: None }),
            Err(WsError::Http(response)) => Err(response.status()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn say(&mut self, message: Message) {
        self.ws.send(message).await.unwrap();
    }

    /// Reads the relay's hello.
    pub async fn welcome(&mut self) -> &ServerHello {
        match self.hear().await {
            Heard::Text(json) => self.welcome.insert(ServerHello::decode(json.as_bytes()).unwrap()),
            other => panic!("instead of a hello: {other:?}"),
        }
    }

    pub fn address(&self) -> PeerAddr {
        self.welcome.as_ref().unwrap().peer
    }

    pub async fn send(&mut self, to: PeerAddr, lane: Lane, payload: &[u8]) {
        self.say(Message::binary(Header::data(lane, to, LinkNumber(1)).frame(payload))).await;
    }

    /// The next thing that is not a ping.
    pub async fn hear(&mut self) -> Heard {
        timeout(Duration::from_secs(10), self.hear_patiently()).await.expect("silence for 10 s")
    }

    pub async fn hear_patiently(&mut self) -> Heard {
        loop {
            return match self.ws.next().await {
                Some(Ok(Message::Binary(frame))) => {
                    let (header, payload) = Header::split(frame).unwrap();
                    match header.kind {
                        beach_lifeguard_client::Kind::Control => {
                            Heard::Control(Control::decode(&payload).unwrap())
                        }
                        _ => Heard::Frame(header, payload),
                    }
                }
                Some(Ok(Message::Text(text))) => Heard::Text(text.to_string()),
                Some(Ok(Message::Close(Some(close)))) => {
                    Heard::Closed(close.code.into(), close.reason.to_string())
                }
                Some(Ok(Message::Close(None))) => Heard::Closed(1005, String::new()),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Heard::Ended,
            };
        }
    }

    /// The next data frame: who it is from, and its payload. Notices are passed over.
    pub async fn data(&mut self) -> (PeerAddr, Bytes) {
        loop {
            match self.hear().await {
                Heard::Frame(header, payload) => return (header.peer, payload),
                Heard::Control(_) => {}
                other => panic!("instead of data: {other:?}"),
            }
        }
    }

    /// The next notice that is no ticket.
    pub async fn notice(&mut self) -> Control {
        loop {
            match self.hear().await {
                Heard::Control(Control::Ticket { .. }) => {}
                Heard::Control(control) => return control,
                other => panic!("instead of a notice: {other:?}"),
            }
        }
    }

    /// The next ticket.
    pub async fn ticket(&mut self) -> FallbackToken {
        loop {
            match self.hear().await {
                Heard::Control(Control::Ticket { token, .. }) => return token,
                Heard::Control(_) => {}
                other => panic!("instead of a ticket: {other:?}"),
            }
        }
    }

    /// Passes everything over until the relay closes.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.hear().await {
                Heard::Closed(code, reason) => return (code, reason),
                Heard::Ended => panic!("ended without a close"),
                _ => {}
            }
        }
    }
}
