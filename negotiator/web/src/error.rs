//! Errors as a page expects them: `Error` objects with a name.

use std::{error::Error, fmt::Write};

use wasm_bindgen::JsValue;

/// An `Error` called `name`, with what `error` and its sources say.
pub(crate) fn failed(name: &str, error: &dyn Error) -> JsValue {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(said, ": {error}");
        source = error.source();
    }
    named(name, &said)
}

/// What an `AbortSignal` leads to, as `fetch` does.
pub(crate) fn aborted() -> JsValue {
    named("AbortError", "aborted")
}

pub(crate) fn named(name: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    error.set_name(name);
    error.into()
}
