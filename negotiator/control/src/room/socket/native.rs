//! A WebSocket of our own, on a connection of `beach-outbound`'s.

use beach_lifeguard_client::signaling::{FromRoom, MAX_MESSAGE_BYTES, ToRoom};
use beach_outbound::Stream;
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};
use url::Url;

use super::text;
use crate::{
    clock::Skew,
    plane::ControlPlane,
    room::{
        answer::{Departure, from_close, from_outbound},
        upgrade::from_handshake,
    },
    runtime::{Duration, timeout},
};

/// The socket, and how far the clock was off when it was opened.
pub(in crate::room) struct Socket {
    stream: WebSocketStream<Stream>,
    skew: Option<Skew>,
    /// Questions that were asked, and the last of them that was answered.
    asked: u64,
    answered: u64,
    /// It ended, and nobody said so.
    cut: bool,
}

impl Socket {
    pub(in crate::room) async fn open(control: &ControlPlane, url: &Url) -> Result<Self, Departure> {
        let opened = control.outbound().open(url).await;
        let stream = opened.map_err(|error| from_outbound(&error))?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(4 * MAX_MESSAGE_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let upgraded = timeout(UPGRADE, client_async_with_config(url.as_str(), stream, Some(limits))).await;
        match upgraded {
            Ok(Ok((stream, answer))) => {
                // Before anything is proven.
                control.clock().learn(answer.headers());
                let skew = control.clock().skew(answer.headers());
                Ok(Self { stream, skew, asked: 0, answered: 0, cut: false })
            }
            Ok(Err(error)) => Err(from_handshake(url, error)),
            Err(_) => Err(Departure::Lost(format!("{url} does not answer the upgrade").into())),
        }
    }

    pub(in crate::room) async fn say(&mut self, message: &ToRoom) -> Result<(), Departure> {
        self.stream.send(Message::text(text(message))).await.map_err(lost)
    }

    /// Asks for a sign of life, which a socket cannot give that this machine has moved away from.
    pub(in crate::room) async fn ask(&mut self) -> Result<(), Departure> {
        if self.stream.get_ref().is_stranded() {
            return Err(Departure::Lost("this machine has moved away from the room's socket".into()));
        }
        self.asked += 1;
        self.stream.send(Message::Ping(self.asked.to_be_bytes().to_vec().into())).await.map_err(lost)
    }

    /// Says whether the newest question was answered.
    pub(in crate::room) fn is_answered(&self) -> bool {
        self.answered == self.asked
    }

    /// Says whether the path ended it, and neither side meant to.
    pub(in crate::room) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Waits for a message; `None` for one without meaning here, pings included. Cancel safe.
    pub(in crate::room) async fn next(&mut self) -> Result<Option<FromRoom>, Departure> {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).ok()),
            Some(Ok(Message::Close(frame))) => Err(frame.map_or_else(
                || Departure::Lost("the room closed".into()),
                |frame| from_close(frame.code.into(), &frame.reason, self.skew),
            )),
            Some(Ok(Message::Pong(number))) => {
                if let Ok(number) = <[u8; 8]>::try_from(&number[..]) {
                    self.answered = u64::from_be_bytes(number);
                }
                Ok(None)
            }
            Some(Ok(_)) => Ok(None),
            ended => {
                self.cut = true;
                let gone = || Departure::Lost("the room closed".into());
                Err(ended.and_then(Result::err).map_or_else(gone, lost))
            }
        }
    }

    pub(in crate::room) async fn close(&mut self) {
        let _ = self.stream.close(None).await;
    }
}

fn lost(error: tungstenite::Error) -> Departure {
    Departure::Lost(error.to_string().into())
}

/// Time for the upgrade, once the connection is open.
const UPGRADE: Duration = Duration::from_secs(5);

/// The library's default of 128 KiB is allocated for every socket.
const BUFFER: usize = 4 * 1024;
