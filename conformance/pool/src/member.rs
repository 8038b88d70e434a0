//! Somebody who takes a token and is let in, with nothing behind it that would count as the service's work.

use std::{net::SocketAddr, time::SystemTime};

use beach_lifeguard_client::{
    Access, FallbackToken, Header, Kind, Lane, LinkNumber, PeerAddr, Role, SUBPROTOCOL, ServerHello,
    hello::{ClientHello, Compression, PROTOCOL_VERSION},
    membership::{Credentials, Identity, LinkSecret, Purpose},
    session::{DocumentLink, SessionDocument},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::service::request;

/// A member of a session that is registered.
#[derive(Debug, Clone)]
pub struct Member(Credentials);

/// Whoever is in: it leaves when this is dropped.
#[derive(Debug)]
pub struct Inside {
    socket: WebSocketStream<TcpStream>,
    address: PeerAddr,
}

impl Inside {
    /// Where others of the session reach it.
    pub fn address(&self) -> PeerAddr {
        self.address
    }

    /// Sends a message to a peer.
    pub async fn say(&mut self, to: PeerAddr, payload: &[u8]) {
        let frame = Header::data(Lane::Reliable, to, LinkNumber(1)).frame(payload);
        self.socket.send(Message::binary(frame)).await.expect("the relay is there");
    }

    /// The next message of a peer.
    pub async fn hear(&mut self) -> Bytes {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(frame))) => {
                    let (header, payload) = Header::split(frame).expect("a frame");
                    if header.kind == Kind::Data {
                        return payload;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("instead of a message: {other:?}"),
            }
        }
    }
}

impl Member {
    /// Registers a session at the control plane at `plane`, and returns its host and a viewer.
    pub async fn pair(plane: SocketAddr) -> [Self; 2] {
        let (host, viewer) = (Identity::random().expect("dice"), Identity::random().expect("dice"));
        let link = LinkSecret::from_bytes(rand::random());
        let mut document = SessionDocument::new(host.public(), 1);
        document.links.push(DocumentLink::new(&link, Access::Full));
        let signed = serde_json::to_string(&document.sign(&host)).expect("it is plain");
        post(plane, "/v1/sessions", &signed, "201").await;
        let credentials = Credentials::viewer(host.public(), viewer, link, Access::Full);
        [Self(Credentials::host(host)), Self(credentials)]
    }

    /// Asks the control plane at `plane` for a token.
    pub async fn token(&self, plane: SocketAddr) -> FallbackToken {
        let proof = self.0.prove(Purpose::Token, SystemTime::now(), rand::random());
        let asked = json!({ "session_id": self.0.session_id(), "proof": proof }).to_string();
        let answer = post(plane, "/v1/fallback/token", &asked, "200").await;
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        FallbackToken::new(answer["token"].as_str().expect("a token"))
    }

    /// Enters the relay at `relay` by this token.
    pub async fn enter(&self, relay: SocketAddr, token: FallbackToken) -> Inside {
        let stream = TcpStream::connect(relay).await.expect("the relay listens");
        let mut ask = format!("ws://{relay}/v2/ws").into_client_request().expect("a URL");
        ask.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let (mut socket, _) = client_async(ask, stream).await.expect("a WebSocket");
        let hello = ClientHello {
            protocol_version: PROTOCOL_VERSION,
            session_id: self.0.session_id(),
            peer_id: self.0.peer_id(),
            role: self.0.role(),
            access: Access::Full,
            token,
            client_nonce: rand::random(),
            client_version: "pool".to_owned(),
            compression: Compression::None,
            telemetry: false,
        };
        socket.send(Message::text(hello.encode())).await.expect("it is heard");
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let hello = ServerHello::decode(text.as_bytes()).expect("a hello");
                Inside { socket, address: hello.peer }
            }
            other => panic!("{:?} is not let in: {other:?}", self.role()),
        }
    }

    fn role(&self) -> Role {
        self.0.role()
    }
}

async fn post(plane: SocketAddr, path: &str, body: &str, wanted: &str) -> String {
    let answer = request(plane, "POST", path, body).await.expect("the control plane answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert_eq!(head.split(' ').nth(1), Some(wanted), "{path}: {answer}");
    body.to_owned()
}
