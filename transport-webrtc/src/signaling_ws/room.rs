//! Enters the room and stays in it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::{
    net::TcpStream,
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};
use transport_core::{
    CloseCode, PeerId, RetryClass,
    signaling::{SignalingError, SignalingEvent},
};
use url::Url;

use super::{
    RegisterError, RoomState, WsSignalingConfig,
    backoff::Backoff,
    register::register,
    wire::{FromRoom, ToRoom, reason_label},
};

/// All that the task which stays in the room needs.
pub(super) struct Room {
    pub(super) address: Url,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) config: WsSignalingConfig,
    pub(super) said: mpsc::Receiver<(PeerId, Bytes)>,
    pub(super) events: mpsc::Sender<SignalingEvent>,
    pub(super) state: watch::Sender<RoomState>,
    /// This machine may have moved or slept.
    pub(super) doubted: Arc<Notify>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a visit ended.
enum Departure {
    /// Nobody listens to us any more.
    Dropped,
    /// Come back later.
    Lost(String),
    /// Do not come back.
    Refused(SignalingError),
}

/// Visits the room again and again until it refuses or nobody cares.
pub(super) async fn stay(mut room: Room) {
    let mut backoff = Backoff::default();
    let (mut was_inside, mut answered) = (false, false);
    loop {
        let doubted = room.doubted.clone();
        let entered = tokio::select! {
            entered = room.enter() => entered,
            // What was begun on another network may hang there.
            () = doubted.notified() => {
                backoff.reset();
                Err(Departure::Lost("this machine moved or slept".into()))
            }
        };
        let departure = match entered {
            Ok((socket, peers)) => {
                backoff.reset();
                (was_inside, answered) = (true, false);
                room.visit(socket, peers).await
            }
            Err(departure) => departure,
        };
        match departure {
            Departure::Dropped => return,
            // A control plane that restarted has forgotten the session until the host comes back too.
            Departure::Refused(SignalingError::Refused { label }) if was_inside && label == UNKNOWN => {
                // It is up again: the host is on its way, and the long waits are over.
                if !std::mem::replace(&mut answered, true) {
                    backoff.reset();
                }
                let detail = "the session is not known there at the moment";
                if room.rest(&mut backoff, detail.into()).await.is_err() {
                    return;
                }
            }
            Departure::Refused(error) => {
                room.state.send_replace(RoomState::Over(error));
                return;
            }
            Departure::Lost(detail) => {
                answered = false;
                if room.rest(&mut backoff, detail).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Room {
    /// Says that the room is away, and waits before the next visit.
    async fn rest(&self, backoff: &mut Backoff, detail: String) -> Result<(), NobodyCares> {
        tracing::debug!(target: "transport_webrtc", detail, "not in the room");
        self.state.send_replace(RoomState::Down);
        self.events.send(SignalingEvent::Down { detail }).await.map_err(|_| NobodyCares)?;
        if timeout(backoff.next(rand::random()), self.doubted.notified()).await.is_ok() {
            backoff.reset();
        }
        Ok(())
    }

    /// Connects, proves membership, and returns who is inside.
    async fn enter(&self) -> Result<(Socket, Vec<PeerId>), Departure> {
        let entering = async {
            if let Some(verifier) = &self.config.register {
                let WsSignalingConfig { base, session, extra_roots, .. } = &self.config;
                register(base, *session, verifier, extra_roots).await.map_err(from_register)?;
            }
            let mut socket = self.connect().await.map_err(from_handshake)?;
            let hello = ToRoom::Hello { proof: (self.config.prove)() };
            socket.send(Message::text(hello.encode())).await.map_err(lost)?;
            loop {
                if let Some(FromRoom::Welcome { peers }) = next(&mut socket).await? {
                    let others = peers.into_iter().map(|present| present.peer_id);
                    return Ok((socket, others.filter(|peer| *peer != self.config.local).collect()));
                }
            }
        };
        timeout(ENTER, entering).await.unwrap_or_else(|_| Err(Departure::Lost("no answer in time".into())))
    }

    async fn connect(&self) -> Result<Socket, tungstenite::Error> {
        let host = self.address.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.address.port_or_known_default().unwrap_or(443);
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(4 * MAX_MESSAGE)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let tls = Connector::Rustls(self.tls.clone());
        let request = self.address.as_str();
        let (socket, _) = client_async_tls_with_config(request, stream, Some(limits), Some(tls)).await?;
        Ok(socket)
    }

    /// Carries envelopes both ways until the socket ends.
    async fn visit(&mut self, mut socket: Socket, peers: Vec<PeerId>) -> Departure {
        self.state.send_replace(RoomState::Up);
        let entered = peers.into_iter().map(|peer| SignalingEvent::Joined { peer });
        for event in std::iter::once(SignalingEvent::Up).chain(entered) {
            if self.events.send(event).await.is_err() {
                return Departure::Dropped;
            }
        }
        let doubted = self.doubted.clone();
        let mut silent_at = Instant::now() + SILENCE;
        let mut asked = false;
        loop {
            tokio::select! {
                () = doubted.notified() => {
                    if !matches!(timeout(DOUBT, socket.send(ping())).await, Ok(Ok(()))) {
                        return Departure::Lost("the room does not read".into());
                    }
                    asked = true;
                    silent_at = silent_at.min(Instant::now() + DOUBT);
                }
                said = self.said.recv() => {
                    let Some((to, envelope)) = said else {
                        let _ = timeout(WRITE, socket.close(None)).await;
                        return Departure::Dropped;
                    };
                    let message = Message::text(ToRoom::send(to, &envelope).encode());
                    // A machine that moved to another network keeps its socket and reaches nobody through it,
                    // and what is said now would be lost with it: so the room must show that it is there.
                    let question = (!asked).then(ping);
                    for message in std::iter::once(message).chain(question) {
                        match timeout(WRITE, socket.send(message)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => return lost(error),
                            Err(_) => return Departure::Lost("the room does not read".into()),
                        }
                    }
                    if !std::mem::replace(&mut asked, true) {
                        silent_at = silent_at.min(Instant::now() + ANSWER);
                    }
                }
                // The server pings every 15 s; three missed are a dead socket.
                heard = timeout_at(silent_at, next(&mut socket)) => {
                    (silent_at, asked) = (Instant::now() + SILENCE, false);
                    let event = match heard {
                        Ok(Ok(message)) => message.and_then(FromRoom::event),
                        Ok(Err(departure)) => return departure,
                        Err(_) => return Departure::Lost("the room went silent".into()),
                    };
                    if let Some(event) = event && self.events.send(event).await.is_err() {
                        return Departure::Dropped;
                    }
                }
            }
        }
    }
}

fn ping() -> Message {
    Message::Ping(Vec::new().into())
}

/// Waits for a message; `None` for one without meaning here, pings included. Cancel safe.
async fn next(socket: &mut Socket) -> Result<Option<FromRoom>, Departure> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => Ok(FromRoom::decode(&text)),
        Some(Ok(Message::Close(frame))) => Err(frame.map_or_else(
            || Departure::Lost("the room closed".into()),
            |frame| from_close(frame.code.into(), &frame.reason),
        )),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(lost(error)),
        None => Err(Departure::Lost("the room closed".into())),
    }
}

fn from_close(code: u16, reason: &str) -> Departure {
    match CloseCode::from_wire(code) {
        // The room that closes normally restarts or drains; only refusals are final.
        Some(code) if code.retry_class() == RetryClass::Stay && code.get() >= 4000 => {
            Departure::Refused(SignalingError::Refused { label: reason_label(reason, code.label()) })
        }
        Some(code) => Departure::Lost(format!("the room closed: {code}")),
        None => Departure::Lost("the room closed".into()),
    }
}

/// Nobody receives the room's events any more.
struct NobodyCares;

fn from_register(error: RegisterError) -> Departure {
    let label = match error {
        RegisterError::Exists => "session_exists".into(),
        RegisterError::Refused { status, reason } if is_final(status) => reason_label(&reason, "refused"),
        other => return Departure::Lost(other.to_string()),
    };
    Departure::Refused(SignalingError::Refused { label })
}

/// A handshake that HTTP answered.
fn from_handshake(error: tungstenite::Error) -> Departure {
    let tungstenite::Error::Http(response) = &error else { return lost(error) };
    let label = match response.status().as_u16() {
        status if !is_final(status) => return lost(error),
        400 => "invalid_session_id",
        401 | 403 => "membership_invalid",
        404 => UNKNOWN,
        _ => "refused",
    };
    Departure::Refused(SignalingError::Refused { label: label.into() })
}

/// Says whether an HTTP status is a refusal: 4xx, except "too late", "too early" and "too many".
fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 425 | 429)
}

fn lost(error: tungstenite::Error) -> Departure {
    Departure::Lost(error.to_string())
}

/// What the control plane calls a session that nobody registered.
const UNKNOWN: &str = "unknown_session";

/// Time for registering, TCP, TLS, upgrade and hello together.
const ENTER: Duration = Duration::from_secs(5);

/// Time for one write.
const WRITE: Duration = Duration::from_secs(5);

/// Time the room has to answer a ping that follows what was said.
const ANSWER: Duration = Duration::from_secs(4);

/// The same when this machine may have moved or slept, and every second counts: a round trip by satellite and
/// one more.
const DOUBT: Duration = Duration::from_millis(1_500);

/// Silence after which the socket is dead.
const SILENCE: Duration = Duration::from_secs(46);

/// Largest message: 64 KiB as base64 and the JSON around it.
const MAX_MESSAGE: usize = 96 * 1024;

/// The library's default of 128 KiB is allocated for every socket.
const BUFFER: usize = 4 * 1024;
