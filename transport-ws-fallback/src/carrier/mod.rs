//! What carries the relay's bytes: a WebSocket, or HTTP where none gets through.

mod http;
mod memory;

use beach_lifeguard_client::RELAY_PATH;
use url::Url;

pub use self::http::StreamFailed;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use self::http::{MAX_REFUSAL, kind_of, reason_in};
pub(crate) use self::http::{Pipe, open};
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

    /// Whether a relay's URL says where this carrier is: HTTP's is beside a WebSocket's usual path.
    pub(crate) fn is_at(self, url: &Url) -> bool {
        self == Self::WebSocket || url.path().ends_with(RELAY_PATH)
    }

    fn other(self) -> Self {
        match self {
            Self::Http => Self::WebSocket,
            Self::WebSocket => Self::Http,
        }
    }
}
