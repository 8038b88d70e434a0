//! The session a page holds.

use bytes::Bytes;
use js_sys::{JSON, Object, Reflect, Symbol, Uint8Array};
use negotiator::{EventStream, Received};
use serde::Serialize;
use tokio::sync::Mutex;
use wasm_bindgen::prelude::*;

use crate::{
    error::{failed, named},
    terminal::SharedTerminal,
    watch::Watch,
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Iterates over messages, each once and in order, until the session ends or the host has no more to say. */
export interface Session extends AsyncIterable<Uint8Array> {}
/** Iterates over decisions about the path. */
export interface Events extends AsyncIterable<NegotiationEvent> {}
/** One change of the path, or a reason why it did not change. */
export interface NegotiationEvent {
  at: number;
  peer: string;
  name: string;
  reason: string;
  from: string | null;
  to: string | null;
  generation: number | null;
  detail: string;
}
"#;

/// A session that survives its transport.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Session {
    session: negotiator::Session,
    _watch: Watch,
}

/// The decisions about the path, from the moment this was asked for.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Events(Mutex<EventStream>);

impl Session {
    pub(crate) fn new(session: negotiator::Session) -> Self {
        let watch = Watch::new(&session);
        Self { session, _watch: watch }
    }

    pub(crate) fn into_js(self) -> Result<JsValue, JsValue> {
        iterable(self.into())
    }
}

#[wasm_bindgen]
impl Session {
    /// Sends a message, and resolves once it is accepted: from then on it arrives once and in order, whatever happens to
    /// the path. Waits while too much is under way. Text goes as UTF-8.
    #[wasm_bindgen(js_name = send)]
    pub async fn send(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string | Uint8Array")] message: JsValue,
    ) -> Result<(), JsValue> {
        let bytes = bytes_of(&message, "a message")?;
        let session = self.session.clone();
        session.send(bytes).await.map_err(|error| failed("SessionEnded", &error))
    }

    /// Waits for the next message: `{ value, done }`, as an async iterator does.
    #[wasm_bindgen(unchecked_return_type = "IteratorResult<Uint8Array, undefined>")]
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        let session = self.session.clone();
        loop {
            match session.recv().await {
                Ok(Received::Message(message)) => return step(Some(Uint8Array::from(&message[..]).into())),
                Ok(Received::Finished) | Err(_) => return step(None),
                // Pages are given what arrives for certain.
                Ok(_) => {}
            }
        }
    }

    /// Enters the terminal that the host shares by `beach-link share`: from here on it is read and written through the
    /// returned object alone.
    ///
    /// Rejects with an `Error` whose `name` is `Refused`, `SessionEnded` or `Unintelligible`.
    #[wasm_bindgen(unchecked_return_type = "SharedTerminal")]
    pub async fn terminal(&self) -> Result<JsValue, JsValue> {
        SharedTerminal::enter(self.session.clone()).await
    }

    /// Resolves with why the session ended, once it has.
    pub async fn ended(&self) -> String {
        let session = self.session.clone();
        session.ended().await.to_string()
    }

    /// Which path, since when, why, what was tried, what happens next: for a person.
    pub fn explain(&self) -> String {
        self.session.explain().to_string()
    }

    /// The same for a program.
    #[wasm_bindgen(unchecked_return_type = "Record<string, unknown>")]
    pub fn explanation(&self) -> Result<JsValue, JsValue> {
        plain(&self.session.explain())
    }

    /// The transport in use; `undefined` while there is none.
    #[wasm_bindgen(getter)]
    pub fn path(&self) -> Option<String> {
        self.session.status().path.map(|path| path.to_string())
    }

    /// The decisions about the path, from now on.
    #[wasm_bindgen(unchecked_return_type = "Events")]
    pub fn events(&self) -> Result<JsValue, JsValue> {
        iterable(Events(Mutex::new(self.session.events())).into())
    }

    /// Says goodbye, and resolves once it was heard or nobody can hear it.
    pub async fn close(&self) {
        let session = self.session.clone();
        session.close().await;
    }
}

#[wasm_bindgen]
impl Events {
    /// Waits for the next decision: `{ value, done }`, as an async iterator does.
    #[wasm_bindgen(unchecked_return_type = "IteratorResult<NegotiationEvent, undefined>")]
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        match self.0.lock().await.next().await {
            Some(event) => step(Some(plain(&event)?)),
            None => step(None),
        }
    }
}

/// Reads what a page sends; text as UTF-8.
pub(crate) fn bytes_of(value: &JsValue, what: &str) -> Result<Bytes, JsValue> {
    match (value.as_string(), value.dyn_ref::<Uint8Array>()) {
        (Some(text), _) => Ok(text.into()),
        (None, Some(bytes)) => Ok(bytes.to_vec().into()),
        (None, None) => Err(named("TypeError", &format!("{what} is a string or a Uint8Array"))),
    }
}

/// Makes an object with a `next` its own async iterator.
pub(crate) fn iterable(object: JsValue) -> Result<JsValue, JsValue> {
    // It returns `this`. A function made from text would need a page's leave to evaluate.
    let itself = Reflect::get(&Object::new(), &"valueOf".into())?;
    Reflect::set(&object, &Symbol::async_iterator(), &itself)?;
    Ok(object)
}

/// One step of an async iterator.
pub(crate) fn step(value: Option<JsValue>) -> Result<JsValue, JsValue> {
    let result = Object::new();
    Reflect::set(&result, &"done".into(), &value.is_none().into())?;
    Reflect::set(&result, &"value".into(), &value.unwrap_or_default())?;
    Ok(result.into())
}

fn plain(value: &impl Serialize) -> Result<JsValue, JsValue> {
    JSON::parse(&serde_json::to_string(value).map_err(|error| failed("Error", &error))?)
}
