//! The browser's WebSocket, as a pair of queues.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use url::Url;
use wasm_bindgen_futures::spawn_local;

use super::{
    cause::Cause,
    wire::{Command, Wire},
};

/// An open WebSocket. Its halves are used side by side; it closes when both are dropped, or the sink is.
#[derive(Debug)]
pub struct WebSocket {
    /// The half that reads.
    pub source: Source,
    /// The half that writes.
    pub sink: Sink,
}

/// The half that reads.
#[derive(Debug)]
pub struct Source(mpsc::Receiver<Arrival>);

/// The half that writes.
#[derive(Debug)]
pub struct Sink(mpsc::Sender<Command>);

/// What a page sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Bytes.
    Binary(Bytes),
    /// Text.
    Text(String),
}

/// What arrives. Pings and pongs are the browser's own: a page sees none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// A message.
    Message(Message),
    /// The server's goodbye. Nothing comes behind it.
    Close {
        /// Its code; `None` when the server gave none.
        code: Option<u16>,
        /// Its reason.
        reason: String,
    },
}

impl WebSocket {
    pub(super) async fn open(url: &Url, subprotocol: Option<&'static str>) -> Result<Self, Cause> {
        let (to_page, source) = mpsc::channel(ARRIVALS);
        let (sink, commands) = mpsc::channel(1);
        let (to_opener, opened) = oneshot::channel();
        let url = url.clone();
        spawn_local(async move {
            match Wire::open(&url, subprotocol, to_page) {
                Ok(wire) => wire.run(to_opener, commands).await,
                Err(cause) => drop(to_opener.send(Err(cause))),
            }
        });
        opened.await.unwrap_or(Err(Cause::Blocked))?;
        Ok(Self { source: Source(source), sink: Sink(sink) })
    }
}

impl Source {
    /// Waits for what arrives next; `None` once the connection is lost or closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Arrival> {
        self.0.recv().await
    }
}

impl Sink {
    /// Sends `messages`, and waits until the browser holds little of what it was given: so what waits, waits with
    /// whoever sends. `false` once the connection is gone.
    ///
    /// # Cancel safety
    ///
    /// When dropped, either all or none of them were handed over; `messages` is empty in the first case.
    pub async fn send(&mut self, messages: &mut Vec<Message>) -> bool {
        let Ok(place) = self.0.reserve().await else { return false };
        let (done, drained) = oneshot::channel();
        place.send(Command::Send { messages: std::mem::take(messages), done });
        drained.await.is_ok()
    }

    /// Says goodbye, and waits until the other side has too. A browser lets a page say 1000 and 3000 to 4999; of any
    /// other code it says none.
    pub async fn close(&mut self, code: Option<u16>) {
        let (done, closed) = oneshot::channel();
        if self.0.send(Command::Close { code, done }).await.is_ok() {
            let _ = closed.await;
        }
    }
}

/// Messages that may wait to be read. A relay and its links hold back whoever does not read long before.
const ARRIVALS: usize = 4_096;
