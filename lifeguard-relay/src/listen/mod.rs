//! The accept loop: TLS, deadlines, caps, socket options.
//!
//! `axum::serve` sets no header timeout, has no cap and forgets upgraded sockets on shutdown, so the
//! loop is our own, over `hyper`'s HTTP/1 connection. (Its `auto` builder would leave connections that
//! never send a byte open for ever.)

mod connections;
mod foreign;
mod forwarded;
mod network;
mod socket;
mod tls;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use http::{HeaderValue, StatusCode, header::CONNECTION};
use hyper::{
    Request,
    body::Incoming,
    rt::{Sleep, Timer},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

pub use self::{
    connections::{CapReached, Caps, Connections},
    network::{BadNetwork, Network},
    tls::{Certificates, TlsError},
};
pub(crate) use self::{
    connections::{OpenConnection, Stranger},
    network::{Scope, scopes_of},
    socket::Socket,
};
use self::{forwarded::client_behind, socket::Stream};

/// How connections are taken in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenConfig {
    /// Time for the TLS handshake, and again for each request's header. Default 3 s: a slow phone on a
    /// bad network needs one; a scanner wants ten minutes.
    pub header_timeout: Duration,
    /// Unacknowledged data older than this ends a connection in the kernel. Default 30 s.
    pub tcp_user_timeout: Duration,
    /// Largest request head in bytes. Default 16 KiB; our tokens are under 2 KiB.
    pub max_header_bytes: usize,
    /// Proxies whose `X-Forwarded-For` counts, and which no cap per address counts. Default none.
    pub trusted_proxies: Vec<Network>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(3),
            tcp_user_timeout: Duration::from_secs(30),
            max_header_bytes: 16 * 1024,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Who is on the other end of a connection. A request extension.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Its place among the strangers, held until the client has proven who it is.
    pub(crate) stranger: Arc<Stranger>,
}

/// Opens a listening socket whose queue holds a burst: when a relay comes back, everybody does at once.
///
/// # Errors
///
/// The address is taken, or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts the next connection, however often that fails; `None` once `stop` is said.
pub(crate) async fn accept(
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Accepts connections until `stop`, serving `app` on each. Upgraded sockets belong to whoever upgraded
/// them; the rest ends with the task tracker.
pub async fn serve(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    app: Router,
    config: ListenConfig,
    connections: Arc<Connections>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let config = Arc::new(config);
    if INHERITED {
        set_options(&SockRef::from(&listener), &config);
    }
    while let Some((stream, address)) = accept(&listener, &stop).await {
        // Refusing costs one system call and no answer: whoever floods learns nothing from it.
        let exempt = config.trusted_proxies.iter().any(|proxy| proxy.contains(address.ip()));
        let Ok((open, stranger)) = connections.admit(address.ip(), exempt) else { continue };
        let client = Client { address: address.ip(), stranger: Arc::new(stranger) };
        let acceptor = certificates.as_ref().map(|certificates| certificates.acceptor());
        tasks.spawn(connection(stream, open, acceptor, app.clone(), config.clone(), client, stop.clone()));
    }
}

/// One connection, until it ends, is upgraded, is evicted or is told to stop.
async fn connection(
    stream: TcpStream,
    open: OpenConnection,
    acceptor: Option<TlsAcceptor>,
    app: Router,
    config: Arc<ListenConfig>,
    client: Client,
    stop: CancellationToken,
) {
    let stranger = client.stranger.clone();
    let work = async {
        if !INHERITED {
            set_options(&SockRef::from(&stream), &config);
        }
        let stream = match acceptor {
            None => Stream::Plain(stream),
            Some(acceptor) => {
                match tokio::time::timeout(config.header_timeout, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        };
        speak_http(Socket::new(stream, open), app, &config, client, stop).await;
    };
    // Evicted: the scope for strangers is full and this one had its time.
    tokio::select! {
        () = stranger.evicted() => {}
        () = work => {}
    }
}

async fn speak_http(
    socket: Socket,
    app: Router,
    config: &Arc<ListenConfig>,
    client: Client,
    stop: CancellationToken,
) {
    let stranger = client.stranger.clone();
    let trusted = config.clone();
    let begun = Arc::new(Notify::new());
    let asked = begun.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        asked.notify_one();
        let mut client = client.clone();
        client.address = client_behind(client.address, request.headers(), &trusted.trusted_proxies);
        request.extensions_mut().insert(client);
        let app = app.clone();
        async move {
            let response = app.oneshot(request).await;
            let mut response = response.unwrap_or_else(|never| match never {});
            // hyper would wait without a deadline for the rest of a body nobody wants. Whoever is refused
            // starts over.
            if !response.status().is_success() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(HeadTimer(stranger))
        .header_read_timeout(config.header_timeout)
        .max_buf_size(config.max_header_bytes)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A client that breaks HTTP has been answered by hyper already; nothing is left to report.
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            // Accepted a moment ago, its first request is under way: closed now, it would be lost with nobody to say so.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = begun.notified() => {}
                () = tokio::time::sleep(FIRST_REQUEST) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(config.header_timeout, connection).await;
        }
    }
}

/// How long a stop waits for the first request of a connection: a round trip and more.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Times the wait for a request's head, which `hyper` begins anew behind each answer. A stranger has the configured time.
/// Whoever has proven who it is keeps its connection for the next upload: another TLS handshake would hold a keystroke.
struct HeadTimer(Arc<Stranger>);

impl HeadTimer {
    fn later(&self) -> Duration {
        if self.0.is_proven() { KEEP_ALIVE } else { Duration::ZERO }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration + self.later())
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep_until(deadline + self.later())
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        TokioTimer::new().reset(sleep, deadline + self.later());
    }
}

/// Nagle would hold keystrokes back for an ACK; the user timeout ends what the network swallowed.
fn set_options(socket: &SockRef<'_>, config: &ListenConfig) {
    // Failing here means the socket is gone already; the next read will say so.
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(config.tcp_user_timeout));
}

/// Out of descriptors or buffers: looping at once would burn the core that could free some.
async fn pause_after(error: &io::Error) {
    let transient = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !transient {
        tracing::warn!(error = %error, "cannot accept connections for the moment");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Whether an accepted socket has the options of the one that listens: that saves two system calls for each.
const INHERITED: bool = cfg!(target_os = "linux");
/// The kernel caps it at `net.core.somaxconn`, 4,096 by default.
const BACKLOG: u32 = 4_096;
/// As long as the proxies of this world keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_socket_has_the_options_of_the_one_that_listens() {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let config = ListenConfig::default();
        set_options(&SockRef::from(&listener), &config);
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_client, (accepted, _)) = (client.unwrap(), accepted.unwrap());
        assert_eq!(accepted.nodelay().unwrap(), INHERITED);
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&accepted).tcp_user_timeout().unwrap(), Some(config.tcp_user_timeout));
    }
}
