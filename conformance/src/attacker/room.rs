//! A place in a signaling room, in which anything can be said.

use std::time::Duration;

use beach_lifeguard_client::{
    api::SIGNALING_PATH,
    membership::MembershipProof,
    signaling::{FromRoom, ToRoom},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::{
    case::{Failure, Result, within},
    relay::{RelayTarget, Socket},
};

/// An entered room.
#[derive(Debug)]
pub struct Room {
    socket: Socket,
}

/// How a room said no, or let somebody go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The close code.
    pub code: u16,
    /// The reason's label.
    pub label: String,
}

pub(super) async fn enter(
    target: &RelayTarget,
    session: Uuid,
    proof: MembershipProof,
) -> Result<std::result::Result<Room, Refused>> {
    let url = format!("{}{SIGNALING_PATH}/{session}", target.relay);
    let (socket, _) = within(LIMIT, "opening the room", tokio_tungstenite::connect_async(url)).await??;
    let mut room = Room { socket };
    room.say(&ToRoom::Hello { proof }).await?;
    Ok(match room.hear().await? {
        Ok(FromRoom::Welcome { .. }) => Ok(room),
        Ok(other) => return Err(Failure(format!("{other:?} came before the welcome"))),
        Err(refused) => Err(refused),
    })
}

impl Room {
    /// Sends an envelope, whatever is in it.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn send(&mut self, to: Uuid, data: Bytes) -> Result<()> {
        self.say(&ToRoom::Send { to, data }).await
    }

    /// Waits for the room's next word, or for how it lets this member go.
    ///
    /// # Errors
    ///
    /// Ten seconds without either, and an end without a close.
    pub async fn hear(&mut self) -> Result<std::result::Result<FromRoom, Refused>> {
        loop {
            let next = within(LIMIT, "a word of the room", self.socket.next()).await?;
            match next.transpose()? {
                Some(Message::Text(text)) => return Ok(Ok(serde_json::from_str(&text)?)),
                Some(Message::Close(Some(close))) => {
                    return Ok(Err(Refused { code: close.code.into(), label: close.reason.to_string() }));
                }
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => return Err(Failure(format!("the room ended with {other:?}"))),
            }
        }
    }

    /// Waits until the room lets this member go, whatever it says before.
    ///
    /// # Errors
    ///
    /// As [`hear`](Self::hear).
    pub async fn let_go(&mut self) -> Result<Refused> {
        loop {
            if let Err(refused) = self.hear().await? {
                return Ok(refused);
            }
        }
    }

    async fn say(&mut self, message: &ToRoom) -> Result<()> {
        let text = serde_json::to_string(message)?;
        within(LIMIT, "writing to the room", self.socket.send(Message::text(text))).await??;
        Ok(())
    }
}

const LIMIT: Duration = Duration::from_secs(10);
