//! The second carrier: HTTP streaming. What differs between a machine and a browser is [`exchange`] alone.

mod error;
mod exchange;
mod pipe;
mod refusal;
mod stream;
mod upload;

pub use self::error::StreamFailed;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use self::{
    error::kind_of,
    refusal::{MAX_REFUSAL, reason_in},
};
pub(crate) use self::{pipe::Pipe, stream::open};
