//! Why a connection did not come about: at which stage, for which host, what happened.

use std::{error::Error, fmt};

use crate::Cause;

/// An outbound connection or request that failed. `Display` is fit for a person and names all three.
#[derive(Debug)]
#[non_exhaustive]
pub struct OutboundError {
    /// How far it came.
    pub stage: Stage,
    /// Whom the caller wanted to reach.
    pub host: String,
    /// What happened.
    pub cause: Cause,
}

/// The stages of a connection, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// From the name to addresses.
    Resolve,
    /// From addresses to an answered TCP handshake.
    Connect,
    /// Through the proxy: reaching it and opening its tunnel.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Request and answer.
    Http,
}

impl OutboundError {
    pub(crate) fn new(stage: Stage, host: &str, cause: Cause) -> Self {
        Self { stage, host: host.to_owned(), cause }
    }

    /// Says whether a stage's deadline passed in silence.
    pub fn is_timeout(&self) -> bool {
        self.cause.is_timeout()
    }

    /// Says whether the machine was reached, and nobody listens there.
    pub fn is_refused(&self) -> bool {
        self.cause.is_refused()
    }

    /// Says whether a login page answers in place of the server.
    pub fn is_login_page(&self) -> bool {
        self.cause.is_login_page()
    }

    /// Says whether the server's certificate is from nobody who is trusted here.
    pub fn is_untrusted(&self) -> bool {
        self.cause.is_untrusted()
    }

    /// Says whether the server shows another certificate than the pinned one.
    pub fn is_not_pinned(&self) -> bool {
        self.cause.is_not_pinned()
    }
}

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.host, self.stage, self.cause)
    }
}

/// No source: `Display` says it all.
impl Error for OutboundError {}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Http => "http",
            Self::Proxy => "proxy",
            Self::Resolve => "resolve",
            Self::Tls => "tls",
        })
    }
}
