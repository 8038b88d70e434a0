//! One member's socket: hello, then envelopes both ways until somebody leaves.

use std::time::Duration;

use beach_lifeguard_client::{
    CloseCode, Role as MemberRole,
    membership::Purpose,
    reason::Reason,
    signaling::{FromRoom, MAX_MESSAGE_BYTES, ToRoom},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use uuid::Uuid;

use crate::{
    control::{
        plane::ControlPlane,
        rooms::{Entrant, NoEntry, Presence},
        token::Holder,
    },
    listen::Client,
};

type Socket<S> = WebSocketStream<S>;

/// Serves one socket until it ends. `read` came with the request.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    control: ControlPlane,
    session: Uuid,
    client: Option<Client>,
    io: S,
    read: Bytes,
) {
    let limits = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(2 * MAX_MESSAGE_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let mut socket = WebSocketStream::from_partially_read(io, read.into(), Role::Server, Some(limits)).await;
    let admitted = tokio::select! {
        admitted = timeout(HELLO, admit(&control, session, &mut socket)) => {
            admitted.unwrap_or(Err(Unwelcome::Timeout))
        }
        () = evicted(client.as_ref()) => Err(Unwelcome::Evicted),
    };
    // A stranger no more.
    drop(client);
    let (code, reason) = match admitted {
        Ok(member) => visit(&control, session, member, &mut socket).await,
        Err(unwelcome) => {
            control.0.metrics.signaling_refused(unwelcome.label());
            unwelcome.close()
        }
    };
    farewell(&mut socket, code, reason).await;
}

/// Says goodbye and reads until the member has heard it: closing a socket with something unread in it
/// resets it, and the member never learns why.
async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Socket<S>,
    code: CloseCode,
    reason: &'static str,
) {
    let frame = CloseFrame { code: code.get().into(), reason: reason.into() };
    if !matches!(timeout(WRITE, socket.send(Message::Close(Some(frame)))).await, Ok(Ok(()))) {
        return;
    }
    let heard = async {
        loop {
            match socket.next().await {
                Some(Ok(_)) => {}
                // What was wrong with the message is still wrong with the rest of it.
                Some(Err(WsError::Capacity(_) | WsError::Protocol(_) | WsError::Utf8(_))) => break,
                Some(Err(_)) | None => return,
            }
        }
        let mut waste = [0; 1024];
        while matches!(socket.get_mut().read(&mut waste).await, Ok(1..)) {}
    };
    let _ = timeout(ANSWER, heard).await;
}

/// The scope for strangers is full, and this one had its time.
async fn evicted(client: Option<&Client>) {
    match client {
        Some(client) => client.stranger.evicted().await,
        None => std::future::pending().await,
    }
}

/// Somebody who was let in.
struct Member {
    presence: Presence,
    holder: Holder,
}

/// Why nobody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwelcome {
    Evicted,
    Full,
    Gone,
    LinkFull,
    Malformed,
    Refused(Reason),
    Timeout,
}

impl Unwelcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Refused(Reason::StoreUnavailable) => "store",
            Self::Refused(reason) => reason.label(),
            Self::Full => "full",
            Self::LinkFull => "link_full",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Evicted | Self::Gone => "other",
        }
    }

    const fn close(self) -> (CloseCode, &'static str) {
        match self {
            // Not the client's fault: it may come back.
            Self::Refused(Reason::StoreUnavailable) | Self::Full | Self::LinkFull | Self::Evicted => {
                (CloseCode::RATE_LIMITED, self.label())
            }
            Self::Refused(_) => (CloseCode::BAD_TOKEN, self.label()),
            Self::Malformed => (CloseCode::BAD_FRAME, self.label()),
            Self::Timeout | Self::Gone => (CloseCode::POLICY, self.label()),
        }
    }
}

async fn admit<S: AsyncRead + AsyncWrite + Unpin>(
    control: &ControlPlane,
    session: Uuid,
    socket: &mut Socket<S>,
) -> Result<Member, Unwelcome> {
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
    let proven = control.prove(Purpose::Signaling, session, &proof).await;
    let document = proven.map_err(Unwelcome::Refused)?;
    let entered = control.0.rooms.enter(Entrant::from(&proof), &document).await;
    let (presence, peers) = entered.map_err(|no| match no {
        NoEntry::Full => Unwelcome::Full,
        NoEntry::LinkFull => Unwelcome::LinkFull,
        NoEntry::Refused(reason) => Unwelcome::Refused(reason),
    })?;
    // What the host changed between the proof and the entry was for a room without this member.
    match proof.role {
        MemberRole::Host => control.renew(&document).await,
        MemberRole::Viewer => control.refresh(session).await,
    }
    say(socket, &FromRoom::Welcome { peers }).await.map_err(|_| Unwelcome::Gone)?;
    Ok(Member { presence, holder: Holder::of(session, &proof) })
}

/// Moves envelopes; returns how to say goodbye.
async fn visit<S: AsyncRead + AsyncWrite + Unpin>(
    control: &ControlPlane,
    session: Uuid,
    member: Member,
    socket: &mut Socket<S>,
) -> (CloseCode, &'static str) {
    let Member { mut presence, holder } = member;
    let role = holder.role;
    // At most one at a time: a second question before the first is answered is not heard.
    let mut rescue = FuturesUnordered::new();
    let mut asked = None::<Instant>;
    let mut renew = interval_at(Instant::now() + RENEW, RENEW);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (stop, end) = (control.0.rooms.stop().clone(), presence.end.clone());
    let mut heard = Instant::now();
    let mut allowance = Allowance::new(Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return (CloseCode::RESTART, "restart"),
            () = end.now.cancelled() => return end.farewell(),
            _ = renew.tick() => {
                presence.keep().await;
                // A session lives while its host is here, whatever happens to the store meanwhile.
                if role == MemberRole::Host && let Some(document) = control.0.rooms.document(session) {
                    control.renew(&document).await;
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() > PING * MISSED {
                    return (CloseCode::IDLE, "silent");
                }
                if !matches!(timeout(WRITE, socket.send(Message::Ping(Vec::new().into()))).await, Ok(Ok(()))) {
                    return (CloseCode::GOING_AWAY, "gone");
                }
            }
            Some(grant) = rescue.next() => {
                if let Some(grant) = grant && say(socket, &FromRoom::Rescue(grant)).await.is_err() {
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
                    Some(Err(WsError::Capacity(_))) => return (CloseCode::TOO_BIG, "too_big"),
                    Some(Err(WsError::Utf8(_))) => return (CloseCode::BAD_FRAME, "malformed"),
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
                    Ok(ToRoom::Rescue(request)) => {
                        if rescue.is_empty() && asked.is_none_or(|at| at.elapsed() >= RESCUE) {
                            asked = Some(heard);
                            let control = control.clone();
                            rescue.push(async move { control.rescue(holder, &request).await });
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

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Socket<S>,
    message: &FromRoom,
) -> Result<(), Gone> {
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

/// Between two rescue grants of one entry: nobody needs one more often than each half hour.
const RESCUE: Duration = Duration::from_secs(10);
/// Between two words of a member's that it is here, and of a host's that its session is in use: what a Redis that lost
/// its memory costs.
const RENEW: Duration = Duration::from_secs(60);
/// Time for the whole hello.
const HELLO: Duration = Duration::from_secs(5);
/// Time for one message to leave.
const WRITE: Duration = Duration::from_secs(5);
/// Time for a member to hear why it was closed.
const ANSWER: Duration = Duration::from_secs(1);
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

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
