//! The task that owns a `WebSocket` of the browser.

use std::time::Duration;

use js_sys::{ArrayBuffer, JsString, Uint8Array};
use n0_future::time::sleep;
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{BinaryType, CloseEvent, MessageEvent};

use super::{
    cause::Cause,
    websocket::{Arrival, Message},
};

/// What the holder of the socket asks for.
#[derive(Debug)]
pub(super) enum Command {
    /// `done` is told when little is left to send, and dropped when the socket is gone before.
    Send { messages: Vec<Message>, done: oneshot::Sender<()> },
    /// `done` is dropped when the socket is closed.
    Close { code: Option<u16>, done: oneshot::Sender<()> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Closed,
}

/// A socket, and what it calls. Nothing is called once this is dropped.
pub(super) struct Wire {
    socket: web_sys::WebSocket,
    state: watch::Receiver<State>,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Wire {
    pub(super) fn open(
        url: &Url,
        subprotocol: Option<&str>,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Result<Self, Cause> {
        let socket = match subprotocol {
            Some(name) => web_sys::WebSocket::new_with_str(url.as_str(), name),
            None => web_sys::WebSocket::new(url.as_str()),
        };
        // What a page over TLS may not open, or a URL with a fragment.
        let socket = socket.map_err(|_| Cause::Url("the browser does not open a WebSocket to this URL"))?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let (state, watched) = watch::channel(State::Opening);
        let opened = state.clone();
        let on_open = Closure::<dyn FnMut()>::new(move || {
            opened.send_replace(State::Open);
        });
        let (broken, to_page) = (state.clone(), arrivals.clone());
        let on_message = Closure::<dyn FnMut(_)>::new(move |event: MessageEvent| {
            let arrival = message(&event).map(Arrival::Message);
            if arrival.is_none_or(|arrival| to_page.try_send(arrival).is_err()) {
                // Nobody reads, or it cannot be read.
                broken.send_replace(State::Closed);
            }
        });
        let on_close = Closure::<dyn FnMut(_)>::new(move |event: CloseEvent| {
            if event.code() != LOST {
                let code = Some(event.code()).filter(|code| *code != NO_CODE);
                // Full: it ends without one.
                let _ = arrivals.try_send(Arrival::Close { code, reason: event.reason() });
            }
            state.send_replace(State::Closed);
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Ok(Self { socket, state: watched, _on_open: on_open, _on_message: on_message, _on_close: on_close })
    }

    /// Serves the socket until it is closed or nobody holds its sink any more.
    pub(super) async fn run(
        mut self,
        mut opened: oneshot::Sender<Result<(), Cause>>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        let is_open = tokio::select! {
            state = self.state.wait_for(|state| *state != State::Opening) => {
                state.is_ok_and(|state| *state == State::Open)
            }
            () = opened.closed() => return,
        };
        if opened.send(if is_open { Ok(()) } else { Err(Cause::Blocked) }).is_err() || !is_open {
            return;
        }
        let mut closed = self.state.clone();
        let closed = closed.wait_for(|state| *state == State::Closed);
        tokio::select! {
            _ = closed => {}
            () = self.obey(&mut commands) => {}
        }
    }

    async fn obey(&self, commands: &mut mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Send { messages, done } => {
                    for message in messages {
                        let sent = match &message {
                            Message::Binary(bytes) => self.socket.send_with_u8_array(bytes),
                            Message::Text(text) => self.socket.send_with_str(text),
                        };
                        if sent.is_err() {
                            return;
                        }
                    }
                    self.drained().await;
                    let _ = done.send(());
                }
                Command::Close { code, done: _done } => {
                    let said = match code.filter(|code| matches!(code, 1000 | 3000..=4999)) {
                        Some(code) => self.socket.close_with_code(code),
                        None => self.socket.close(),
                    };
                    // The close event ends this.
                    if said.is_ok() {
                        std::future::pending::<()>().await;
                    }
                    return;
                }
            }
        }
    }

    /// Waits until the browser holds little. It has no event for that.
    async fn drained(&self) {
        let mut pause = FIRST_LOOK;
        while self.socket.buffered_amount() > BUFFERED {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closed already: this does nothing then.
        let _ = self.socket.close();
    }
}

fn message(event: &MessageEvent) -> Option<Message> {
    let data = event.data();
    if let Some(bytes) = data.dyn_ref::<ArrayBuffer>() {
        return Some(Message::Binary(Uint8Array::new(bytes).to_vec().into()));
    }
    data.dyn_ref::<JsString>().map(|text| Message::Text(text.into()))
}

/// So many bytes in the browser's hands hold nobody up: as few as keep a fast path busy between two looks.
const BUFFERED: u32 = 64 << 10;

/// How soon it is looked again whether it has sent them, at first and at last.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LAST_LOOK: Duration = Duration::from_millis(32);

/// What a browser says of a close without a code (RFC 6455 §7.4.1).
const NO_CODE: u16 = 1005;

/// What it says when there was no close.
const LOST: u16 = 1006;
