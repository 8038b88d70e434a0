//! One member's socket: hello, then envelopes both ways until somebody leaves.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use beach_lifeguard_client::{
    CloseCode,
    membership::Purpose,
    reason::Reason,
    signaling::{FromRoom, MAX_MESSAGE_BYTES, ToRoom},
};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use uuid::Uuid;

use super::room::Presence;
use crate::control::ControlPlane;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves one socket until it ends.
pub(super) async fn serve(control: ControlPlane, session: Uuid, upgraded: Upgraded) {
    let limits = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(2 * MAX_MESSAGE_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await;
    let admitted = timeout(HELLO, admit(&control, session, &mut socket)).await;
    let (code, reason) = match admitted.unwrap_or(Err(Unwelcome::Timeout)) {
        Ok(presence) => visit(&control, presence, &mut socket).await,
        Err(unwelcome) => {
            control.0.metrics.signaling_refused(unwelcome.label());
            unwelcome.close()
        }
    };
    let frame = CloseFrame { code: code.get().into(), reason: reason.into() };
    // The peer may be gone already; either way this ends.
    let _ = timeout(WRITE, socket.close(Some(frame))).await;
}

/// Why nobody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwelcome {
    Refused(Reason),
    Full,
    Malformed,
    Timeout,
    Gone,
}

impl Unwelcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Refused(Reason::StoreUnavailable) => "store",
            Self::Refused(reason) => reason.label(),
            Self::Full => "full",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Gone => "other",
        }
    }

    const fn close(self) -> (CloseCode, &'static str) {
        match self {
            // Not the client's fault: it may come back.
            Self::Refused(Reason::StoreUnavailable) | Self::Full => (CloseCode::RATE_LIMITED, self.label()),
            Self::Refused(_) => (CloseCode::BAD_TOKEN, self.label()),
            Self::Malformed => (CloseCode::BAD_FRAME, self.label()),
            Self::Timeout | Self::Gone => (CloseCode::POLICY, self.label()),
        }
    }
}

async fn admit(control: &ControlPlane, session: Uuid, socket: &mut Socket) -> Result<Presence, Unwelcome> {
    let proof = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(ToRoom::Hello { proof }) => break proof,
                _ => return Err(Unwelcome::Malformed),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(Unwelcome::Malformed),
            _ => return Err(Unwelcome::Gone),
        }
    };
    control.prove(Purpose::Signaling, session, &proof).await.map_err(Unwelcome::Refused)?;
    let entry = ENTRIES.fetch_add(1, Relaxed);
    let entered = control.0.rooms.enter(session, proof.peer_id, proof.role, entry);
    let (presence, peers) = entered.map_err(|_| Unwelcome::Full)?;
    say(socket, &FromRoom::Welcome { peers }).await.map_err(|_| Unwelcome::Gone)?;
    Ok(presence)
}

/// Moves envelopes; returns how to say goodbye.
async fn visit(
    control: &ControlPlane,
    mut presence: Presence,
    socket: &mut Socket,
) -> (CloseCode, &'static str) {
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = control.0.rooms.stop().clone();
    let mut heard = Instant::now();
    let mut allowance = Allowance::new(Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return (CloseCode::RESTART, "restart"),
            () = presence.superseded.cancelled() => return (CloseCode::SUPERSEDED, "superseded"),
            _ = ping.tick() => {
                if heard.elapsed() > PING * MISSED {
                    return (CloseCode::IDLE, "silent");
                }
                if !matches!(timeout(WRITE, socket.send(Message::Ping(Vec::new().into()))).await, Ok(Ok(()))) {
                    return (CloseCode::GOING_AWAY, "gone");
                }
            }
            Some(message) = presence.inbox.recv() => {
                if say(socket, &message).await.is_err() {
                    return (CloseCode::GOING_AWAY, "gone");
                }
            }
            message = socket.next() => {
                heard = Instant::now();
                let text = match message {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Binary(_) | Message::Frame(_))) => return (CloseCode::BAD_FRAME, "malformed"),
                    Some(Ok(Message::Close(_))) | None => return (CloseCode::NORMAL, "left"),
                    Some(Err(_)) => return (CloseCode::PROTOCOL_ERROR, "protocol_error"),
                };
                if !allowance.take(heard) {
                    control.0.metrics.signaling_envelope("rate_limited");
                    return (CloseCode::RATE_LIMITED, "rate_limited");
                }
                match serde_json::from_str(&text) {
                    Ok(ToRoom::Send { to, data }) => {
                        if !presence.send(to, data) && say(socket, &FromRoom::Undelivered { to }).await.is_err() {
                            return (CloseCode::GOING_AWAY, "gone");
                        }
                    }
                    // A second hello or something of a later revision does no harm.
                    Ok(ToRoom::Hello { .. } | ToRoom::Unknown) => {}
                    Err(_) => return (CloseCode::BAD_FRAME, "malformed"),
                }
            }
        }
    }
}

async fn say(socket: &mut Socket, message: &FromRoom) -> Result<(), Gone> {
    let text = serde_json::to_string(message).map_err(|_| Gone)?;
    timeout(WRITE, socket.send(Message::text(text))).await.map_err(|_| Gone)?.map_err(|_| Gone)
}

/// The member cannot be reached any more.
struct Gone;

/// A token bucket: [`BURST`] messages at once, [`RATE`] in a second.
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        self.left = (self.left + (now - self.at).as_secs_f64() * RATE).min(BURST);
        self.at = now;
        let granted = self.left >= 1.0;
        if granted {
            self.left -= 1.0;
        }
        granted
    }
}

/// Numbers entries, to tell a newer one of the same peer from an older.
static ENTRIES: AtomicU64 = AtomicU64::new(0);

/// Time for the whole hello.
const HELLO: Duration = Duration::from_secs(5);
/// Time for one message to leave.
const WRITE: Duration = Duration::from_secs(5);
/// Between two pings.
const PING: Duration = Duration::from_secs(15);
/// Pings without any sign of life before the member is let go.
const MISSED: u32 = 3;
/// Messages a member may send at once: eight raced dials with their candidates, for several viewers.
const BURST: f64 = 400.0;
/// Messages a second beyond that.
const RATE: f64 = 40.0;
/// Read and write buffers in bytes; an envelope is a few KiB.
const BUFFER: usize = 4 * 1024;
