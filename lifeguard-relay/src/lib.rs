//! beach-lifeguard: the relay that carries a session when nothing else does, and the control plane that
//! mints its tokens.
//!
//! Library first: [`Relay::router`] and [`ControlPlane::router`] can be mounted in another service, whose listener
//! then brings its own limits by address; the binary `beach-lifeguard` is a thin shell around them. [`Dev`] is
//! both in one process, with keys made at start, for tests, demos and newcomers.
//!
//! What it is not: an endpoint. The relay moves sealed frames between the peers of a session and can
//! neither read nor forge them; nothing here holds a key that opens one.
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
mod cors;
pub mod dev;
mod guardrail;
pub mod kill_switch;
pub mod limit;
pub mod listen;
pub mod page;
pub mod relay;
pub mod rules;
mod service;
pub mod shutdown;
pub mod store;
pub mod stun;
pub mod telemetry;
mod upgrade;

/// The crates whose types stand in public signatures.
pub use {axum, beach_lifeguard_client, time, tokio_util, url, uuid};

pub use control::ControlPlane;
pub use dev::{Dev, DevConfig};
pub use relay::{Relay, RelayConfig};
