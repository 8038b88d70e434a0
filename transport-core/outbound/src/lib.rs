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

mod address;
mod config;
mod error;
mod exchange;

mod outbound;
mod proxy;
mod race;
mod recall;
mod request;
mod stream;
mod tls;
mod trust;

pub use crate::{
    config::{ConfigError, Deadlines, OutboundConfig, ProxyMode},
    error::{Cause, OutboundError, ProxyFault, Stage},
    exchange::login_page,
    outbound::Outbound,
    proxy::{ProxyName, ProxyUrl},
    request::{Request, Response},
    stream::Stream,
    trust::{Fingerprint, Trust},
};
// They stand in public signatures.

pub use {bytes, http, hyper, rustls, serde_json, url};
