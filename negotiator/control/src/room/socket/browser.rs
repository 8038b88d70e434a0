//! The browser's WebSocket.
//!
//! It answers the room's pings, sends none and shows neither. A question in a ping's place is an envelope for nobody,
//! which the room reports as undelivered; a quiet room is asked before it counts as silent.

use beach_lifeguard_client::signaling::{FromRoom, MAX_MESSAGE_BYTES, ToRoom};
use beach_outbound::{Arrival, Message, WebSocket};
use bytes::Bytes;
use url::Url;
use uuid::Uuid;

use super::text;
use crate::{
    plane::ControlPlane,
    room::answer::{Departure, from_close, from_outbound},
    runtime::{Duration, Instant, now, timeout_at},
};

/// The socket, and when something was heard or asked last.
pub(in crate::room) struct Socket {
    socket: WebSocket,
    active: Instant,
    /// Questions that were not answered yet.
    open: u32,
    /// It ended, and nobody said so.
    cut: bool,
}

impl Socket {
    pub(in crate::room) async fn open(control: &ControlPlane, url: &Url) -> Result<Self, Departure> {
        let opened = control.outbound().websocket(url, None).await;
        let socket = opened.map_err(|error| from_outbound(&error))?;
        Ok(Self { socket, active: now(), open: 0, cut: false })
    }

    pub(in crate::room) async fn say(&mut self, message: &ToRoom) -> Result<(), Departure> {
        if self.socket.sink.send(&mut vec![Message::Text(text(message))]).await {
            Ok(())
        } else {
            Err(gone())
        }
    }

    /// Asks for a sign of life.
    pub(in crate::room) async fn ask(&mut self) -> Result<(), Departure> {
        self.open += 1;
        self.say(&ToRoom::Send { to: Uuid::nil(), data: Bytes::new() }).await
    }

    /// Says whether the newest question was answered.
    pub(in crate::room) fn is_answered(&self) -> bool {
        self.open == 0
    }

    /// Says whether the path ended it, and neither side meant to.
    pub(in crate::room) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Waits for a message; `None` for one without meaning here. Cancel safe.
    pub(in crate::room) async fn next(&mut self) -> Result<Option<FromRoom>, Departure> {
        loop {
            let Ok(arrival) = timeout_at(self.active + QUIET, self.socket.source.next()).await else {
                self.active = now();
                self.ask().await?;
                continue;
            };
            self.active = now();
            return match arrival {
                Some(Arrival::Message(Message::Text(text))) if text.len() <= MAX_MESSAGE_BYTES => {
                    let message = serde_json::from_str(&text).ok();
                    if matches!(message, Some(FromRoom::Undelivered { to, .. }) if to.is_nil()) {
                        self.open = self.open.saturating_sub(1);
                    }
                    Ok(message)
                }
                Some(Arrival::Message(_)) => Ok(None),
                // A page does not see the answer's date.
                Some(Arrival::Close { code: Some(code), reason }) => Err(from_close(code, &reason, None)),
                Some(Arrival::Close { code: None, .. }) | None => {
                    self.cut = true;
                    Err(gone())
                }
            };
        }
    }

    pub(in crate::room) async fn close(&mut self) {
        self.socket.sink.close(None).await;
    }
}

fn gone() -> Departure {
    Departure::Lost("the room closed".into())
}

/// How long the room may be quiet before it is asked: as often as it pings.
const QUIET: Duration = Duration::from_secs(15);
