//! The handle an application holds. It survives every change of path.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc, watch};
use transport_core::{CloseCode, PeerId, SessionId, secure::Access};

use crate::{
    config::FallbackMode,
    core::{RefusedInput, SessionCore},
    error::{SendError, SessionEnd},
    event::{EventStream, NegotiationEvent},
    explain::{Explanation, Outlook, Status},
    rendezvous::Missing,
    runtime::{Duration, timeout},
    stats::SessionStats,
};

/// One session with one peer, whatever path carries it. Cheap to clone.
///
/// Three ways to end it: [`close`](Session::close) waits until everything sent was acknowledged and the goodbye has
/// left; [`abort`](Session::abort) ends it at once, and [`closed`](Session::closed) waits for the goodbye; dropping the
/// last clone tells the peer that this side went away, and a task says so within 2 s if the program lives as long.
///
/// # Examples
///
/// ```
/// use negotiator::{Received, testing::MemoryNetwork};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pair = MemoryNetwork::new().pair().await?;
/// let (ada, bob) = (pair.viewer, pair.hosted);
/// ada.send("one message, once and in order".into()).await?;
/// assert_eq!(bob.recv().await?, Received::Message("one message, once and in order".into()));
/// ada.close().await; // what was accepted has arrived
/// assert_eq!(bob.recv().await?, Received::Finished);
/// println!("{}", bob.ended().await);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    id: SessionId,
    peer: PeerId,
    core: Arc<SessionCore>,
    outlook: watch::Receiver<Outlook>,
    missing: Arc<[Missing]>,
    /// The driver's; they end with it.
    events: broadcast::WeakSender<NegotiationEvent>,
    commands: mpsc::Sender<Command>,
    /// What the application allows. Level-triggered: the last one counts.
    mode: watch::Sender<FallbackMode>,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// From the datagram lane: at most once, in no order.
    Datagram(Bytes),
    /// The peer sends no more messages; it still receives.
    Finished,
    /// From the reliable lane: once, in order.
    Message(Bytes),
}

/// What a handle asks of its driver.
#[derive(Debug)]
pub(crate) enum Command {
    NetworkChanged,
    Woke,
}

/// A handle's ends of what it shares with its driver.
#[derive(Debug)]
pub(crate) struct DriverHandle {
    pub(crate) outlook: watch::Receiver<Outlook>,
    pub(crate) events: broadcast::WeakSender<NegotiationEvent>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) mode: watch::Sender<FallbackMode>,
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        peer: PeerId,
        core: Arc<SessionCore>,
        missing: Arc<[Missing]>,
        driver: DriverHandle,
    ) -> Self {
        let DriverHandle { outlook, events, commands, mode } = driver;
        Self(Arc::new(Inner { id, peer, core, outlook, missing, events, commands, mode }))
    }

    pub(crate) fn core(&self) -> &Arc<SessionCore> {
        &self.0.core
    }

    pub(crate) fn outlook(&self) -> watch::Receiver<Outlook> {
        self.0.outlook.clone()
    }

    /// Sends one message of 1 byte to 1 MiB. Accepted means: it is delivered once and in order, or the session ends and
    /// says so.
    ///
    /// Waits while the path is busy with what it has, a round trip's worth and a little more, so that the next key has little in
    /// front of it; without a path, while the session holds as much as it may.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the message.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when dropped, the message was accepted whole or not at all.
    pub async fn send(&self, mut payload: Bytes) -> Result<(), SendError> {
        loop {
            let room = self.0.core.room();
            payload = match self.0.core.try_send_paced(payload) {
                Err(SendError::Full { payload }) => payload,
                other => return other,
            };
            room.await;
        }
    }

    /// Returns into what lengths bulk is best cut on the path of this moment, in bytes: 1,104 to
    /// 30,720. A message keeps its place once it is accepted, and what a person waits for stands behind it:
    /// one of 16 KiB takes half a second at 256 kbit/s.
    pub fn bulk_length(&self) -> usize {
        self.0.core.bulk_length()
    }

    /// Sends one message if there is room at once.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the message.
    pub fn try_send(&self, payload: Bytes) -> Result<(), SendError> {
        self.0.core.try_send(payload)
    }

    /// Sends one datagram of 1 byte to 64 KiB, at most once, in no order, never waiting. With no
    /// path it is dropped and counted.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the datagram.
    ///
    /// # Examples
    ///
    /// ```
    /// use negotiator::{Received, testing::MemoryNetwork};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pair = MemoryNetwork::new().pair().await?;
    /// // A pointer's position: the next one is better than this one late.
    /// pair.viewer.send_datagram("x=12 y=7".into())?;
    /// assert_eq!(pair.hosted.recv().await?, Received::Datagram("x=12 y=7".into()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_datagram(&self, payload: Bytes) -> Result<(), SendError> {
        self.0.core.try_send_datagram(payload)
    }

    /// Waits for what arrives next. A receiver that does not read holds the sender back.
    ///
    /// # Errors
    ///
    /// [`SessionEnd`] when the session is over and everything that arrived was taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn recv(&self) -> Result<Received, SessionEnd> {
        loop {
            let readable = self.0.core.readable();
            if let Some(received) = self.try_recv()? {
                return Ok(received);
            }
            readable.await;
        }
    }

    /// Takes what has already arrived.
    ///
    /// # Errors
    ///
    /// [`SessionEnd`] when the session is over and everything that arrived was taken.
    pub fn try_recv(&self) -> Result<Option<Received>, SessionEnd> {
        // Asked before taking: what arrives before the end must be taken before it is told.
        let ended = self.0.core.ended().borrow().clone();
        match (self.0.core.take(), ended) {
            (Some(received), _) => Ok(Some(received)),
            (None, None) => Ok(None),
            (None, Some(end)) => Err(end),
        }
    }

    /// Says that this side sends no more messages; what was accepted is still delivered. The other
    /// direction goes on.
    pub fn finish(&self) {
        self.0.core.finish();
    }

    /// Waits until the peer acknowledged everything that was accepted.
    ///
    /// # Errors
    ///
    /// [`SessionEnd`] when the session ended before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flushed(&self) -> Result<(), SessionEnd> {
        let mut ended = self.0.core.ended();
        loop {
            let room = self.0.core.room();
            if self.0.core.is_flushed() {
                return Ok(());
            }
            if let Some(end) = ended.borrow_and_update().clone() {
                return Err(end);
            }
            room.await;
        }
    }

    /// Returns how many bytes of messages were accepted so far: a mark for [`acknowledged`](Self::acknowledged).
    pub fn accepted_bytes(&self) -> u64 {
        self.0.core.traffic().accepted_bytes
    }

    /// Returns how many bytes of messages the peer acknowledged so far.
    pub fn acknowledged_bytes(&self) -> u64 {
        self.0.core.traffic().acknowledged()
    }

    /// Waits until the peer acknowledged so many bytes of messages, counted as
    /// [`accepted_bytes`](Self::accepted_bytes) counts them: everything accepted up to that mark.
    ///
    /// # Errors
    ///
    /// [`SessionEnd`] when the session ended before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use negotiator::testing::MemoryNetwork;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pair = MemoryNetwork::new().pair().await?;
    /// pair.viewer.send("a record".into()).await?;
    /// let mark = pair.viewer.accepted_bytes();
    /// pair.hosted.recv().await?;
    /// pair.viewer.acknowledged(mark).await?; // the other side has it: a journal may forget it
    /// # Ok(())
    /// # }
    /// ```
    pub async fn acknowledged(&self, bytes: u64) -> Result<(), SessionEnd> {
        let mut ended = self.0.core.ended();
        loop {
            let room = self.0.core.room();
            if self.acknowledged_bytes() >= bytes {
                return Ok(());
            }
            if let Some(end) = ended.borrow_and_update().clone() {
                return Err(end);
            }
            room.await;
        }
    }

    /// Closes the session once everything sent was acknowledged, or after 5 s of trying, tells the peer, and waits as
    /// [`closed`](Self::closed) does. A program may exit right after this.
    pub async fn close(&self) {
        self.finish();
        let _ = timeout(LINGER, self.flushed()).await;
        self.0.core.close(CloseCode::NORMAL, "done");
        self.closed().await;
    }

    /// Waits until the session has ended and nothing of it runs any more: every link has closed with its last bytes
    /// gone and every word to the peer has left, or the 2 s for that have passed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        // The driver holds the sender until it has done all of that.
        let mut outlook = self.0.outlook.clone();
        while outlook.changed().await.is_ok() {}
    }

    /// Ends the session at once, for the reason given. What is unacknowledged is given up.
    pub fn abort(&self, reason: &str) {
        self.0.core.close(CloseCode::GOING_AWAY, reason);
    }

    /// Waits for the end and says how it came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ended(&self) -> SessionEnd {
        let mut ended = self.0.core.ended();
        let end = ended.wait_for(Option::is_some).await;
        // The sender lives in `core`, which this handle holds.
        end.ok()
            .and_then(|end| end.clone())
            .unwrap_or(SessionEnd::Closed(transport_core::Closed::network("dropped")))
    }

    /// Says how the session ended, if it has.
    pub fn end(&self) -> Option<SessionEnd> {
        self.0.core.ended().borrow().clone()
    }

    /// Subscribes to every decision from here on, each with its reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use negotiator::testing::MemoryNetwork;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = MemoryNetwork::new();
    /// let pair = network.pair().await?;
    /// let mut events = pair.viewer.events();
    /// network.primary.cut();
    /// let event = events.next().await.ok_or("the session is over")?;
    /// println!("{event}"); // its name, and one reason of a closed set
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> EventStream {
        EventStream::new(&self.0.events)
    }

    /// Tells which path carries the session, since when, why, what was tried, what happens next.
    pub fn explain(&self) -> Explanation {
        // Let go of before it is borrowed once more: with a writer waiting in between, both would wait for ever.
        let outlook = self.0.outlook.borrow().clone();
        Explanation::new(outlook, self.status(), &self.0.missing, &self.0.core)
    }

    /// Tells what a status line shows.
    pub fn status(&self) -> Status {
        Status::new(&self.0.outlook.borrow(), &self.0.core)
    }

    /// Waits until the path, the reason or the outlook changes from what it is at the call, or the
    /// session ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut outlook, mut ended) = (self.0.outlook.clone(), self.0.core.ended());
        outlook.mark_unchanged();
        async move {
            // An error means that the driver is gone, and then the session has ended.
            let _ = tokio::select! {
                changed = outlook.changed() => changed,
                end = ended.wait_for(Option::is_some) => end.map(drop),
            };
        }
    }

    /// Overrides which paths are allowed. On the side that follows, the host's, the leader is told and keeps to it:
    /// of what the two sides allow, the stricter counts. A leader of before this word goes on dialling, and its dials
    /// are declined.
    pub fn set_mode(&self, mode: FallbackMode) {
        self.0.mode.send_replace(mode);
    }

    /// Tells the session that this machine's network changed: backoff is reset and paths are tried, while the
    /// old one stays until a fresh one works. Another address is
    /// [noticed](crate::NetworkConfig::watch_network) without it.
    pub fn network_changed(&self) {
        let _ = self.0.commands.try_send(Command::NetworkChanged);
    }

    /// Tells the session that the machine woke from sleep. A jump of the clock is noticed without it.
    pub fn woke(&self) {
        let _ = self.0.commands.try_send(Command::Woke);
    }

    /// Returns figures of what it has carried: counters over all its paths, and gauges. Never waits.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn tell(session: &negotiator::Session) {
    /// let stats = session.stats();
    /// println!("{} of {} bytes are across", stats.acknowledged_bytes, stats.accepted_bytes);
    /// # }
    /// ```
    pub fn stats(&self) -> SessionStats {
        self.0.core.stats()
    }

    /// Returns what the viewer may do, as the host sees it now; `None` until there was a path. What a viewer sends that
    /// may only look does not reach the host's application.
    pub fn access(&self) -> Option<Access> {
        self.0.core.access()
    }

    /// Tells what the viewer of this session sent although it may only look. Always empty at the viewer.
    pub fn refused_input(&self) -> RefusedInput {
        self.0.core.refused_input()
    }

    /// Returns the session's id.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Returns the other side.
    pub fn peer(&self) -> PeerId {
        self.0.peer
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.0.id).field("peer", &self.0.peer).finish_non_exhaustive()
    }
}

/// How long `close` waits for acknowledgements.
const LINGER: Duration = Duration::from_secs(5);
