//! The browser's own WebRTC, under the names that the library's has on a machine ([`peer`], [`channel`]): the dial, the
//! supervisor and the frames above them are one code.
//!
//! What the browser hands out stays on its thread, in tasks of its own ([`connection`], [`wire`]). What is held above
//! are queues to those tasks, so that every future stays `Send`.

pub(crate) mod channel;
mod connection;
mod error;
pub(crate) mod peer;
mod stats;
mod wire;
