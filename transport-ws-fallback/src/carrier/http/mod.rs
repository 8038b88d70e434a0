//! The carriers of a machine: connections of its own, with a WebSocket or HTTP streaming on them.

mod error;
mod pipe;
mod stream;
mod upload;

use beach_outbound::Stream;
use tokio_util::either::Either;

pub use self::error::{StreamFailed, UpgradeRefused};
use self::pipe::Pipe;
pub(crate) use self::stream::open;

/// The relay's bytes, whatever carries them: a pair of HTTP's connections, or one of its own.
pub(crate) type Carried = Either<Box<Pipe>, Stream>;
