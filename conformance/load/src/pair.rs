//! A sender and its receivers, through whatever is loaded.

use beach_lifeguard_client::{ClientHello, Header, Lane, LinkNumber, PeerAddr, Role};
use bytes::Bytes;
use conformance::relay::{Endpoint, RelayTarget, Session, enter_v1, small_buffers};
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config, tungstenite::Message};
use uuid::Uuid;

use crate::{
    Failure,
    scenario::progress,
    session::{Negotiated, connect},
    target::{Target, Way},
};

/// One end of a pair.
#[derive(Debug)]
pub(crate) enum End {
    /// Length (`u32` big-endian) and payload on a raw connection.
    Raw(TcpStream),
    /// A WebSocket without frames of ours: a reference's, or one of the deployed wire.
    Bare(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    /// A relay's endpoint, and whom it writes to.
    Relay { endpoint: Box<Endpoint>, to: PeerAddr },
    /// An end of a negotiated session.
    Session(Box<Negotiated>),
}

impl End {
    /// Sends one message.
    pub(crate) async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Raw(stream) => {
                let mut message = Vec::with_capacity(4 + payload.len());
                message.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
                message.extend_from_slice(payload);
                Ok(stream.write_all(&message).await?)
            }
            Self::Bare(socket) => {
                let sent = socket.send(Message::Binary(payload.to_vec().into())).await;
                sent.map_err(|error| Failure(error.to_string()))
            }
            Self::Relay { endpoint, to } => {
                let frame = Header::data(Lane::Reliable, *to, LinkNumber(1)).frame(payload);
                let sent = endpoint.socket.send(Message::Binary(frame)).await;
                sent.map_err(|error| Failure(error.to_string()))
            }
            Self::Session(end) => end.send(Bytes::copy_from_slice(payload)).await,
        }
    }

    /// Receives one message.
    pub(crate) async fn recv(&mut self) -> Result<Bytes, Failure> {
        match self {
            Self::Raw(stream) => {
                let length = stream.read_u32().await? as usize;
                let mut payload = vec![0; length];
                stream.read_exact(&mut payload).await?;
                Ok(payload.into())
            }
            Self::Bare(socket) => loop {
                match socket.next().await {
                    Some(Ok(message)) if message.is_binary() => return Ok(message.into_data()),
                    // Answered by the library.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Err(error)) => return Err(Failure(error.to_string())),
                    Some(Ok(_)) | None => return Err(Failure("the connection ended".to_owned())),
                }
            },
            Self::Relay { endpoint, .. } => Ok(endpoint.recv().await?.1),
            Self::Session(end) => end.recv().await,
        }
    }
}

/// Connects a sender and a receiver.
pub(crate) async fn pair(target: &Target, number: u128) -> Result<(End, End), Failure> {
    match &target.way {
        Way::Forwarder(address) => {
            let mut ends = [TcpStream::connect(address).await?, TcpStream::connect(address).await?];
            for end in &mut ends {
                end.set_nodelay(true)?;
                end.write_all(&number.to_be_bytes()).await?;
            }
            for end in &mut ends {
                end.read_u8().await?;
            }
            let [sender, receiver] = ends;
            Ok((End::Raw(sender), End::Raw(receiver)))
        }
        Way::WebSocket(address) => {
            let url = format!("ws://{address}/");
            let mut ends = [bare(&url).await?, bare(&url).await?];
            for end in &mut ends {
                end.send(&number.to_be_bytes()).await?;
            }
            for end in &mut ends {
                end.recv().await?;
            }
            let [sender, receiver] = ends;
            Ok((sender, receiver))
        }
        Way::Relay(relay) => enter(&Session::register(relay).await?).await,
        Way::V1(relay) => {
            let session = Session::register(relay).await?.id;
            let (sender, receiver) = (deployed(relay, session).await?, deployed(relay, session).await?);
            Ok((sender, receiver))
        }
        Way::Session { control_plane, path } => {
            let [sender, receiver] = connect(control_plane, *path).await?;
            Ok((End::Session(Box::new(sender)), End::Session(Box::new(receiver))))
        }
    }
}

async fn enter(session: &Session) -> Result<(End, End), Failure> {
    let (sender, mut receivers) = group(session, 1).await?;
    let receiver = receivers.pop().ok_or(Failure("no receiver".to_owned()))?;
    let to = match &receiver {
        End::Relay { endpoint, .. } => endpoint.addr(),
        End::Bare(_) | End::Raw(_) | End::Session(_) => PeerAddr::EVERYONE,
    };
    Ok((End::Relay { endpoint: Box::new(sender), to }, receiver))
}

/// Pairs that come and go. At a relay they enter the same few sessions again and again: a control plane keeps each session
/// it was told of for a day, which is its duty and no leak.
#[derive(Debug)]
pub(crate) struct Guests<'a> {
    target: &'a Target,
    sessions: Vec<Session>,
}

impl<'a> Guests<'a> {
    pub(crate) async fn expect(target: &'a Target) -> Result<Self, Failure> {
        let mut sessions = Vec::new();
        if let Way::Relay(relay) = &target.way {
            for _ in 0..GUEST_SESSIONS {
                sessions.push(Session::register(relay).await?);
            }
        }
        Ok(Self { target, sessions })
    }

    /// Connects the next pair; the one before has gone.
    pub(crate) async fn next(&self, came: u64) -> Result<(End, End), Failure> {
        match self.sessions.get(came as usize % GUEST_SESSIONS) {
            Some(session) => enter(session).await,
            None => pair(self.target, FIRST_GUEST + u128::from(came)).await,
        }
    }
}

/// Connects many, several at a time: those that come first must not wait so long for the last that a relay takes them
/// for dead.
pub(crate) async fn pairs(target: &Target, count: usize) -> Result<Vec<(End, End)>, Failure> {
    let bar = progress(count as u64, "connecting");
    let connected = stream::iter(0..count as u128).map(|number| pair(target, number)).buffered(AT_ONCE);
    let pairs = connected.inspect_ok(|_| bar.inc(1)).try_collect().await?;
    bar.finish_and_clear();
    Ok(pairs)
}

/// Two connections about to be made.
#[derive(Debug)]
pub(crate) enum Prepared<'a> {
    /// To anything else, under this number.
    Reference(&'a Target, u128),
    /// To a relay, with tokens in hand.
    Relay(&'a RelayTarget, [ClientHello; 2]),
}

/// Does all that comes before the connections: for a relay, sessions and tokens.
pub(crate) async fn prepare(target: &Target, number: u128) -> Result<Prepared<'_>, Failure> {
    let Way::Relay(relay) = &target.way else { return Ok(Prepared::Reference(target, number)) };
    let session = Session::register(relay).await?;
    let host = session.hello(&session.member(Role::Host)?).await?;
    let viewer = session.hello(&session.member(Role::Viewer)?).await?;
    Ok(Prepared::Relay(relay, [host, viewer]))
}

impl Prepared<'_> {
    /// Connects both and leaves again.
    pub(crate) async fn enter(self) -> Result<(), Failure> {
        match self {
            Self::Reference(target, number) => drop(pair(target, number).await?),
            Self::Relay(relay, hellos) => {
                let [host, viewer] = &hellos;
                let host = Endpoint::enter(relay, host).await?;
                let viewer = Endpoint::enter(relay, viewer).await?;
                drop((host, viewer));
            }
        }
        Ok(())
    }
}

async fn deployed(relay: &RelayTarget, session: Uuid) -> Result<End, Failure> {
    Ok(End::Bare(Box::new(enter_v1(relay, session).await?)))
}

pub(crate) async fn bare(url: &str) -> Result<End, Failure> {
    let connected = connect_async_with_config(url, Some(small_buffers()), true).await;
    let (socket, _) = connected.map_err(|error| Failure(error.to_string()))?;
    Ok(End::Bare(Box::new(socket)))
}

/// Connects one sender and many receivers of one session. References have no such thing, and a host has a session
/// with each viewer: there the sender writes to each.
pub(crate) async fn crowd(target: &Target, viewers: usize) -> Result<(Vec<End>, Vec<End>), Failure> {
    match &target.way {
        Way::Forwarder(_) | Way::WebSocket(_) | Way::Session { .. } => {
            let mut pairs = Vec::with_capacity(viewers);
            for number in 0..viewers {
                pairs.push(pair(target, number as u128).await?);
            }
            Ok(pairs.into_iter().unzip())
        }
        Way::V1(relay) => {
            let session = Session::register(relay).await?.id;
            let (sender, mut receivers) = (deployed(relay, session).await?, Vec::with_capacity(viewers));
            for _ in 0..viewers {
                receivers.push(deployed(relay, session).await?);
            }
            Ok((vec![sender], receivers))
        }
        Way::Relay(relay) => {
            let session = Session::register(relay).await?;
            let (sender, receivers) = group(&session, viewers).await?;
            Ok((vec![End::Relay { endpoint: Box::new(sender), to: PeerAddr::EVERYONE }], receivers))
        }
    }
}

pub(crate) async fn group(session: &Session, viewers: usize) -> Result<(Endpoint, Vec<End>), Failure> {
    let sender = session.join(Role::Host).await?;
    let mut receivers = Vec::with_capacity(viewers);
    for _ in 0..viewers {
        let endpoint = Box::new(session.join(Role::Viewer).await?);
        receivers.push(End::Relay { endpoint, to: sender.addr() });
    }
    Ok((sender, receivers))
}

/// A session is entered again after so many others.
const GUEST_SESSIONS: usize = 64;
/// Guests' pairs are numbered from here; those that stay, from zero.
const FIRST_GUEST: u128 = 1 << 64;
/// Pairs that connect at the same time.
const AT_ONCE: usize = 16;
