//! The socket to the relay: opens it, reads items from it, writes messages to it.
//!
//! This is where a machine and a browser part: [`native`] speaks WebSocket itself, [`browser`] asks the browser for one.
//! Both have the same names, so that the dial, the links and the heartbeat above are one code
//! (`docs/adr/0029-where-a-browser-parts.md`). The carrier over HTTP is one code too, but for its requests.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod browser;
mod item;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod native;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(crate) use self::browser::{RelaySink, RelaySource, RelayStream, open};
pub(crate) use self::item::{Goodbye, Item, Lost};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use self::native::{RelaySink, RelaySource, RelayStream, open};

use crate::{
    carrier::StreamFailed,
    dial::Failed,
    error::{because, stage},
};

/// A socket that is open, and whether the hello it opened with was sent.
pub(crate) struct Opened {
    pub(crate) stream: RelayStream,
    pub(crate) hello: beach_lifeguard_client::ClientHello,
    pub(crate) sent: std::io::Result<()>,
}

fn not_streamed(error: StreamFailed) -> Failed {
    let (fault, unheard) = (error.fault(), error.is_unheard());
    Failed { error: because(stage::STREAM, error.kind(), error), fault, unheard }
}
