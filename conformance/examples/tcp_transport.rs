//! A complete third-party transport in one file: plain TCP, written against public API only.
//!
//! `cargo run -p beach-conformance --example tcp_transport` lets two ends talk;
//! `cargo test -p beach-conformance --test third_party` certifies it; `docs/adding-a-transport.md` explains it.
//!
//! On the wire, big-endian: `u32 length of what follows | u8 kind | payload`, kinds as in [`Kind`].
//! Before the first frame the dialling side sends the 16 bytes that it was told through signaling.

use std::{fmt, io, net::IpAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::timeout,
};
use transport_core::{
    CloseCode, Closed, ConnectError, ConnectErrorKind, Connector, DialRole, Inbound, Initiator, Lane,
    LaneProfile, LaneQueue, PeerId, Profile, Refused, Stats, Target, Transport, TransportId,
    signaling::LinkChannel,
};

/// The name under which it is registered in `docs/TRANSPORTS.md`.
pub const ID: TransportId = TransportId::from_static("tcp-example");

/// Makes TCP links: the offering side listens and says where through the target's channel, the other dials.
#[derive(Debug)]
pub struct TcpConnector {
    address: IpAddr,
}

impl TcpConnector {
    /// Listens on `address` when it offers.
    pub fn new(address: IpAddr) -> Self {
        Self { address }
    }

    async fn dial(&self, role: DialRole, channel: &LinkChannel) -> io::Result<TcpStream> {
        if role == DialRole::Offerer {
            let listener = TcpListener::bind((self.address, 0)).await?;
            let ticket = *PeerId::random().as_bytes();
            let whereabouts = format!("{} {}", listener.local_addr()?, u128::from_be_bytes(ticket));
            channel.send(whereabouts).await.map_err(io::Error::other)?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                let mut shown = [0; 16];
                // Whoever else finds the port does not know the ticket.
                if timeout(STAGE, stream.read_exact(&mut shown)).await.is_ok_and(|read| read.is_ok())
                    && shown == ticket
                {
                    return Ok(stream);
                }
            }
        }
        let whereabouts = channel.recv().await.map_err(io::Error::other)?;
        let (address, ticket) = whereabouts.split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
        let ticket: u128 = ticket.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&ticket.to_be_bytes()).await?;
        Ok(stream)
    }
}

#[async_trait]
impl Connector for TcpConnector {
    fn id(&self) -> TransportId {
        ID
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let channel = target.channel(ID)?;
        match timeout(STAGE, self.dial(target.role, &channel)).await {
            Ok(Ok(stream)) => Ok(Box::new(TcpTransport::over(stream))),
            Ok(Err(error)) => {
                Err(ConnectError::new(ID, "dial", ConnectErrorKind::Unreachable).because(error))
            }
            Err(_late) => Err(ConnectError::new(ID, "dial", ConnectErrorKind::TimedOut)),
        }
    }
}

/// One TCP connection as a transport.
pub struct TcpTransport {
    profile: Profile,
    shared: Arc<Shared>,
}

/// What the transport and its two tasks share. Both queues have the same end.
struct Shared {
    outbound: LaneQueue,
    inbound: LaneQueue,
    /// Whether the last bytes have left.
    left: watch::Sender<bool>,
}

impl TcpTransport {
    /// Takes over a connected stream. Needs a Tokio runtime.
    pub fn over(stream: TcpStream) -> Self {
        let datagram = LaneProfile::emulated(MAX_MESSAGE, QUEUE);
        let reliable = LaneProfile::native(MAX_MESSAGE, QUEUE);
        let profile = Profile::new(ID, "plain tcp", datagram, reliable);
        let shared = Arc::new(Shared {
            outbound: LaneQueue::new(&profile),
            inbound: LaneQueue::new(&profile),
            left: watch::Sender::new(false),
        });
        // A delayed small write is slower, nothing worse.
        let _ = stream.set_nodelay(true);
        let (from, to) = stream.into_split();
        tokio::spawn(shared.clone().read(BufReader::new(from)));
        tokio::spawn(shared.clone().write(to));
        Self { profile, shared }
    }
}

#[async_trait]
impl Transport for TcpTransport {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        self.shared.outbound.try_push(lane, payload)
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        self.shared.outbound.writable(lane).await
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        self.shared.inbound.pop().await
    }

    fn close(&self, code: CloseCode, detail: &str) {
        self.shared.end(Closed::local(code, shorten(detail).to_owned()));
    }

    async fn closed(&self) -> Closed {
        let closed = self.shared.inbound.closed().await;
        if closed.initiator == Initiator::Local {
            // The sender lives in `self`.
            let _ = self.shared.left.subscribe().wait_for(|left| *left).await;
        }
        closed
    }

    fn stats(&self) -> Stats {
        let (mut stats, inbound) = (self.shared.outbound.stats(), self.shared.inbound.stats());
        for (out, arrived) in
            [(&mut stats.datagram, inbound.datagram), (&mut stats.reliable, inbound.reliable)]
        {
            // What was handed out: an evicted datagram never was (7.2).
            out.received_messages = arrived.sent_messages;
            out.received_bytes = arrived.sent_bytes;
        }
        stats
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        if self.shared.inbound.end().is_none() {
            self.shared.outbound.clear();
        }
        self.close(CloseCode::GOING_AWAY, "dropped");
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransport").field("end", &self.shared.inbound.end()).finish_non_exhaustive()
    }
}

impl Shared {
    fn end(&self, closed: Closed) {
        // The first one to end the outbound side wins; who waits is woken when both sides have ended.
        if self.outbound.close(closed.clone()) {
            self.inbound.close(closed);
        }
    }

    async fn read(self: Arc<Self>, mut from: BufReader<OwnedReadHalf>) {
        let closed = tokio::select! {
            closed = self.receive(&mut from) => closed,
            ended = self.inbound.closed() => ended,
        };
        self.end(closed);
        // A socket that closes with bytes unread resets, and takes our own last words with it.
        let rest = async { while from.read(&mut [0; 4096]).await.is_ok_and(|len| len > 0) {} };
        let _ = timeout(FLUSH, rest).await;
    }

    /// Receives until the link ends, and says how.
    async fn receive(&self, from: &mut BufReader<OwnedReadHalf>) -> Closed {
        loop {
            let (kind, payload) = match timeout(SILENCE, read_frame(from)).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return Closed::local(CloseCode::PROTOCOL_ERROR, "a frame that cannot be read");
                }
                Ok(Err(error)) => return Closed::network(error.to_string()),
                Err(_) => return Closed::network("silence"),
            };
            let lane = match kind {
                Kind::Close => return peer_close(payload),
                Kind::Ping => continue,
                Kind::Datagram => Lane::Datagram,
                Kind::Reliable => Lane::Reliable,
            };
            // An application that does not read holds the sender back, through TCP.
            if let Err(ended) = self.inbound.writable(lane).await {
                return ended;
            }
            if let Err(refused) = self.inbound.try_push(lane, payload) {
                return Closed::local(CloseCode::PROTOCOL_ERROR, refused.why.to_string());
            }
        }
    }

    async fn write(self: Arc<Self>, mut to: OwnedWriteHalf) {
        let ended = tokio::select! {
            error = self.transmit(&mut to) => error.map_or_else(|| self.inbound.end(), |error| Some(Closed::network(error.to_string()))),
            () = async { self.inbound.closed().await; tokio::time::sleep(FLUSH).await } => None,
        };
        if let Some(closed) = ended {
            self.end(closed);
        }
        // Only the datagram lane may count what never left.
        while self.outbound.try_pop(Lane::Reliable).is_some() {}
        self.outbound.clear();
        self.left.send_replace(true);
    }

    /// Sends until the queue has ended and is empty, then says goodbye.
    async fn transmit(&self, to: &mut OwnedWriteHalf) -> Option<io::Error> {
        loop {
            let sent = match timeout(PING, self.outbound.pop()).await {
                Err(_idle) => write_frame(to, Kind::Ping, Bytes::new()).await,
                Ok(Ok(Inbound { lane: Lane::Datagram, payload })) => {
                    write_frame(to, Kind::Datagram, payload).await
                }
                Ok(Ok(Inbound { lane: Lane::Reliable, payload })) => {
                    write_frame(to, Kind::Reliable, payload).await
                }
                Ok(Err(closed)) if closed.initiator == Initiator::Local => {
                    let mut words = BytesMut::from(&closed.code.get().to_be_bytes()[..]);
                    words.extend_from_slice(closed.detail.as_bytes());
                    let _ = write_frame(to, Kind::Close, words.freeze()).await;
                    let _ = to.shutdown().await;
                    return None;
                }
                Ok(Err(_)) => return None,
            };
            if let Err(error) = sent {
                return Some(error);
            }
        }
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// `u16` close code, then up to 123 bytes of UTF-8. The last frame.
    Close = 2,
    Datagram = 0,
    /// Empty; says only that somebody is there.
    Ping = 3,
    Reliable = 1,
}

async fn read_frame(from: &mut BufReader<OwnedReadHalf>) -> io::Result<(Kind, Bytes)> {
    let length = from.read_u32().await? as usize;
    let kind = match from.read_u8().await? {
        0 => Kind::Datagram,
        1 => Kind::Reliable,
        2 => Kind::Close,
        3 => Kind::Ping,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    if length == 0 || length > 1 + MAX_MESSAGE.get() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = BytesMut::zeroed(length - 1);
    from.read_exact(&mut payload).await?;
    Ok((kind, payload.freeze()))
}

async fn write_frame(to: &mut OwnedWriteHalf, kind: Kind, payload: Bytes) -> io::Result<()> {
    let mut header = BytesMut::with_capacity(5);
    header.put_u32(1 + payload.len() as u32);
    header.put_u8(kind as u8);
    to.write_all_buf(&mut header.chain(payload)).await
}

fn peer_close(mut words: Bytes) -> Closed {
    let code = words.try_get_u16().ok().and_then(CloseCode::from_wire);
    let Some(code) = code else { return Closed::local(CloseCode::PROTOCOL_ERROR, "a close without a code") };
    Closed::peer(code, shorten(&String::from_utf8_lossy(&words)).to_owned())
}

/// At most 123 bytes, cut at a character (RFC 6455 §5.5, so that every transport says the same).
fn shorten(detail: &str) -> &str {
    let mut kept = detail.len().min(123);
    while !detail.is_char_boundary(kept) {
        kept -= 1;
    }
    &detail[..kept]
}

const MAX_MESSAGE: NonZeroUsize = NonZeroUsize::new(64 * 1024).expect("not 0");
const QUEUE: NonZeroUsize = NonZeroUsize::new(128 * 1024).expect("not 0");
/// A dial ends after this, whatever the other side does.
const STAGE: Duration = Duration::from_secs(5);
/// What was accepted gets this long to leave after a close.
const FLUSH: Duration = Duration::from_secs(5);
const PING: Duration = Duration::from_secs(1);
/// Five pings missed: the path is dead.
const SILENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use transport_core::TransportExt;

    let connector = TcpConnector::new(std::net::Ipv4Addr::LOCALHOST.into());
    let (to_guest, to_host) = Target::pair();
    let (host, guest) = tokio::try_join!(connector.connect(&to_guest), connector.connect(&to_host))?;
    host.send(Lane::Reliable, Bytes::from_static(b"hello over tcp")).await?;
    println!("guest received {:?}", guest.recv().await?.payload);
    host.close(CloseCode::NORMAL, "bye");
    println!("guest says: {}", guest.closed().await);
    Ok(())
}
