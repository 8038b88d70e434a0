//! Token, dial, upgrade, hello, peer: one socket for all links of an endpoint.

mod lending;

use std::{num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use beach_lifeguard_client::{
    ClientHello, FallbackToken, ServerHello,
    frame::{HEADER_BYTES, MAX_FRAME_BYTES},
    hello::{Compression, PROTOCOL_VERSION},
};
use tokio::sync::{Mutex, watch};
use transport_core::{
    CloseCode, Closed, ConnectError, ConnectErrorKind as Kind, Connector, Generation, Initiator, LaneProfile,
    PeerId, Profile, RetryClass, SessionId, Target, Transport, TransportId, lane::MIN_RELIABLE_MESSAGE,
    rhythm::Rhythm,
};
use url::Url;

use crate::{
    ID,
    carrier::{Carrier, Carriers},
    config::{ConfigError, WsConfig},
    dial::{self, Failed, Fault, Way, neither},
    error::{because, closed_at, failed, stage},
    heartbeat::Heartbeat,
    links::Links,
    prefetch::Prefetched,
    put_out::PutOut,
    runtime::{Duration, now, timeout, wall_clock},
    socket::{DialGuard, OpenSocket, Socket},
    spares::{Spares, is_bad_token, is_worthless},
    token::{TokenFor, TokenProvider, uuid},
    wire::RelayStream,
};

/// Dials peers through the relay. Dormant until then: no socket, no timer, no task.
///
/// One connector serves one endpoint of one session at a time; all its links share one socket.
#[derive(Debug)]
pub struct WsFallbackConnector {
    config: WsConfig,
    tokens: Arc<dyn TokenProvider>,
    prefetched: Prefetched,
    /// Held while the socket is being opened, so that links dialled at once share it.
    current: Mutex<Option<Current>>,
    open: watch::Sender<usize>,
    carriers: Carriers,
    rhythm: parking_lot::Mutex<Rhythm>,
    put_out: parking_lot::Mutex<PutOut>,
    spares: Spares,
}

#[derive(Debug)]
struct Current {
    whom: TokenFor,
    socket: Arc<Socket>,
    url: Url,
}

impl WsFallbackConnector {
    /// Makes a connector that gets its tokens from `tokens`. Opens nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the field at fault.
    pub fn new(config: WsConfig, tokens: Arc<dyn TokenProvider>) -> Result<Self, ConfigError> {
        config.check()?;
        let (open, _) = watch::channel(0);
        let carriers = Carriers::new(config.carriers);
        let (prefetched, current, rhythm, put_out, spares) = Default::default();
        Ok(Self { config, tokens, prefetched, current, open, carriers, rhythm, put_out, spares })
    }

    /// Fetches a token ahead, while quorum is one failure away. Opens no relay socket; does nothing
    /// when an unspent token is at hand.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] of stage `token`. When the control plane said no, its source is a
    /// [`TokenRefused`](crate::TokenRefused).
    pub async fn prefetch(&self, session: SessionId, local: PeerId) -> Result<(), ConnectError> {
        let whom = TokenFor { session, peer: local };
        if !self.prefetched.holds(whom, now()) {
            let fetched = self.fetch(whom).await.map_err(|unfetched| unfetched.error)?;
            self.prefetched.keep(whom, fetched, wall_clock(), now());
        }
        Ok(())
    }

    /// Asks the relay to put `peer` out of the session and not to let it in again: 4508 for its socket. A relay to which no
    /// socket is open is told when one opens, as long as a token of before may live. A relay closes a viewer that asks
    /// (4507).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn evict(&self, peer: PeerId) {
        self.put_out.lock().add(uuid(peer.as_bytes()), now());
        if let Some(current) = &*self.current.lock().await {
            current.socket.evict(peer);
        }
    }

    /// How many relay sockets are open: 0 while dormant, 1 while links use it; 2 for a moment while
    /// one closes and the next opens.
    pub fn sockets(&self) -> usize {
        *self.open.borrow()
    }

    /// Waits until no relay socket is open.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn dormant(&self) {
        // The sender lives in `self`, so this ends only when it is true.
        let _ = self.open.subscribe().wait_for(|sockets| *sockets == 0).await;
    }

    async fn hold(&self, target: &Target) -> Result<DialGuard, ConnectError> {
        let whom = TokenFor { session: target.session, peer: target.local };
        let mut current = self.current.lock().await;
        if let Some(Current { whom: user, socket, .. }) = &*current {
            // A socket that may be dead would cost every dial its deadline.
            socket.settled().await;
            match socket.hold() {
                Some(hold) if *user == whom => return Ok(hold),
                Some(_) => {
                    let busy = "one connector serves one endpoint of one session at a time";
                    return Err(because(stage::DIAL, Kind::Misuse, busy));
                }
                None => socket.leave_if_draining(),
            }
            if let Some((closed, at)) = socket.ended() {
                self.carriers.ended(&closed, at);
            }
            if let Some(closed) = told_to_stay_away(socket) {
                return Err(closed_at(stage::DIAL, closed));
            }
        }
        if let Some(old) = current.take() {
            if let Some(life) = old.socket.life() {
                self.rhythm.lock().learn(life);
            }
            if let Some(ticket) = old.socket.ticket() {
                self.spares.keep(old.whom, ticket, old.url);
            }
        }
        let (socket, hold, url) = self.open_socket(whom, target).await?;
        *current = Some(Current { whom, socket, url });
        Ok(hold)
    }

    async fn open_socket(
        &self,
        whom: TokenFor,
        target: &Target,
    ) -> Result<(Arc<Socket>, DialGuard, Url), ConnectError> {
        let open = OpenSocket::new(&self.open);
        let Reached { url, carrier, stream, answer } = self.reach(whom, target).await?;
        let profile = self.profile(&url, carrier, &answer)?;
        let jitter = rand::random();
        let agreed = self.config.heartbeat.unwrap_or(answer.heartbeat).max(MIN_HEARTBEAT);
        let interval = self.rhythm.lock().interval(agreed);
        let heartbeat = Heartbeat::new(interval, jitter, now());
        let mut links = Links::new(profile, heartbeat, jitter);
        for presence in answer.peers {
            links.peer_joined(presence.peer_id, presence.peer);
        }
        self.put_out.lock().lately(now()).into_iter().for_each(|peer_id| links.evict(peer_id));
        tracing::debug!("relay socket open");
        let (socket, hold) = Socket::start(links, stream, open);
        Ok((socket, hold, url))
    }

    /// Reaches the relay with a token that it takes. One that it may have seen before and does not take any more is no word about
    /// its holder: the next one is said at once.
    async fn reach(&self, whom: TokenFor, target: &Target) -> Result<Reached, ConnectError> {
        for _ in 0..DOUBTFUL {
            match self.reach_once(whom, target).await {
                Err(Unreached { is_stale: true, error }) => {
                    tracing::debug!(error = error.chain(), "a token of before is worth nothing any more");
                }
                reached => return reached.map_err(|unreached| unreached.error),
            }
        }
        self.reach_once(whom, target).await.map_err(|unreached| unreached.error)
    }

    /// Reaches the relay by the carrier that comes first, or by the other one when something is in its way.
    async fn reach_once(&self, whom: TokenFor, target: &Target) -> Result<Reached, Unreached> {
        let mut before: Option<(Carrier, ConnectError)> = None;
        let mut at_a_bad_moment = false;
        let (mut lent, url) = self.lend(whom).await?;
        let host = url.host_str().unwrap_or_default();
        let WsConfig { outbound, deadlines, .. } = &self.config;
        let way = Way { url: &url, outbound, deadlines, progress: &target.progress };
        let order = self.carriers.order(host, now());
        for carrier in order.into_iter().filter(|carrier| carrier.is_at(&url)) {
            let mut grant = match lent.take() {
                Some(lent) => lent,
                // The one before was spent on a hello that nobody answered.
                None => self.lend(whom).await?.0.take().ok_or_else(|| failed(stage::TOKEN, Kind::Misuse))?,
            };
            if let Some((_, earlier)) = before.take_if(|_| at_a_bad_moment && grant.is_expired()) {
                // No relay was there a moment ago; a fresh token would be asked for in vain.
                return Err(earlier.into());
            }
            let is_doubtful = grant.is_doubtful();
            let hello = || grant.spend().map(|token| self.hello(whom, token));
            let reached = dial::reach(&way, carrier, hello).await;
            if reached.as_ref().is_err_and(|failed| failed.unheard) {
                grant.restore();
            }
            if grant.is_wanted() {
                let error = failed(stage::TOKEN, Kind::Unready);
                return Err(Unreached { error, is_stale: true });
            }
            if grant.is_spent() {
                if let Some(token) = grant.spare()
                    && reached.as_ref().map_or_else(is_worthless, |_| true)
                {
                    self.spares.used(token);
                }
                grant.used_up();
            } else {
                lent = Some(grant);
            }
            match reached {
                Ok((stream, answer)) => {
                    if at_a_bad_moment {
                        self.carriers.took_over(host, carrier, now());
                    } else {
                        self.carriers.worked(host, carrier, now());
                    }
                    return Ok(Reached { url, carrier, stream, answer });
                }
                Err(failed) if is_doubtful && is_bad_token(&failed) => {
                    return Err(Unreached { error: failed.error, is_stale: true });
                }
                Err(Failed { error, fault, .. }) => {
                    let elsewhere = fault != Fault::Final;
                    if elsewhere {
                        if fault == Fault::Way {
                            self.carriers.failed(host, carrier, now());
                        }
                        at_a_bad_moment = fault == Fault::Moment;
                        tracing::debug!(
                            carrier = carrier.name(),
                            error = error.chain(),
                            "no way to the relay"
                        );
                    }
                    match before {
                        Some((other, earlier)) if elsewhere => {
                            return Err(neither((other, earlier), (carrier, error)).into());
                        }
                        None if elsewhere => before = Some((carrier, error)),
                        _ => return Err(error.into()),
                    }
                }
            }
        }
        Err(before.map_or_else(|| failed(stage::DIAL, Kind::Misuse), |(_, error)| error).into())
    }

    fn hello(&self, whom: TokenFor, token: FallbackToken) -> ClientHello {
        ClientHello {
            protocol_version: PROTOCOL_VERSION,
            session_id: uuid(whom.session.as_bytes()),
            peer_id: uuid(whom.peer.as_bytes()),
            role: self.config.credentials.role(),
            access: self.config.credentials.access(),
            token,
            client_nonce: rand::random(),
            client_version: self.config.client_version.clone(),
            compression: Compression::None,
            telemetry: self.config.telemetry_opt_in,
        }
    }

    fn profile(&self, url: &Url, carrier: Carrier, answer: &ServerHello) -> Result<Profile, ConnectError> {
        let frame = (answer.limits.frame_bytes as usize).min(MAX_FRAME_BYTES);
        let max_message = NonZeroUsize::new(frame.saturating_sub(HEADER_BYTES))
            .filter(|max| max.get() >= MIN_RELIABLE_MESSAGE)
            .ok_or_else(|| because(stage::HELLO, Kind::Incompatible, "the relay's frames are too small"))?;
        let in_flight = NonZeroUsize::new(answer.limits.in_flight_bytes as usize).unwrap_or(max_message);
        let path = format!("{} through the relay at {}", carrier.name(), url.host_str().unwrap_or("?"));
        let datagram = LaneProfile::emulated(max_message, self.config.datagram_bytes);
        let reliable = LaneProfile::native(max_message, self.config.reliable_bytes);
        Ok(Profile::new(ID, path, datagram, reliable).holding(in_flight.max(max_message)))
    }
}

/// No relay, and whether only because its token was of before.
#[derive(Debug)]
struct Unreached {
    error: ConnectError,
    is_stale: bool,
}

impl From<ConnectError> for Unreached {
    fn from(error: ConnectError) -> Self {
        Self { error, is_stale: false }
    }
}

/// A relay that has answered the hello.
struct Reached {
    url: Url,
    carrier: Carrier,
    stream: RelayStream,
    answer: ServerHello,
}

#[async_trait]
impl Connector for WsFallbackConnector {
    fn id(&self) -> TransportId {
        ID
    }

    /// Opens the socket and tells every link that `peer` opens on it, until the socket ends. Nothing is opened in answer.
    async fn attend(&self, target: &Target, calls: &watch::Sender<Generation>) -> ConnectError {
        match self.hold(target).await {
            Err(error) => error,
            Ok(hold) => closed_at(stage::PEER, hold.attend(target.peer, calls).await),
        }
    }

    /// Pings the socket: it is replaced by the next dial unless it answers within 1.5 s.
    fn doubt(&self) {
        // While a dial holds it, it is being asked or opened.
        if let Ok(current) = self.current.try_lock()
            && let Some(Current { socket, .. }) = &*current
        {
            socket.doubt();
        }
    }

    /// Ends when both sides have opened the link. The handshake above proves who the peer is.
    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let hold = self.hold(target).await?;
        // The relay answers, on a socket that was open before too.
        target.progress.mark_answered();
        let opened = timeout(self.config.deadlines.peer, hold.open(target.peer, target.generation.0)).await;
        match opened {
            Err(_) => Err(because(stage::PEER, Kind::TimedOut, "the other side has not opened the link")),
            Ok(Err(closed)) => Err(closed_at(stage::PEER, closed)),
            Ok(Ok(None)) => Err(because(stage::PEER, Kind::Misuse, "this generation is attached already")),
            Ok(Ok(Some(link))) => Ok(Box::new(link)),
        }
    }
}

/// The relay closed the socket with a code that says not to come back; for a while that is obeyed
/// here, whatever is dialled. The newest connection of a peer wins: the older must not fight back.
fn told_to_stay_away(socket: &Socket) -> Option<Closed> {
    let (closed, at) = socket.ended()?;
    let stay = closed.initiator == Initiator::Peer
        && closed.code != CloseCode::NORMAL
        && closed.code.retry_class() == RetryClass::Stay;
    (stay && at.elapsed() < STAY_AWAY).then_some(closed)
}

/// Tokens at hand that a relay may have seen before: a ticket, a grant, and one that came back.
const DOUBTFUL: usize = 3;

/// How long a `stay` of the relay is obeyed without asking again.
const STAY_AWAY: Duration = Duration::from_secs(30);

/// A relay cannot make its clients spin.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const _: fn() = || {
        fn sendable<T: Send>(_: T) {}
        fn probe(connector: &WsFallbackConnector, target: &Target) {
            sendable(connector.connect(target));
        }
        let _ = probe;
    };

    #[test]
    fn its_name_is_registered() {
        // Read when the test runs: the package is built without the repository's documents.
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/TRANSPORTS.md");
        let registered = std::fs::read_to_string(path).unwrap();
        assert!(registered.contains(&format!("| `{}` | `transport-ws-fallback` |", ID.as_str())));
    }
}
