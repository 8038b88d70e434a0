//! A terminal that `beach-link share` shares, above a session.

use beach_link_wire::{CHUNK, Message, Service, Size, VERSION};
use bytes::Bytes;
use js_sys::{Object, Reflect, Uint8Array};
use negotiator::{Access, Received, Session};
use wasm_bindgen::prelude::*;

use crate::{
    error::{failed, named},
    session::{bytes_of, iterable, step},
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Iterates over what the host says, until the session ends. */
export interface SharedTerminal extends AsyncIterable<TerminalMessage> {}
/** What a host of `beach-link share` says to a viewer. */
export type TerminalMessage =
  /** The whole screen, which has this size: bytes that draw it on an empty one. */
  | { type: "snapshot"; columns: number; rows: number; bytes: Uint8Array }
  /** Bytes that turn the screen as it was sent last into the present one. */
  | { type: "change"; bytes: Uint8Array }
  /** So many viewers are present. */
  | { type: "viewers"; count: number }
  /** Something the person should know. */
  | { type: "notice"; text: string }
  /** The command ended with this status, 128 + n for signal n. */
  | { type: "exit"; status: number };
"#;

/// The terminal of a host that runs `beach-link share`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct SharedTerminal {
    session: Session,
    access: Access,
}

impl SharedTerminal {
    /// Says what this side came for, and waits until the host lets it in.
    pub(crate) async fn enter(session: Session) -> Result<JsValue, JsValue> {
        // Of who may only watch nothing reaches the host's program.
        if session.access() == Some(Access::Full) {
            let hello = Message::Hello { version: VERSION, service: Service::Terminal };
            // The end of the session is told by what is received.
            let _ = session.send(hello.encode()).await;
        }
        match next(&session).await? {
            Some(Message::Welcome(access)) => iterable(Self { session, access }.into()),
            Some(Message::Refused { text, .. }) => Err(named("Refused", &text)),
            Some(_) => Err(named("Unintelligible", "the host said something else than welcome")),
            None => Err(named("SessionEnded", &session.ended().await.to_string())),
        }
    }
}

#[wasm_bindgen]
impl SharedTerminal {
    /// Whether this viewer may only look.
    #[wasm_bindgen(getter, js_name = readOnly)]
    pub fn read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// Types. Resolves once the session took all of it.
    pub async fn input(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string | Uint8Array")] typed: JsValue,
    ) -> Result<(), JsValue> {
        let mut typed = bytes_of(&typed, "input")?;
        while !typed.is_empty() {
            let piece = typed.split_to(typed.len().min(CHUNK));
            self.send(Message::Input(piece)).await?;
        }
        Ok(())
    }

    /// Says how large this viewer's terminal is. The host decides, and tells by a snapshot; sizes that no terminal is
    /// shared in are moved to the nearest that one is.
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<(), JsValue> {
        self.send(Message::Resize(Size { columns, rows }.shared())).await
    }

    /// Asks for a snapshot.
    pub async fn resync(&self) -> Result<(), JsValue> {
        self.send(Message::Resync).await
    }

    /// Waits for what the host says next: `{ value, done }`, as an async iterator does.
    #[wasm_bindgen(unchecked_return_type = "IteratorResult<TerminalMessage, undefined>")]
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        let session = self.session.clone();
        loop {
            match next(&session).await? {
                None => return step(None),
                Some(message) => {
                    if let Some(told) = told(message)? {
                        return step(Some(told));
                    }
                }
            }
        }
    }

    async fn send(&self, message: Message) -> Result<(), JsValue> {
        let session = self.session.clone();
        session.send(message.encode()).await.map_err(|error| failed("SessionEnded", &error))
    }
}

/// Waits for the next message; `None` when there will be none.
async fn next(session: &Session) -> Result<Option<Message>, JsValue> {
    loop {
        match session.recv().await {
            Ok(Received::Message(bytes)) => {
                let message = Message::decode(bytes).map_err(|error| failed("Unintelligible", &error))?;
                return Ok(Some(message));
            }
            Ok(Received::Finished) | Err(_) => return Ok(None),
            // A terminal's host sends no datagrams.
            Ok(_) => {}
        }
    }
}

/// What a page is told of a message; nothing of one that is not for a viewer.
fn told(message: Message) -> Result<Option<JsValue>, JsValue> {
    let drawn = |bytes: &Bytes| JsValue::from(Uint8Array::from(&bytes[..]));
    let (kind, fields) = match message {
        Message::Snapshot { size: Size { columns, rows }, bytes } => {
            ("snapshot", vec![("columns", columns.into()), ("rows", rows.into()), ("bytes", drawn(&bytes))])
        }
        Message::Change(bytes) => ("change", vec![("bytes", drawn(&bytes))]),
        Message::Viewers(count) => ("viewers", vec![("count", count.into())]),
        Message::Notice(text) => ("notice", vec![("text", text.into())]),
        Message::Exit(status) => ("exit", vec![("status", status.into())]),
        _ => return Ok(None),
    };
    let value = Object::new();
    Reflect::set(&value, &"type".into(), &kind.into())?;
    for (name, field) in fields {
        Reflect::set(&value, &name.into(), &field)?;
    }
    Ok(Some(value.into()))
}
