//! What a caller decides about its outbound connections.

use std::time::Duration;

use crate::{
    error::Stage,
    native::{proxy::ProxyUrl, trust::Trust},
};

/// How an [`Outbound`](crate::Outbound) reaches others.
///
/// # Defaults
///
/// | field | default | why |
/// |---|---|---|
/// | `trust` | the system's store | what the machine's owner trusts |
/// | `proxy` | the environment | what the machine's owner set |
/// | `deadlines` | see [`Deadlines`] | |
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OutboundConfig {
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// Whether connections go through a proxy.
    pub proxy: ProxyMode,
    /// How long each stage may take.
    pub deadlines: Deadlines,
}

/// Whether connections go through a proxy. The choice holds for everything: HTTP, WebSocket, TURN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyMode {
    /// Never.
    Direct,
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say. Loopback is always reached directly.
    #[default]
    Environment,
    /// Always through this one, loopback and the names in `NO_PROXY` included.
    Explicit(ProxyUrl),
}

/// How long each stage may take.
///
/// # Defaults
///
/// | field | default | why |
/// |---|---|---|
/// | `resolve` | 10 s | a resolver whose first name server is dead answers after 5 s or more |
/// | `connect` | 5 s | room for two lost SYNs (1 s, 3 s) |
/// | `proxy` | 5 s | the proxy resolves and connects meanwhile |
/// | `tls` | 5 s | two round trips on a slow path |
/// | `http` | 5 s | the control plane answers in milliseconds |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// From the name to addresses.
    pub resolve: Duration,
    /// From addresses to an answered TCP handshake, all addresses together.
    pub connect: Duration,
    /// From the connection to the proxy until its tunnel is open.
    pub proxy: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From the request until the end of the answer's body.
    pub http: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let stage = Duration::from_secs(5);
        Self { resolve: 2 * stage, connect: stage, proxy: stage, tls: stage, http: stage }
    }
}

impl Deadlines {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Self { resolve, connect, proxy, tls, http } = self;
        let limits = [
            (Stage::Resolve, resolve),
            (Stage::Connect, connect),
            (Stage::Proxy, proxy),
            (Stage::Tls, tls),
            (Stage::Http, http),
        ];
        match limits.into_iter().find(|(_, limit)| limit.is_zero()) {
            Some((stage, _)) => Err(ConfigError::Deadline { stage }),
            None => Ok(()),
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A stage without time.
    #[error("the deadline of stage {stage} is zero")]
    Deadline {
        /// The stage.
        stage: Stage,
    },
    /// A fingerprint is not 64 hexadecimal digits.
    #[error("a fingerprint is 64 hexadecimal digits, with or without colons")]
    Fingerprint,
    /// A text that names no proxy. It is not repeated: it may hold a password.
    #[error("the proxy cannot be used: {why}")]
    Proxy {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A root certificate that cannot be used.
    #[error("the root certificate from {source_name}: {detail}")]
    Root {
        /// Where the certificate comes from, as the caller named it.
        source_name: String,
        /// What is wrong with it.
        detail: String,
    },
}
