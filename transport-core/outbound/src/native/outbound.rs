//! From a host or a URL to a connection, stage by stage.

use std::{ffi::OsString, fmt, sync::Arc};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::{
    error::{OutboundError, Stage},
    native::{
        address::Address,
        cause::{Cause, ProxyFault},
        config::{ConfigError, Deadlines, OutboundConfig, ProxyMode},
        exchange::exchange,
        proxy::{self, Kind, Proxies, Proxy},
        race::{learn, reach},
        recall::Recall,
        stream::{Layers, Stream},
        tls::{Next, Tls},
        trust::Trust,
    },
    request::{Request, Response},
};

/// Opens connections. Cheap to clone; holds no connection of its own.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
    answered: Option<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Debug)]
struct Inner {
    deadlines: Deadlines,
    proxies: Proxies,
    recall: Recall,
    /// For the target.
    tls: Tls,
    /// For a proxy that speaks TLS itself: pinned certificates are the targets', not the proxy's.
    proxy_tls: Tls,
}

/// What a target answers over: TCP, or TLS to a proxy.
enum Way {
    Direct(TcpStream),
    Within(Box<TlsStream<TcpStream>>),
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
        let OutboundConfig { trust, proxy, deadlines } = config;
        deadlines.check()?;
        Ok(Self::build(trust, &proxy, deadlines, lookup))
    }

    fn build(
        trust: Trust,
        proxy: &ProxyMode,
        deadlines: Deadlines,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let inner = Inner {
            deadlines,
            proxies: Proxies::new(proxy, lookup),
            recall: Recall::default(),
            proxy_tls: Tls::new(trust.without_pins()),
            tls: Tls::new(trust),
        };
        Self { inner: Arc::new(inner), answered: None }
    }

    /// Returns the same, calling `answered` whenever a target answered the TCP handshake; through a
    /// proxy, when the tunnel is open.
    #[must_use]
    pub fn on_answer(&self, answered: impl Fn() + Send + Sync + 'static) -> Self {
        Self { answered: Some(Arc::new(answered)), ..self.clone() }
    }

    /// Opens a TCP connection. Where the environment names proxies, that of `HTTPS_PROXY` applies.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt and frees everything; so with all methods here.
    pub async fn tcp(&self, host: &str, port: u16) -> Result<Stream, OutboundError> {
        self.connect(&Address::new(host, port), Kind::Tunnel, None).await
    }

    /// Opens a TLS connection, through the same proxy as [`tcp`](Self::tcp). Without ALPN: it is not for HTTP.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    pub async fn tls(&self, host: &str, port: u16) -> Result<Stream, OutboundError> {
        self.connect(&Address::new(host, port), Kind::Tunnel, Some(Next::Unsaid)).await
    }

    /// Opens the connection for a URL: plain for `http` and `ws`, TLS for `https` and `wss`, where ALPN says
    /// `http/1.1`.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    pub async fn open(&self, url: &Url) -> Result<Stream, OutboundError> {
        let (address, tls) = Address::of(url)?;
        let (kind, tls) = if tls { (Kind::Tunnel, Some(Next::Http)) } else { (Kind::Plain, None) };
        self.connect(&address, kind, tls).await
    }

    /// Sends one request over a connection of its own and reads the whole answer. Follows no redirect;
    /// any status is an `Ok`, but for the signs of a [login page](Cause::LoginPage).
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    pub async fn http(&self, request: Request) -> Result<Response, OutboundError> {
        let stream = self.open(&request.url).await?;
        let host = request.url.host_str().unwrap_or("?").to_owned();
        let limit = self.inner.deadlines.http;
        let answer = timeout(limit, exchange(stream, request)).await;
        answer
            .unwrap_or(Err(Cause::TimedOut(limit)))
            .map_err(|cause| OutboundError::new(Stage::Http, &host, cause))
    }

    /// Looks up where the host of `url` is, for the time when its name server is gone and it is needed. Opens no connection. Where
    /// a proxy stands before that host nothing is asked: names are the proxy's matter.
    pub async fn learn(&self, url: &Url) {
        let Ok((address, tls)) = Address::of(url) else { return };
        let Inner { deadlines, proxies, recall, .. } = &*self.inner;
        let kind = if tls { Kind::Tunnel } else { Kind::Plain };
        if matches!(proxies.of(&address, kind), Ok(None)) {
            learn(&address, deadlines, recall).await;
        }
    }

    async fn connect(
        &self,
        target: &Address,
        kind: Kind,
        tls: Option<Next>,
    ) -> Result<Stream, OutboundError> {
        let failed = |stage, cause| OutboundError::new(stage, &target.host, cause);
        let Inner { deadlines, proxies, recall, .. } = &*self.inner;
        let proxy = proxies.of(target, kind).map_err(|cause| failed(Stage::Proxy, cause))?;
        let way = match proxy {
            None => {
                let reached = reach(target, deadlines, recall).await;
                Way::Direct(reached.map_err(|(stage, cause)| failed(stage, cause))?)
            }
            Some(proxy) => {
                self.tunnel(proxy, target).await.map_err(|fault| failed(Stage::Proxy, proxy.fault(fault)))?
            }
        };
        if let Some(answered) = &self.answered {
            answered();
        }
        let layers = self.secure(way, target, tls).await.map_err(|cause| failed(Stage::Tls, cause))?;
        Ok(Stream(layers))
    }

    async fn tunnel(&self, proxy: &Proxy, target: &Address) -> Result<Way, ProxyFault> {
        let Inner { deadlines, proxy_tls, recall, .. } = &*self.inner;
        let address = &proxy.url.address;
        let mut stream = reach(address, deadlines, recall).await.map_err(|_| ProxyFault::NoAnswer)?;
        if !proxy.url.tls {
            proxy::open(&mut stream, proxy, target, deadlines).await?;
            return Ok(Way::Direct(stream));
        }
        let stream = proxy_tls.connect(&address.host, stream, Next::Http, deadlines.tls).await;
        let mut stream = stream.map_err(|cause| ProxyFault::Tls(Box::new(cause)))?;
        proxy::open(&mut stream, proxy, target, deadlines).await?;
        Ok(Way::Within(Box::new(stream)))
    }

    async fn secure(&self, way: Way, target: &Address, tls: Option<Next>) -> Result<Layers, Cause> {
        let Inner { deadlines, tls: client, .. } = &*self.inner;
        let (host, limit) = (target.host.as_str(), deadlines.tls);
        Ok(match (way, tls) {
            (Way::Direct(stream), None) => Layers::Plain(stream),
            (Way::Within(stream), None) => Layers::Tls(stream),
            (Way::Direct(stream), Some(next)) => {
                Layers::Tls(Box::new(client.connect(host, stream, next, limit).await?))
            }
            (Way::Within(stream), Some(next)) => {
                Layers::Nested(Box::new(client.connect(host, stream, next, limit).await?))
            }
        })
    }
}

/// As the machine is set up: the system's store, the environment's proxy.
impl Default for Outbound {
    fn default() -> Self {
        let OutboundConfig { trust, proxy, deadlines } = OutboundConfig::default();
        Self::build(trust, &proxy, deadlines, |name| std::env::var_os(name))
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("inner", &self.inner).finish_non_exhaustive()
    }
}
