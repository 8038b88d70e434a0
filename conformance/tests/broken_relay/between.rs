//! A go-between that speaks WebSocket to both sides and breaks one rule of `docs/wire.md`.

use std::{io, net::SocketAddr};

use beach_lifeguard_client::{Header, Kind, Lane, SUBPROTOCOL};
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    accept_hdr_async_with_config, connect_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        handshake::server::{Request, Response},
        http::HeaderValue,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// What is wrong with a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    AltersPayloads,
    ChangesLanes,
    ClosesWithoutReason,
    DoublesFrames,
    IgnoresLargeFrames,
    IgnoresText,
    IgnoresUnreadableFrames,
    KeepsHeartbeats,
    KeepsNotices,
    LosesFrames,
    Reorders,
}

/// Each flaw and the case that is meant for it.
pub(crate) const FLAWS: [(Flaw, &str); 12] = [
    (Flaw::AltersPayloads, "routing::payloads_of_any_size_are_unaltered"),
    (Flaw::ChangesLanes, "routing::lanes_and_links_are_kept"),
    (Flaw::ClosesWithoutReason, "admission::an_altered_token_is_refused"),
    (Flaw::ClosesWithoutReason, "hello::another_version_is_told_so"),
    (Flaw::DoublesFrames, "routing::reliable_frames_keep_their_order"),
    (Flaw::IgnoresLargeFrames, "limits::a_frame_too_large"),
    (Flaw::IgnoresText, "limits::a_text_message"),
    (Flaw::IgnoresUnreadableFrames, "limits::frames_that_cannot_be_read"),
    (Flaw::KeepsHeartbeats, "limits::a_heartbeat_is_echoed"),
    (Flaw::KeepsNotices, "routing::comings_and_goings_are_told"),
    (Flaw::LosesFrames, "routing::reliable_frames_keep_their_order"),
    (Flaw::Reorders, "routing::reliable_frames_keep_their_order"),
];

/// Listens, and stands between each client and `relay`.
pub(crate) async fn go_between(relay: String, flaw: Option<Flaw>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let relay = relay.clone();
            tokio::spawn(async move { carry(stream, &relay, flaw).await });
        }
    });
    Ok(address)
}

async fn carry(stream: TcpStream, relay: &str, flaw: Option<Flaw>) -> Result<(), tungstenite::Error> {
    stream.set_nodelay(true)?;
    // What is too large is for the relay to say.
    let roomy = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    let greet = |request: &Request, mut answer: Response| {
        path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        answer.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(answer)
    };
    let client = accept_hdr_async_with_config(stream, greet, Some(roomy)).await?;
    let mut request = format!("{relay}{path}").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (relay, _) = connect_async_with_config(request, Some(roomy), true).await?;
    let ((mut to_client, mut from_client), (mut to_relay, mut from_relay)) = (client.split(), relay.split());
    let up = async {
        let mut greeted = false;
        while let Some(Ok(message)) = from_client.next().await {
            let hello = !std::mem::replace(&mut greeted, true);
            if !hello && is_ignored(flaw, &message) {
                continue;
            }
            to_relay.send(message).await?;
        }
        to_relay.close().await
    };
    let down = async {
        let mut desk = Desk { flaw, held: None, seen: 0 };
        while let Some(Ok(message)) = from_relay.next().await {
            for message in desk.pass(message) {
                to_client.send(message).await?;
            }
        }
        to_client.close().await
    };
    tokio::select! { done = up => done, done = down => done }
}

/// Says whether a message of the client never reaches the relay.
fn is_ignored(flaw: Option<Flaw>, message: &Message) -> bool {
    match (flaw, message) {
        (Some(Flaw::IgnoresText), Message::Text(_)) => true,
        (Some(Flaw::IgnoresLargeFrames), Message::Binary(frame)) => frame.len() > 65_536,
        (Some(Flaw::IgnoresUnreadableFrames), Message::Binary(frame)) => Header::decode(frame).is_err(),
        _ => false,
    }
}

/// What the relay says passes over this desk.
struct Desk {
    flaw: Option<Flaw>,
    held: Option<Message>,
    seen: usize,
}

impl Desk {
    fn pass(&mut self, message: Message) -> Vec<Message> {
        let frame = match message {
            Message::Binary(frame) => frame,
            Message::Close(Some(_)) if self.flaw == Some(Flaw::ClosesWithoutReason) => {
                let nothing = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                return vec![Message::Close(Some(nothing))];
            }
            other => return vec![other],
        };
        let Ok((header, payload)) = Header::split(frame.clone()) else { return vec![Message::Binary(frame)] };
        match (self.flaw, header.kind) {
            (Some(Flaw::KeepsHeartbeats), Kind::Heartbeat) | (Some(Flaw::KeepsNotices), Kind::Control) => {
                vec![]
            }
            (Some(flaw), Kind::Data) => self.spoil(flaw, header, payload, frame),
            _ => vec![Message::Binary(frame)],
        }
    }

    fn spoil(&mut self, flaw: Flaw, header: Header, payload: Bytes, frame: Bytes) -> Vec<Message> {
        self.seen += 1;
        let frame = Message::Binary(frame);
        match flaw {
            Flaw::AltersPayloads => {
                let mut altered = BytesMut::from(&payload[..]);
                if let Some(last) = altered.last_mut() {
                    *last ^= 1;
                }
                vec![Message::Binary(header.frame(&altered))]
            }
            Flaw::ChangesLanes => {
                let lane = if header.lane == Lane::Reliable { Lane::Datagram } else { Lane::Reliable };
                vec![Message::Binary(Header { lane, ..header }.frame(&payload))]
            }
            Flaw::DoublesFrames if self.seen == 3 => vec![frame.clone(), frame],
            Flaw::LosesFrames if self.seen == 3 => vec![],
            Flaw::Reorders if self.seen == 3 => {
                self.held = Some(frame);
                vec![]
            }
            _ => std::iter::once(frame).chain(self.held.take()).collect(),
        }
    }
}
