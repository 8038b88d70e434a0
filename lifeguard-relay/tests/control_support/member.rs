//! A member's end of a signaling room.

use std::time::Duration;

use beach_lifeguard_client::{
    membership::Purpose,
    signaling::{FromRoom, RoomPeer, ToRoom},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use uuid::Uuid;

use super::plane::{Person, Plane};

/// A member's socket to a signaling room.
pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    /// A socket that has said nothing yet.
    pub async fn knock(plane: &Plane, session: Uuid) -> Self {
        let stream = TcpStream::connect(plane.address).await.unwrap();
        let request = format!("ws://{}/v1/signaling/{session}", plane.address).into_client_request().unwrap();
        Self(client_async(request, stream).await.unwrap().0)
    }

    /// Enters, and returns who is there already.
    pub async fn enter(plane: &Plane, person: &Person) -> (Self, Vec<RoomPeer>) {
        let mut socket = Self::knock(plane, person.session).await;
        socket.say(&ToRoom::Hello { proof: person.proof(Purpose::Signaling) }).await;
        match socket.hear().await {
            FromRoom::Welcome { peers } => (socket, peers),
            other => panic!("instead of a welcome: {other:?}"),
        }
    }

    /// Is not let in, and told why.
    pub async fn refused(plane: &Plane, person: &Person) -> (u16, String) {
        let mut socket = Self::knock(plane, person.session).await;
        socket.say(&ToRoom::Hello { proof: person.proof(Purpose::Signaling) }).await;
        socket.closed().await
    }

    /// What comes within this time, if anything does.
    pub async fn heard_within(&mut self, time: Duration) -> Option<FromRoom> {
        timeout(time, self.hear()).await.ok()
    }

    pub async fn say(&mut self, message: &ToRoom) {
        self.0.send(Message::text(serde_json::to_string(message).unwrap())).await.unwrap();
    }

    pub async fn send(&mut self, to: &Person, data: &[u8]) {
        self.say(&ToRoom::Send { to: to.peer, data: Bytes::copy_from_slice(data) }).await;
    }

    pub async fn hear(&mut self) -> FromRoom {
        loop {
            match timeout(Duration::from_secs(10), self.0.next()).await.expect("silence for 10 s") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("instead of a message: {other:?}"),
            }
        }
    }

    /// Passes everything over until the room closes.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match timeout(Duration::from_secs(10), self.0.next()).await.expect("silence for 10 s") {
                Some(Ok(Message::Close(Some(close)))) => {
                    return (close.code.into(), close.reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("instead of a close: {other:?}"),
            }
        }
    }
}
