//! What a browser says when it does not do what it was asked to.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

/// An error of the browser, as text: its object may not leave its thread.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrowserError(String);

impl BrowserError {
    /// Nobody is there to be asked any more.
    pub(super) fn gone() -> Self {
        Self("the connection was given up".to_owned())
    }
}

impl From<JsValue> for BrowserError {
    fn from(thrown: JsValue) -> Self {
        let text = |name: &str| Reflect::get(&thrown, &name.into()).ok()?.as_string();
        match (text("name"), text("message")) {
            (Some(name), Some(message)) => Self(format!("{name}: {message}")),
            _ => Self("the browser refused".to_owned()),
        }
    }
}
