//! What carries the relay's bytes: a WebSocket, or HTTP where none gets through.

mod memory;
mod pipe;
mod stream;
mod upload;

use beach_lifeguard_client::RELAY_PATH;
use beach_outbound::Stream;
use tokio_util::either::Either;
use url::Url;

use self::pipe::Pipe;
pub(crate) use self::{memory::Carriers, stream::open};

/// The relay's bytes, whatever carries them: a pair of HTTP's connections, or one of its own.
pub(crate) type Carried = Either<Box<Pipe>, Stream>;

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
