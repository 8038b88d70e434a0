//! The negotiator in a browser: `connect(link, options)` and `share(controlPlane, options)` in JavaScript, with the policy,
//! the seal and the resume of the native one.
//!
//! The API of the module, as TypeScript sees it, is what `connect`, `share` and `Session` export. `scripts/web` builds it; it is
//! empty on any other target.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]

mod approval;
mod error;
mod host;
mod options;
mod session;
mod terminal;
mod watch;

use js_sys::JsString;
use negotiator::{JoinLink, Negotiator, ViewerKey};
use wasm_bindgen::prelude::*;

use self::{
    error::{aborted, failed, not_joined},
    options::ConnectOptions,
};
pub use host::{Host, share};
pub use session::{Events, Session};
pub use terminal::SharedTerminal;

/// Joins the session of `link` and resolves once a path carries it.
///
/// Rejects with an `Error` whose `name` is `BadLink`, `JoinFailed` or `AbortError`. A `JoinFailed` has a `code` for a
/// program, a `JoinFailure`.
#[wasm_bindgen(unchecked_return_type = "Session")]
pub async fn connect(
    #[wasm_bindgen(param_description = "the join link, with its fragment")] link: JsString,
    #[wasm_bindgen(unchecked_optional_param_type = "ConnectOptions")] options: JsValue,
) -> Result<JsValue, JsValue> {
    let options = ConnectOptions::read(&options)?;
    let link: JoinLink = String::from(link).parse().map_err(|error| failed("BadLink", &error))?;
    let signal = options.signal.clone();
    let mut negotiator = Negotiator::new(link, options.network()?);
    if options.read_only {
        negotiator = negotiator.read_only();
    }
    if let Some(name) = options.name {
        negotiator = negotiator.named(name);
    }
    if let Some(key) = &options.key {
        negotiator = negotiator.with_key(key.parse().map_err(|error| failed("TypeError", &error))?);
    }
    if let Some(told) = options.on_pending {
        negotiator = negotiator.when_pending(watch::once(told));
    }
    let session = match signal {
        None => negotiator.connect().await,
        Some(signal) => {
            let stopped = watch::aborted(&signal);
            tokio::select! {
                joined = negotiator.connect() => joined,
                () = stopped => return Err(aborted()),
            }
        }
    };
    let session = session.map_err(|error| not_joined(&error))?;
    Session::new(session).into_js()
}

/// Makes the key of a viewer of `link`: that of `kept` in its next life, if it is for this link, or a new one. A secret, for
/// `sessionStorage`: a tab that comes back with it is the same viewer, at its place and approved as it was. A key is for
/// one tab at a time.
///
/// Throws an `Error` whose `name` is `BadLink`.
#[wasm_bindgen(js_name = viewerKey)]
pub fn viewer_key(link: &str, kept: Option<String>) -> Result<String, JsValue> {
    let link: JoinLink = link.parse().map_err(|error| failed("BadLink", &error))?;
    let kept = kept.and_then(|kept| kept.parse::<ViewerKey>().ok()).filter(|kept| kept.link() == link.id());
    let key = match kept {
        Some(kept) => kept.next_life(),
        None => ViewerKey::draw(&link).map_err(|error| failed("Error", &error))?,
    };
    Ok(key.reveal())
}
