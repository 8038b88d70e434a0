//! The least of a client: enough to keep every rule, and to break each of them.

use std::time::{Duration, SystemTime};

use beach_lifeguard_client::{
    Access, ClientHello, FallbackToken, Header, Kind, Lane, LinkNumber, PeerAddr, RELAY_PATH, Role,
    SUBPROTOCOL, ServerHello,
    api::{SESSIONS_PATH, TOKEN_PATH, TokenRequest, TokenResponse},
    control::Control,
    hello::{Compression, PROTOCOL_VERSION},
    membership::{Credentials, Identity, LinkSecret, Purpose},
    session::{DocumentLink, SessionDocument},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use rand::Rng;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        Error, Message, client::IntoClientRequest, handshake::client::Response, http::HeaderValue,
        protocol::WebSocketConfig,
    },
};
use uuid::Uuid;

use super::RelayTarget;
use crate::{
    case::{Failure, Result, within},
    ensure,
};

/// A session that the control plane knows.
#[derive(Debug)]
pub struct Session {
    target: RelayTarget,
    /// The session's id.
    pub id: Uuid,
    host: Identity,
    link: LinkSecret,
}

impl Session {
    /// Registers a fresh session.
    ///
    /// # Errors
    ///
    /// What the control plane answered.
    pub async fn register(target: &RelayTarget) -> Result<Self> {
        let session = Self::unregistered(target)?;
        let body = session.document(1).sign(&session.host);
        let (status, text) = post(target, SESSIONS_PATH, &body).await?;
        ensure!(status == 201, "registering a session was answered with {status}: {text}");
        Ok(session)
    }

    /// Makes up a session that nobody knows.
    ///
    /// # Errors
    ///
    /// The operating system has no random numbers.
    pub fn unregistered(target: &RelayTarget) -> Result<Self> {
        let (host, link) = (Identity::random()?, LinkSecret::random()?);
        let id = Uuid::from_bytes(host.public().session_id());
        Ok(Self { target: target.clone(), id, host, link })
    }

    /// Returns the host's key.
    pub fn host(&self) -> &Identity {
        &self.host
    }

    /// Returns the secret of the session's one link, for a member that is made elsewhere.
    pub fn link(&self) -> &LinkSecret {
        &self.link
    }

    /// Describes the session with its one link, which grants everything.
    pub fn document(&self, revision: u64) -> SessionDocument {
        let mut document = SessionDocument::new(self.host.public(), revision);
        document.links.push(DocumentLink::new(&self.link, Access::Full));
        document
    }

    /// Makes up a member: the host, or somebody new who came by the link.
    ///
    /// # Errors
    ///
    /// The operating system has no random numbers.
    pub fn member(&self, role: Role) -> Result<Credentials> {
        Ok(match role {
            Role::Host => Credentials::host(self.host.clone()),
            Role::Viewer => {
                let (host, identity) = (self.host.public(), Identity::random()?);
                Credentials::viewer(host, identity, self.link.clone(), Access::Full)
            }
        })
    }

    /// Asks for a token, and returns the answer as it is.
    ///
    /// # Errors
    ///
    /// Only when there was no answer.
    pub async fn ask_for_token(&self, member: &Credentials) -> Result<(u16, String)> {
        let proof = member.prove(Purpose::Token, SystemTime::now(), rand::rng().random());
        let mut request = TokenRequest::new(self.id, proof);
        request.client_version = Some("conformance".to_owned());
        post(&self.target, TOKEN_PATH, &request).await
    }

    /// Gets a token.
    ///
    /// # Errors
    ///
    /// What the control plane answered.
    pub async fn token(&self, member: &Credentials) -> Result<FallbackToken> {
        let (status, text) = self.ask_for_token(member).await?;
        ensure!(status == 200, "asking for a token was answered with {status}: {text}");
        Ok(serde_json::from_str::<TokenResponse>(&text)?.token)
    }

    /// Writes a correct hello.
    ///
    /// # Errors
    ///
    /// What kept the token from being minted.
    pub async fn hello(&self, member: &Credentials) -> Result<ClientHello> {
        Ok(ClientHello {
            protocol_version: PROTOCOL_VERSION,
            session_id: self.id,
            peer_id: member.peer_id(),
            role: member.role(),
            access: member.access(),
            token: self.token(member).await?,
            client_nonce: rand::rng().random(),
            client_version: "conformance".to_owned(),
            compression: Compression::None,
            telemetry: false,
        })
    }

    /// Connects as a fresh peer.
    ///
    /// # Errors
    ///
    /// Any step that failed.
    pub async fn join(&self, role: Role) -> Result<Endpoint> {
        let hello = self.hello(&self.member(role)?).await?;
        Endpoint::enter(&self.target, &hello).await
    }
}

/// One admitted socket.
#[derive(Debug)]
pub struct Endpoint {
    /// The socket itself, for rules to be broken.
    pub socket: Socket,
    /// What the relay answered.
    pub hello: ServerHello,
}

/// An open WebSocket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Endpoint {
    /// Opens a socket and says `hello`.
    ///
    /// # Errors
    ///
    /// Any step that failed, and a nonce that does not come back.
    pub async fn enter(target: &RelayTarget, hello: &ClientHello) -> Result<Self> {
        let mut socket = open(target).await?;
        socket.send(Message::text(hello.encode())).await?;
        let Message::Text(answer) = next(&mut socket).await? else {
            return Err(Failure("the hello was not answered with a text message".to_owned()));
        };
        let answer = ServerHello::decode(answer.as_bytes())?;
        ensure!(answer.client_nonce == hello.client_nonce, "the relay's hello does not repeat the nonce");
        Ok(Self { socket, hello: answer })
    }

    /// This endpoint's address.
    pub fn addr(&self) -> PeerAddr {
        self.hello.peer
    }

    /// Sends one data frame.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn send(&mut self, lane: Lane, to: PeerAddr, link: LinkNumber, payload: &[u8]) -> Result<()> {
        self.send_raw(Header::data(lane, to, link).frame(payload)).await
    }

    /// Sends any binary message.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn send_raw(&mut self, frame: Bytes) -> Result<()> {
        within(LIMIT, "writing to the relay", self.socket.send(Message::Binary(frame))).await??;
        Ok(())
    }

    /// Receives the next data or close frame; answers and skips what the relay says for itself.
    ///
    /// # Errors
    ///
    /// The socket's end, or `LIMIT` without a frame.
    pub async fn recv(&mut self) -> Result<(Header, Bytes)> {
        loop {
            let (header, payload) = self.recv_any().await?;
            if matches!(header.kind, Kind::Data | Kind::Close) {
                return Ok((header, payload));
            }
        }
    }

    /// Receives the next frame of any kind.
    ///
    /// # Errors
    ///
    /// The socket's end, or `LIMIT` without a frame.
    pub async fn recv_any(&mut self) -> Result<(Header, Bytes)> {
        match next(&mut self.socket).await? {
            Message::Binary(frame) => Ok(Header::split(frame)?),
            other => Err(Failure(format!("the relay sent {other:?} after the hello"))),
        }
    }

    /// Waits for a control message that `wanted` takes.
    ///
    /// # Errors
    ///
    /// As [`recv_any`](Self::recv_any).
    pub async fn control(&mut self, wanted: impl Fn(&Control) -> bool) -> Result<Control> {
        loop {
            let (header, payload) = self.recv_any().await?;
            if header.kind == Kind::Control {
                let control = Control::decode(&payload)?;
                if wanted(&control) {
                    return Ok(control);
                }
            }
        }
    }

    /// Demands a data frame from `from`.
    ///
    /// # Errors
    ///
    /// Anything else that came.
    pub async fn expect(
        &mut self,
        lane: Lane,
        from: PeerAddr,
        link: LinkNumber,
        payload: &[u8],
    ) -> Result<()> {
        let (header, got) = self.recv().await?;
        ensure!(
            header == Header::data(lane, from, link),
            "{header:?} came; {lane:?} from {from:?} on {link:?} was due"
        );
        ensure!(got == payload, "{} bytes were sent and {} other bytes came", payload.len(), got.len());
        Ok(())
    }

    /// Fails if any data or close frame comes within `QUIET`.
    ///
    /// # Errors
    ///
    /// What came.
    pub async fn stays_quiet(&mut self) -> Result<()> {
        match tokio::time::timeout(QUIET, self.recv()).await {
            Err(_elapsed) => Ok(()),
            Ok(Ok((header, _))) => Err(Failure(format!("{header:?} came, and nothing was due"))),
            Ok(Err(failure)) => Err(failure),
        }
    }

    /// Waits for the relay to close the socket, whatever comes before, and returns code and reason.
    ///
    /// # Errors
    ///
    /// `LIMIT` without a close.
    pub async fn closed(&mut self) -> Result<(u16, String)> {
        closed(&mut self.socket).await
    }
}

/// Opens a socket without saying anything.
pub(super) async fn open(target: &RelayTarget) -> Result<Socket> {
    let mut request = format!("{}{RELAY_PATH}", target.relay).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (socket, response) = within(LIMIT, "opening a socket", connect(target, request)).await??;
    let chosen = response.headers().get("sec-websocket-protocol");
    ensure!(
        chosen.is_some_and(|chosen| chosen == SUBPROTOCOL),
        "the relay did not choose {SUBPROTOCOL}: {chosen:?}"
    );
    Ok(socket)
}

/// The next message that is no ping or pong.
pub(super) async fn next(socket: &mut Socket) -> Result<Message> {
    loop {
        match within(LIMIT, "hearing from the relay", socket.next()).await? {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(frame))) => return Err(Failure(format!("the relay closed: {frame:?}"))),
            Some(message) => return Ok(message?),
            None => return Err(Failure("the socket ended without a close".to_owned())),
        }
    }
}

/// Waits for the close of a socket.
pub(super) async fn closed(socket: &mut Socket) -> Result<(u16, String)> {
    within(LIMIT, "the close", closed_in(socket)).await?
}

/// The same, with the caller's patience.
pub(super) async fn closed_in(socket: &mut Socket) -> Result<(u16, String)> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => {
                return Ok((frame.code.into(), frame.reason.to_string()));
            }
            Some(Ok(Message::Close(None))) | None => {
                return Err(Failure("the socket ended without a code".to_owned()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                return Err(Failure(format!("the socket broke without a close: {error}")));
            }
        }
    }
}

/// Demands a close with this code and, if given, this reason.
pub(super) fn is(close: &(u16, String), code: u16, reason: &str) -> Result<()> {
    ensure!(
        close.0 == code && (reason.is_empty() || close.1 == reason),
        "the relay closed with {} {:?} where {code} {reason:?} is due",
        close.0,
        close.1
    );
    Ok(())
}

/// Upgrades a fresh connection, with `TCP_NODELAY`.
pub(super) async fn connect(
    target: &RelayTarget,
    request: impl IntoClientRequest + Unpin,
) -> Result<(Socket, Response), Error> {
    let tls = target.tls.clone().map(Connector::Rustls);
    connect_async_tls_with_config(request, Some(small_buffers()), true, tls).await
}

/// The library's defaults, but for the read buffer: of its 128 KiB all are cleared before each read, and ten thousand ends
/// would hold a gigabyte of it.
pub fn small_buffers() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(16 * 1024)
}

/// Posts JSON to a path of the control plane; returns status and body.
pub(crate) async fn post(
    target: &RelayTarget,
    path: &str,
    body: &impl serde::Serialize,
) -> Result<(u16, String)> {
    let client = match target.http.get() {
        Some(client) => client,
        None => {
            // Connections are not kept: each case has a runtime of its own, and they end with it.
            let mut client = reqwest::Client::builder().timeout(LIMIT).no_proxy().pool_max_idle_per_host(0);
            if let Some(tls) = &target.tls {
                client = client.tls_backend_preconfigured(ClientConfig::clone(tls));
            }
            let client = client.build()?;
            target.http.get_or_init(|| client)
        }
    };
    let answer = client.post(format!("{}{path}", target.control_plane)).json(body).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// How long anything may take: twice the relay's own hello deadline.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// How long to listen for what must not come.
const QUIET: Duration = Duration::from_millis(250);
