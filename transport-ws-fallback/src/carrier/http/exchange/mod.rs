//! One request and its answer: [`native`] over connections of our own, [`browser`] by `fetch`, under the same names.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod browser;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod native;

use beach_outbound::http::StatusCode;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(crate) use self::browser::Via;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(super) use self::browser::{Incoming, Requests, ask};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use self::native::Via;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(super) use self::native::{Incoming, Requests, ask};

/// The head of an answer, with what comes behind it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) is_relays: bool,
    pub(super) body: Incoming,
}
