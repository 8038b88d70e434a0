//! The one place where beach dials.
//!
//! Every TCP connection, TLS session and HTTP request of the workspace starts at an [`Outbound`], so that
//! all of them obey the same proxy, trust the same certificates, race the addresses of a name in the same
//! way, and fail with an [`OutboundError`] that says at which stage, for which host and why.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use beach_outbound::{Outbound, OutboundConfig, Request};
//!
//! let outbound = Outbound::new(OutboundConfig::default())?;
//! let stream = outbound.open(&"wss://relay.example/v2/ws".parse()?).await?;
//! let answer = outbound.http(Request::get("https://control.example/healthz".parse()?)).await?;
//! # let _ = (stream, answer);
//! # Ok(())
//! # }
//! ```
//!
//! In a browser there is an `Outbound` of the same name with `http`, by `fetch`, and `websocket` in place of the
//! others: names, proxies, trust and TLS are the browser's own (`docs/adr/0029-where-a-browser-parts.md`).

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod error;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod native;
mod request;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod web;

pub use crate::{
    error::{OutboundError, Stage},
    request::{Request, Response},
};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use native::*;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use web::*;
// They stand in public signatures.
pub use {bytes, http, serde_json, url};
