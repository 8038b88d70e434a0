//! Enters the room and stays in it.

use std::{future::pending, pin::Pin, sync::Arc};

use beach_lifeguard_client::{
    Reason, Role, SignedDocument,
    membership::{Credentials, Purpose},
    signaling::{FromRoom, ToRoom},
};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use transport_core::{
    CloseCode, PeerId,
    backoff::{Backoff, BackoffConfig},
    rhythm::{Life, Rhythm},
    signaling::{Obstacle, SignalingError, SignalingEvent},
};
use url::Url;
use uuid::Uuid;

use super::{
    RoomState,
    answer::{Absence, Departure, UNKNOWN, UPGRADE_REMOVED, from_control},
    socket::Socket,
};
use crate::{
    plane::ControlPlane,
    rescue::Rescue,
    runtime::{Duration, Instant, now, sleep_until, timeout, timeout_at},
};

/// All that the task which stays in the room needs.
pub(super) struct Visitor {
    pub(super) url: Url,
    pub(super) control: ControlPlane,
    pub(super) credentials: Credentials,
    /// What the host publishes of its session.
    pub(super) documents: Option<watch::Receiver<SignedDocument>>,
    /// What is asked for inside, and kept.
    pub(super) rescue: Option<Rescue>,
    pub(super) said: mpsc::Receiver<(PeerId, Bytes)>,
    pub(super) events: mpsc::Sender<SignalingEvent>,
    pub(super) state: watch::Sender<RoomState>,
    /// This machine may have moved or slept.
    pub(super) doubted: Arc<Notify>,
}

/// Visits the room again and again until it refuses or nobody cares.
pub(super) async fn stay(mut visitor: Visitor) {
    let (mut waits, mut rhythm) = (Waits::new(), Rhythm::default());
    let (mut was_inside, mut answered) = (false, false);
    loop {
        let doubted = visitor.doubted.clone();
        let entered = tokio::select! {
            entered = visitor.enter() => entered,
            // What was begun on another network may hang there.
            () = doubted.notified() => {
                waits.start_over();
                Err(Departure::Lost("this machine moved or slept".into()))
            }
        };
        let departure = match entered {
            Ok((socket, peers)) => {
                waits.start_over();
                (was_inside, answered) = (true, false);
                visitor.visit(socket, peers, &mut rhythm).await
            }
            Err(departure) => departure,
        };
        match departure {
            Departure::Dropped => return,
            // A control plane that restarted has forgotten the session until the host comes back too.
            Departure::Refused(SignalingError::Refused { label, .. }) if was_inside && is_restart(&label) => {
                // It is up again: the host is on its way, and the long waits are over.
                if !std::mem::replace(&mut answered, true) {
                    waits.start_over();
                }
                let detail = "the session is not known there at the moment";
                if visitor.rest(&mut waits, detail).await.is_err() {
                    return;
                }
            }
            // Only the same key can have taken the host's place: a second process, or this one's older socket.
            Departure::Refused(SignalingError::Refused { label, .. })
                if label == SUPERSEDED && visitor.credentials.role() == Role::Host =>
            {
                let detail = "another connection of the same host took this one's place";
                if visitor.stand_aside(detail).await.is_err() {
                    return;
                }
            }
            Departure::Refused(error) => {
                visitor.state.send_replace(RoomState::Over(error));
                return;
            }
            Departure::Lost(absence) => {
                answered = false;
                if visitor.rest(&mut waits, absence).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The waits between two visits: ever longer while nothing answers.
struct Waits {
    backoff: Backoff,
    since: Instant,
}

impl Waits {
    fn new() -> Self {
        Self { backoff: Backoff::default(), since: now() }
    }

    /// Something answered, or this machine may be elsewhere.
    fn start_over(&mut self) {
        *self = Self::new();
    }

    fn next(&mut self) -> Duration {
        let config = BackoffConfig::default().after(now().saturating_duration_since(self.since));
        self.backoff.scaled(&config, rand::random())
    }
}

impl Visitor {
    /// Says that the room is away, and waits before the next visit.
    async fn rest(&self, waits: &mut Waits, absence: impl Into<Absence>) -> Result<(), NobodyCares> {
        let obstacle = self.say_down(absence.into()).await?;
        let mut pause = waits.next();
        if obstacle == Obstacle::LoginPage {
            // It answers from nearby, and somebody waits who just logged in.
            pause = pause.min(LOGIN);
        }
        if timeout(pause, self.doubted.notified()).await.is_ok() {
            waits.start_over();
        }
        Ok(())
    }

    /// Lets the newer connection be for a while: two that came back at once would chase each other.
    async fn stand_aside(&self, detail: &str) -> Result<(), NobodyCares> {
        self.say_down(detail.into()).await?;
        let pause = ASIDE + ASIDE.mul_f64(rand::random());
        let _ = timeout(pause, self.doubted.notified()).await;
        Ok(())
    }

    async fn say_down(&self, Absence { detail, obstacle }: Absence) -> Result<Obstacle, NobodyCares> {
        tracing::debug!(detail, "not in the room");
        self.state.send_replace(RoomState::Down);
        self.events.send(SignalingEvent::Down { detail, obstacle }).await.map_err(|_| NobodyCares)?;
        Ok(obstacle)
    }

    /// Connects, proves membership, and returns who is inside.
    async fn enter(&self) -> Result<(Socket, Vec<PeerId>), Departure> {
        if let Some(documents) = &self.documents {
            let newest = documents.borrow().clone();
            match self.control.publish(&newest).await {
                // A newer one overtook it.
                Err(error)
                    if error.reason() == Some(Reason::RevisionStale) && *documents.borrow() != newest => {}
                published => drop(published.map_err(from_control)?),
            }
        }
        let mut socket = Socket::open(&self.control, &self.url).await?;
        let greeted = timeout(HELLO, self.greet(&mut socket)).await;
        let peers = greeted.unwrap_or_else(|_| Err(Departure::Lost("the room does not greet".into())))?;
        Ok((socket, peers))
    }

    async fn greet(&self, socket: &mut Socket) -> Result<Vec<PeerId>, Departure> {
        let hello = ToRoom::Hello { proof: self.control.prove(&self.credentials, Purpose::Signaling) };
        socket.say(&hello).await?;
        loop {
            if let Some(FromRoom::Welcome { peers }) = socket.next().await? {
                let me = self.credentials.peer_id();
                let others = peers.into_iter().filter(|present| present.peer_id != me);
                return Ok(others.map(|present| peer(present.peer_id)).collect());
            }
        }
    }

    /// Stays inside until the socket ends, and learns from its end how long a pause the way bears.
    async fn visit(&mut self, mut socket: Socket, peers: Vec<PeerId>, rhythm: &mut Rhythm) -> Departure {
        let began = now();
        let mut moved = began;
        let departure = self.remain(&mut socket, peers, rhythm.interval(PINGED), &mut moved).await;
        let since = |then| now().saturating_duration_since(then);
        rhythm.learn(Life { cut: socket.is_cut(), idle: since(moved), lived: since(began) });
        departure
    }

    /// Carries envelopes both ways until the socket ends. `moved`: when anything last did; after `beat` something must again.
    async fn remain(
        &mut self,
        socket: &mut Socket,
        peers: Vec<PeerId>,
        beat: Duration,
        moved: &mut Instant,
    ) -> Departure {
        self.state.send_replace(RoomState::Up);
        let entered = peers.into_iter().map(|peer| SignalingEvent::Joined { peer });
        for event in std::iter::once(SignalingEvent::Up).chain(entered) {
            if self.events.send(event).await.is_err() {
                return Departure::Dropped;
            }
        }
        let doubted = self.doubted.clone();
        let mut silent_at = now() + SILENCE;
        // How long an answer may take that is waited for.
        let mut asked = None;
        let mut woken = false;
        // The first grant is asked for at once. Where its relay is is looked up now: its name server may be what is missing later.
        let mut rescue_at = self.rescue.is_some().then(now);
        let mut learning: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(pending());
        loop {
            tokio::select! {
                () = sleep_until(rescue_at.unwrap_or_else(now)), if rescue_at.is_some() => {
                    rescue_at = None;
                    let request = self.rescue.as_ref().map(Rescue::request).unwrap_or_default();
                    match timeout(WRITE, socket.say(&ToRoom::Rescue(request))).await {
                        Ok(Ok(())) => {}
                        Ok(Err(departure)) => return departure,
                        Err(_) => return Departure::Lost("the room does not read".into()),
                    }
                }
                () = &mut learning => learning = Box::pin(pending()),
                // The room pings as often by itself, unless the way has shown that it bears less.
                () = sleep_until(*moved + beat), if beat < PINGED => {
                    *moved = now();
                    if let Err(departure) = ask_within(socket, WRITE).await {
                        return departure;
                    }
                }
                () = doubted.notified() => {
                    if let Err(departure) = ask_within(socket, DOUBT).await {
                        return departure;
                    }
                    asked = Some(DOUBT);
                    silent_at = silent_at.min(now() + DOUBT);
                }
                said = self.said.recv() => {
                    let Some((to, envelope)) = said else {
                        let _ = timeout(WRITE, socket.close()).await;
                        return Departure::Dropped;
                    };
                    let to = Uuid::from_bytes(*to.as_bytes());
                    let message = ToRoom::Send { to, data: envelope };
                    let said = async {
                        socket.say(&message).await?;
                        // A machine that moved to another network keeps its socket and reaches nobody through it,
                        // and what is said now would be lost with it: so the room must show that it is there.
                        if asked.is_some() { Ok(()) } else { socket.ask().await }
                    };
                    match timeout(WRITE, said).await {
                        Ok(Ok(())) => {}
                        Ok(Err(departure)) => return departure,
                        Err(_) => return Departure::Lost("the room does not read".into()),
                    }
                    *moved = now();
                    if asked.is_none() {
                        asked = Some(ANSWER);
                        silent_at = silent_at.min(now() + ANSWER);
                    }
                }
                // The server pings every 15 s; three missed are a dead socket.
                heard = timeout_at(silent_at, socket.next()) => {
                    let event = match heard {
                        Ok(Ok(Some(FromRoom::Rescue(grant)))) => {
                            rescue_at = self.rescue.as_ref().map(|rescue| now() + rescue.keep(grant, now()));
                            if let Some(relay) = self.rescue.as_ref().and_then(Rescue::relay) {
                                let outbound = self.control.outbound().clone();
                                learning = Box::pin(async move { outbound.learn(&relay).await });
                            }
                            None
                        }
                        Ok(Ok(message)) => message.and_then(event),
                        Ok(Err(departure)) => return departure,
                        // Noticed long after it was due, the silence says nothing: this machine slept, or a browser
                        // held the timers of a hidden page back. The room is asked once.
                        Err(_) if !woken && now() > silent_at + LATE => {
                            woken = true;
                            self.doubted.notify_one();
                            silent_at = now() + DOUBT;
                            continue;
                        }
                        Err(_) => return Departure::Lost("the room went silent".into()),
                    };
                    if socket.is_answered() {
                        (asked, woken) = (None, false);
                    }
                    *moved = now();
                    // What lay here since before the question, through a sleep perhaps, is no answer to it.
                    silent_at = now() + asked.unwrap_or(SILENCE);
                    if let Some(event) = event && self.events.send(event).await.is_err() {
                        return Departure::Dropped;
                    }
                }
            }
        }
    }
}

async fn ask_within(socket: &mut Socket, limit: Duration) -> Result<(), Departure> {
    let asked = timeout(limit, socket.ask()).await;
    if matches!(asked, Ok(Ok(()))) { Ok(()) } else { Err(Departure::Lost("the room does not read".into())) }
}

fn peer(id: Uuid) -> PeerId {
    PeerId::from_bytes(*id.as_bytes())
}

/// Translates what concerns the application.
fn event(message: FromRoom) -> Option<SignalingEvent> {
    match message {
        FromRoom::Envelope { from, data } => {
            Some(SignalingEvent::Envelope { from: peer(from), envelope: data })
        }
        FromRoom::PeerJoined(present) => Some(SignalingEvent::Joined { peer: peer(present.peer_id) }),
        FromRoom::PeerLeft { peer_id } => Some(SignalingEvent::Left { peer: peer(peer_id) }),
        FromRoom::Undelivered { .. } => {
            tracing::debug!("an envelope was not delivered");
            None
        }
        FromRoom::Rescue(_) | FromRoom::Welcome { .. } | FromRoom::Unknown => None,
    }
}

/// Says whether a room that was entered before is refused for now only: its service restarts, and the proxy before
/// it answers in its place.
fn is_restart(label: &str) -> bool {
    label == UNKNOWN || label == UPGRADE_REMOVED
}

/// How the room calls a place that a newer connection took.
const SUPERSEDED: &str = CloseCode::SUPERSEDED.label();

/// Nobody receives the room's events any more.
struct NobodyCares;

/// The shortest pause of a host whose place was taken; twice as long at most.
const ASIDE: Duration = Duration::from_secs(5);

/// The longest pause while a login page stands in the way.
const LOGIN: Duration = Duration::from_secs(1);

/// Time for the hello; as long as the room waits for ours.
const HELLO: Duration = Duration::from_secs(5);

/// Time for one write.
const WRITE: Duration = Duration::from_secs(5);

/// Time the room has to answer a ping that follows what was said.
const ANSWER: Duration = Duration::from_secs(4);

/// The same when this machine may have moved or slept, and every second counts: a round trip by satellite and
/// one more.
const DOUBT: Duration = Duration::from_millis(1_500);

/// A silence that is noticed so much too late was not listened to.
const LATE: Duration = Duration::from_secs(5);

/// How often the room pings.
const PINGED: Duration = Duration::from_secs(15);

/// Silence after which the socket is dead.
const SILENCE: Duration = Duration::from_secs(46);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_room_says_is_translated_and_what_it_may_say_one_day_is_passed_over() {
        let id = PeerId::from_bytes([1; 16]);
        let read = |text: &str| serde_json::from_str::<FromRoom>(text).ok().and_then(event);
        let who = "01010101-0101-0101-0101-010101010101";
        let envelope = read(&format!(r#"{{"type":"envelope","from":"{who}","data":"AP9oaQ=="}}"#));
        let expected = SignalingEvent::Envelope { from: id, envelope: Bytes::from_static(b"\x00\xffhi") };
        assert_eq!(envelope, Some(expected));
        let joined = read(&format!(r#"{{"type":"peer_joined","peer_id":"{who}","role":"viewer"}}"#));
        assert_eq!(joined, Some(SignalingEvent::Joined { peer: id }));
        assert_eq!(read(r#"{"type":"weather","x":1}"#), None);
        assert_eq!(read("{"), None);
    }
}
