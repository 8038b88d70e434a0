//! A client of the HTTP carrier that does just what it is told.

use std::time::Duration;

use beach_lifeguard_client::{
    CloseCode, Header, Kind, Lane, LinkNumber, PeerAddr, ServerHello,
    control::Control,
    stream::{CarrierId, Opened, STREAM_PATH},
    websocket::{Head, HeadBytes, Opcode, Sender, apply_mask, read_close},
};
use bytes::{Buf, Bytes, BytesMut};
use reqwest::{Response, StatusCode};
use tokio::time::timeout;

use crate::relay_support::{Heard, Rig};

const MASK: [u8; 4] = [1, 2, 3, 4];

/// A frame as a client writes it.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut masked = payload.to_vec();
    apply_mask(&mut masked, MASK);
    [HeadBytes::client(opcode, payload.len(), MASK).as_bytes(), &masked].concat()
}

/// A data frame to `to`, as a client writes it.
pub(crate) fn data(to: PeerAddr, payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Binary, &Header::data(Lane::Reliable, to, LinkNumber(1)).frame(payload))
}

pub(crate) struct Stream {
    http: reqwest::Client,
    base: String,
    answer: Response,
    read: BytesMut,
    pub(crate) id: CarrierId,
    /// The number of the next upload.
    pub(crate) number: u64,
    pub(crate) welcome: Option<ServerHello>,
}

impl Stream {
    /// Opens a carrier whose first bytes are `first`.
    pub(crate) async fn open(rig: &Rig, first: Vec<u8>) -> Result<Self, (StatusCode, String)> {
        let (http, base) = (reqwest::Client::new(), format!("http://{}", rig.address));
        let answer = http.post(format!("{base}{STREAM_PATH}")).body(first).send().await.unwrap();
        if answer.status() != StatusCode::OK {
            return Err((answer.status(), answer.text().await.unwrap()));
        }
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store, no-transform");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let id = CarrierId::from_bytes([0; 16]);
        let mut stream = Self { http, base, answer, read: BytesMut::new(), id, number: 1, welcome: None };
        let (opcode, record) = stream.record().await.unwrap();
        assert_eq!(opcode, Opcode::Text);
        stream.id = Opened::decode(&record).unwrap().carrier;
        Ok(stream)
    }

    /// Opens a carrier, says hello and expects to be let in.
    pub(crate) async fn join(rig: &Rig, hello: &beach_lifeguard_client::ClientHello) -> Self {
        let mut stream = Self::open(rig, frame(Opcode::Text, hello.encode().as_bytes())).await.unwrap();
        match stream.hear().await {
            Heard::Text(json) => stream.welcome = Some(ServerHello::decode(json.as_bytes()).unwrap()),
            other => panic!("instead of a hello: {other:?}"),
        }
        stream
    }

    pub(crate) fn address(&self) -> PeerAddr {
        self.welcome.as_ref().unwrap().peer
    }

    /// Sends the next upload, and expects it to be taken.
    pub(crate) async fn say(&mut self, bytes: Vec<u8>) {
        let number = self.number;
        self.number += 1;
        assert_eq!(self.upload(number, bytes).await, StatusCode::NO_CONTENT);
    }

    pub(crate) async fn upload(&self, number: u64, bytes: Vec<u8>) -> StatusCode {
        self.upload_to(self.id, number, bytes).await
    }

    pub(crate) async fn upload_to(&self, id: CarrierId, number: u64, bytes: Vec<u8>) -> StatusCode {
        let url = format!("{}{}", self.base, id.upload_path(number));
        self.http.post(url).body(bytes).send().await.unwrap().status()
    }

    /// The next record; `None` at the end of the answer.
    pub(crate) async fn record(&mut self) -> Option<(Opcode, Bytes)> {
        loop {
            if let Some(head) = Head::read(&self.read, Sender::Server).unwrap()
                && self.read.len() >= head.header + head.payload
            {
                self.read.advance(head.header);
                return Some((head.opcode, self.read.split_to(head.payload).freeze()));
            }
            let piece =
                timeout(Duration::from_secs(10), self.answer.chunk()).await.expect("silence for 10 s");
            self.read.extend_from_slice(&piece.ok().flatten()?);
        }
    }

    /// The next thing; pings are answered and passed over.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let Some((opcode, payload)) = self.record().await else { return Heard::Ended };
            return match opcode {
                Opcode::Text => Heard::Text(String::from_utf8(payload.to_vec()).unwrap()),
                Opcode::Close => match read_close(&payload).unwrap() {
                    Some((code, reason)) => Heard::Closed(code, reason.to_owned()),
                    None => Heard::Closed(1005, String::new()),
                },
                Opcode::Ping => {
                    self.say(frame(Opcode::Pong, &payload)).await;
                    continue;
                }
                _ => {
                    let (header, payload) = Header::split(payload).unwrap();
                    match header.kind {
                        Kind::Control => Heard::Control(Control::decode(&payload).unwrap()),
                        _ => Heard::Frame(header, payload),
                    }
                }
            };
        }
    }

    /// The next data frame; notices are passed over.
    pub(crate) async fn data(&mut self) -> (PeerAddr, Bytes) {
        loop {
            match self.hear().await {
                Heard::Frame(header, payload) => return (header.peer, payload),
                Heard::Control(_) => {}
                other => panic!("instead of data: {other:?}"),
            }
        }
    }

    /// Passes everything over until the relay closes, and expects the answer to end behind it.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.hear().await {
                Heard::Closed(code, reason) => {
                    let goodbye = frame(Opcode::Close, &CloseCode::NORMAL.get().to_be_bytes());
                    let _ = self.upload(self.number, goodbye).await;
                    assert!(self.record().await.is_none(), "something behind the goodbye");
                    return (code, reason);
                }
                Heard::Ended => panic!("ended without a close"),
                _ => {}
            }
        }
    }
}
