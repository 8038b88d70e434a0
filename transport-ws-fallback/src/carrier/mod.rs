//! What carries the relay's bytes: a WebSocket, or HTTP where none gets through.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod http;
mod memory;

use beach_lifeguard_client::RELAY_PATH;
use url::Url;

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use self::http::{Carried, open};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use self::http::{StreamFailed, UpgradeRefused};
pub(crate) use self::memory::Carriers;

/// Which carriers a connector may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarrierChoice {
    /// A WebSocket, and HTTP streaming where none gets through; whatever worked comes first next time.
    #[default]
    Either,
    /// HTTP streaming alone.
    HttpOnly,
    /// A WebSocket alone.
    WebSocketOnly,
}

/// One way to carry the relay's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Http,
    WebSocket,
}

impl Carrier {
    /// In a profile's path, for a person.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP streaming",
            Self::WebSocket => "websocket",
        }
    }

    /// Whether a relay's URL says where this carrier is: HTTP's is beside a WebSocket's usual path. A browser has
    /// WebSockets alone.
    pub(crate) fn is_at(self, url: &Url) -> bool {
        let is_browser = cfg!(all(target_family = "wasm", target_os = "unknown"));
        self == Self::WebSocket || !is_browser && url.path().ends_with(RELAY_PATH)
    }

    fn other(self) -> Self {
        match self {
            Self::Http => Self::WebSocket,
            Self::WebSocket => Self::Http,
        }
    }
}
