//! On a machine: addresses, proxies, trust and HTTP, one stage after the other.

mod address;
mod cause;
mod config;
mod exchange;
mod outbound;
mod proxy;
mod race;
mod recall;
mod stream;
mod tls;
mod trust;

pub use self::{
    cause::{Cause, ProxyFault},
    config::{ConfigError, Deadlines, OutboundConfig, ProxyMode},
    exchange::login_page,
    outbound::Outbound,
    proxy::{ProxyName, ProxyUrl},
    stream::Stream,
    trust::{Fingerprint, Trust},
};
// They stand in public signatures.
pub use {hyper, rustls};
