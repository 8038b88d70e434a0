//! The browser's own WebSocket, whose task `beach-outbound` keeps.
//!
//! A browser answers the relay's pings, sends none, and shows neither. Where the socket is doubted, the heartbeat
//! frame of the wire asks in the ping's place: the relay answers it at once.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use beach_lifeguard_client::{
    Header, Kind as Frame, SUBPROTOCOL,
    hello::MAX_SERVER_HELLO_BYTES,
    websocket::{Opcode, Violation},
};
use beach_outbound::{Arrival, Message, OutboundError};

use super::super::{Goodbye, Item, Lost};
use crate::{
    dial::Way,
    runtime::{Instant, now},
};

/// The half that reads.
pub(crate) struct Source {
    arrivals: beach_outbound::Source,
    read_at: Instant,
    /// Whether the next heartbeat is the answer to a doubt.
    asked: Arc<AtomicBool>,
}

/// The half that writes.
pub(crate) struct Sink {
    wire: beach_outbound::Sink,
    /// Was put, and is not sent yet.
    waiting: Vec<Message>,
    asked: Arc<AtomicBool>,
}

/// Opens one.
pub(super) async fn open(way: &Way<'_>) -> Result<(Source, Sink), OutboundError> {
    let answered = way.progress.clone();
    let outbound = way.outbound.on_answer(move || answered.mark_answered());
    let socket = outbound.websocket(way.url, Some(SUBPROTOCOL)).await?;
    let asked = Arc::<AtomicBool>::default();
    let source = Source { arrivals: socket.source, read_at: now(), asked: asked.clone() };
    Ok((source, Sink { wire: socket.sink, waiting: Vec::new(), asked }))
}

impl Source {
    /// Waits for the next item. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Item, Lost> {
        let arrival = self.arrivals.next().await.ok_or(Lost::HungUp)?;
        self.read_at = now();
        match arrival {
            Arrival::Close { code, reason } => Ok(Item::Close(code.map(|code| Goodbye { code, reason }))),
            Arrival::Message(Message::Binary(frame)) => {
                if frame.len() > MAX_SERVER_HELLO_BYTES {
                    return Err(Violation::TooBig.into());
                }
                let is_heartbeat = Header::decode(&frame).is_ok_and(|head| head.kind == Frame::Heartbeat);
                if is_heartbeat && self.asked.swap(false, Ordering::Relaxed) {
                    return Ok(Item::Pong);
                }
                Ok(Item::Binary(frame))
            }
            Arrival::Message(Message::Text(text)) if text.len() > MAX_SERVER_HELLO_BYTES => {
                Err(Violation::TooBig.into())
            }
            Arrival::Message(Message::Text(text)) => Ok(Item::Text(text.into())),
        }
    }

    /// When the last item came.
    pub(super) fn read_at(&self) -> Instant {
        self.read_at
    }
}

impl Sink {
    /// Puts a message of `parts` behind what is to be sent. Pongs are the browser's.
    pub(super) fn put(&mut self, opcode: Opcode, parts: &[&[u8]]) {
        self.waiting.push(match opcode {
            Opcode::Binary => Message::Binary(parts.concat().into()),
            Opcode::Text => Message::Text(String::from_utf8_lossy(&parts.concat()).into_owned()),
            Opcode::Ping => {
                self.asked.store(true, Ordering::Relaxed);
                Message::Binary(Header::relay(Frame::Heartbeat).frame(&[]))
            }
            Opcode::Close | Opcode::Continuation | Opcode::Pong => return,
        });
    }

    /// Sends what was put, and waits until the browser holds little of it. Cancel safe.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() || self.wire.send(&mut self.waiting).await {
            return Ok(());
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Says goodbye behind what was put, and waits for the other side's.
    pub(super) async fn close(&mut self, code: Option<u16>) {
        self.wire.close(code).await;
    }
}
