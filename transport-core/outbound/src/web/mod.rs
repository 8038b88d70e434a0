//! In a browser: it resolves, connects, tunnels and trusts by itself; it is asked by `fetch` and `WebSocket`.
//!
//! What the browser hands out stays on its thread, in a task of its own ([`fetch`], [`wire`]). What is handed out here
//! are channels to that task, so the futures and types of this crate are `Send` as they are everywhere else.

mod cause;
mod config;
mod fetch;
mod outbound;
mod stream;
mod websocket;
mod wire;

pub use self::{
    cause::Cause,
    config::{ConfigError, Deadlines, OutboundConfig},
    outbound::Outbound,
    stream::{Body, Streaming},
    websocket::{Arrival, Message, Sink, Source, WebSocket},
};
