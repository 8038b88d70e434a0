//! The one relay socket of a connector: the shell around [`Links`].

mod dial_guard;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use beach_lifeguard_client::websocket::{Opcode, Violation};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use transport_core::{CloseCode, Closed, Inbound, Initiator, PeerId, Refusal, Text, rhythm::Life};

use crate::{
    link::Link,
    links::{CLOSING, Links},
    outcome::{Batch, Outgoing, Tick},
    runtime::{Duration, Instant, now, sleep, sleep_until, spawn, timeout},
    spares::Ticket,
    token::uuid,
    wire::{Goodbye, Item, Lost, RelaySink, RelaySource, RelayStream},
};

pub(crate) use self::dial_guard::DialGuard;

/// A socket that lives while somebody holds it ([`DialGuard`]) or a link is open on it.
pub(crate) struct Socket {
    links: Mutex<Links>,
    /// Wakes the writer.
    outgoing: Notify,
    /// Wakes the watch: the next deadline may have moved.
    rescheduled: Notify,
    /// Wakes dials that wait for a peer, and links that wait for the end of the socket.
    changed: Notify,
    /// Whether the socket is closed, with its goodbye written.
    gone: AtomicBool,
}

impl Socket {
    /// Runs a greeted socket in a task of its own, which `open` counts.
    pub(crate) fn start(links: Links, stream: RelayStream, open: OpenSocket) -> (Arc<Self>, DialGuard) {
        let socket = Arc::new(Self {
            links: Mutex::new(links),
            outgoing: Notify::new(),
            rescheduled: Notify::new(),
            changed: Notify::new(),
            gone: AtomicBool::new(false),
        });
        let running = Running(socket.clone());
        spawn(async move {
            running.0.run(stream).await;
            drop((open, running));
        });
        let hold = DialGuard(socket.clone());
        (socket, hold)
    }

    /// Holds the socket open for one more dial, if it takes any.
    pub(crate) fn hold(self: &Arc<Self>) -> Option<DialGuard> {
        let held = self.links.lock().hold().then(|| DialGuard(self.clone()));
        self.changed.notify_waiters();
        held
    }

    /// Asks whether the socket is alive, whatever it does at the moment.
    pub(crate) fn doubt(&self) {
        self.links.lock().doubt(now());
        self.wake_all();
    }

    /// Returns once it is known whether the socket is alive: at once when something came lately, else when it has
    /// answered a ping or ended for want of an answer.
    pub(crate) async fn settled(&self) {
        self.links.lock().doubt_silence(now());
        self.wake_all();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.links.lock().is_in_doubt() {
                return;
            }
            changed.await;
        }
    }

    /// How it lived, once it has ended.
    pub(crate) fn life(&self) -> Option<Life> {
        self.links.lock().life()
    }

    /// The newest ticket that the relay gave for coming back.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.links.lock().ticket()
    }

    /// Ends a draining socket, so that the next one does not have to supersede it.
    pub(crate) fn leave_if_draining(&self) {
        self.links.lock().leave_if_draining(now());
        self.wake_all();
    }

    /// Tells the relay to put `peer` out of the session.
    pub(crate) fn evict(&self, peer: PeerId) {
        self.links.lock().evict(uuid(peer.as_bytes()));
        self.outgoing.notify_one();
    }

    /// How and when it ended, if it has.
    pub(crate) fn ended(&self) -> Option<(Closed, Instant)> {
        self.links.lock().ended().cloned()
    }

    /// Notes that `link` has something to send.
    pub(crate) fn mark_ready(&self, link: &Link) {
        if self.links.lock().mark_ready(link.key) {
            self.outgoing.notify_one();
        }
    }

    /// Whether the peer has opened `link` too; the end of the link as the error.
    pub(crate) fn is_met(&self, link: &Link) -> Result<bool, Closed> {
        self.links.lock().is_met(link)
    }

    /// Lets the peer of `link` go on, after something was read.
    pub(crate) fn move_window(&self, link: &Link) {
        if self.links.lock().move_window(link) {
            self.outgoing.notify_one();
        }
    }

    /// Ends `link` from this side, with `flush` for what was accepted.
    pub(crate) fn close(&self, link: &Link, code: CloseCode, detail: &str, flush: Duration) {
        self.links.lock().close(link, code, Text::new(detail.to_owned()), flush, now());
        self.outgoing.notify_one();
        self.rescheduled.notify_one();
    }

    /// Waits until the last frame of `link` is written and, if nobody else needs the socket, its goodbye too.
    pub(crate) async fn left(&self, link: &Link) {
        link.left().await;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.gone.load(Ordering::Acquire) || self.links.lock().in_use() {
                return;
            }
            changed.await;
        }
    }

    async fn run(&self, mut stream: RelayStream) {
        let mut answer = None;
        let closed = tokio::select! {
            closed = self.read(&mut stream.source, &mut answer) => closed,
            closed = self.write(&mut stream.sink) => closed,
            closed = self.watch() => closed,
        };
        tracing::debug!(code = closed.code.label(), initiator = %closed.initiator, "relay socket closed");
        // Only a path that still stands is told.
        let farewell = match (closed.initiator, closed.code) {
            _ if answer.is_some() => answer,
            (Initiator::Local, code) => Some(Some(code.get())),
            (Initiator::Peer, CloseCode::DRAIN) => Some(Some(CloseCode::GOING_AWAY.get())),
            _ => None,
        };
        self.links.lock().end(closed, now());
        self.wake_all();
        if let Some(code) = farewell {
            let _ = timeout(CLOSING, stream.close(code)).await;
        }
    }

    /// Reads until the socket ends. `answer` becomes what the relay's goodbye is answered with: its code (RFC 6455
    /// §5.5.1), when it has one.
    async fn read(&self, source: &mut RelaySource, answer: &mut Option<Option<u16>>) -> Closed {
        loop {
            let arrival = match source.next().await {
                Err(lost) => return closed_by_path(&lost),
                Ok(Item::Close(goodbye)) => {
                    *answer = Some(goodbye.as_ref().map(|goodbye| goodbye.code));
                    return closed_by_relay(goodbye);
                }
                Ok(Item::Text(_)) => {
                    return Closed::local(CloseCode::BAD_FRAME, "the relay sent text after its hello");
                }
                Ok(Item::Ping(payload)) => self.links.lock().on_ping(payload, source.read_at()),
                Ok(Item::Pong) => self.links.lock().on_pong(source.read_at()),
                Ok(Item::Binary(frame)) => match self.links.lock().on_frame(frame, source.read_at()) {
                    Err(closed) => return closed,
                    Ok(arrival) => arrival,
                },
            };
            if arrival.changed {
                self.wake_all();
            }
            if let Some((link, inbound)) = arrival.deliver {
                self.deliver(&link, inbound);
            }
        }
    }

    /// Hands a message to its link. The peer keeps to the window, so there is room; for one that does
    /// not, this link ends and the others go on.
    fn deliver(&self, link: &Link, Inbound { lane, payload }: Inbound) {
        let Err(refused) = link.inbound.try_push(lane, payload) else { return };
        match refused.why {
            // It has ended meanwhile; an empty message nobody can have sent.
            Refusal::Closed(_) | Refusal::Empty => {}
            Refusal::Full => {
                self.close(link, CloseCode::SLOW_CONSUMER, "sent beyond the window", Duration::ZERO);
            }
            Refusal::TooLarge { .. } => {
                self.close(link, CloseCode::TOO_BIG, "larger than this link takes", Duration::ZERO);
            }
        }
    }

    async fn write(&self, sink: &mut RelaySink) -> Closed {
        loop {
            let woken = self.outgoing.notified();
            let Batch { frames, leaving, done, resume_at, awaits } = self.links.lock().next_batch(now());
            if done || awaits {
                self.rescheduled.notify_one();
            }
            if done {
                return Closed::local(CloseCode::NORMAL, "nobody uses it any more");
            }
            if frames.is_empty() {
                match resume_at {
                    None => woken.await,
                    Some(at) => tokio::select! {
                        () = woken => {}
                        () = sleep_until(at) => {}
                    },
                }
                continue;
            }
            for frame in frames {
                match frame {
                    Outgoing::Data(head, payload) => sink.put(Opcode::Binary, &[&head.encode(), &payload]),
                    Outgoing::Frame(frame) => sink.put(Opcode::Binary, &[&frame]),
                    Outgoing::Ping => sink.put(Opcode::Ping, &[]),
                    Outgoing::Pong(payload) => sink.put(Opcode::Pong, &[&payload]),
                }
            }
            if let Err(error) = sink.flush().await {
                // The relay's close, with its code, may be waiting to be read: the reader goes first.
                sleep(CLOSING).await;
                return closed_by_path(&error.into());
            }
            if !leaving.is_empty() {
                drop(leaving);
                // A dial may wait to open the same link anew.
                self.changed.notify_waiters();
            }
        }
    }

    async fn watch(&self) -> Closed {
        loop {
            let moved = self.rescheduled.notified();
            let tick = self.links.lock().tick(now());
            let (until, write) = match tick {
                Tick::End(closed) => return closed,
                Tick::Wait { until, write } => (until, write),
            };
            if write {
                self.outgoing.notify_one();
            }
            tokio::select! {
                () = moved => {}
                () = sleep_until(until) => {}
            }
        }
    }

    fn wake_all(&self) {
        self.outgoing.notify_one();
        self.rescheduled.notify_one();
        self.changed.notify_waiters();
    }
}

/// Its state names other people's endpoints and holds their bytes: none of it is shown.
impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket(…)")
    }
}

/// Says that the socket is gone, also when its task is dropped.
struct Running(Arc<Socket>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }
}

/// Counts a socket for as long as its task runs.
#[derive(Debug)]
pub(crate) struct OpenSocket(watch::Sender<usize>);

impl OpenSocket {
    pub(crate) fn new(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|sockets| *sockets += 1);
        Self(open.clone())
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.send_modify(|sockets| *sockets -= 1);
    }
}

/// The end as the relay told it.
pub(crate) fn closed_by_relay(goodbye: Option<Goodbye>) -> Closed {
    let Some(Goodbye { code, reason }) = goodbye else {
        return Closed::network("the relay closed without a reason");
    };
    let code = CloseCode::from_wire(code).unwrap_or(CloseCode::CONNECTION_LOST);
    Closed::peer(code, reason)
}

/// The end as it looks from here.
fn closed_by_path(lost: &Lost) -> Closed {
    let code = match lost {
        Lost::HungUp | Lost::Io(_) => return Closed::network(lost.to_string()),
        Lost::Violation(Violation::TooBig) => CloseCode::TOO_BIG,
        Lost::Violation(Violation::Protocol | Violation::Utf8) => CloseCode::PROTOCOL_ERROR,
    };
    Closed::local(code, lost.to_string())
}
