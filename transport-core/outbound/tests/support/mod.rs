//! Servers and proxies of the tests' own.

#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod tinyproxy;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use beach_outbound::{Outbound, OutboundConfig, ProxyMode, rustls};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// Accepts and serves until dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) served: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, served) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (mut task, count) = (JoinSet::new(), served.clone());
        task.spawn(async move {
            let mut guests = JoinSet::new();
            while let Ok((guest, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                guests.spawn(serve(guest));
            }
        });
        Self { address, served, _task: task }
    }

    /// Sends back what comes, over TLS.
    pub(crate) async fn tls_echo(config: ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(move |guest| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(guest) = acceptor.accept(guest).await {
                    echo(guest).await;
                }
            }
        })
        .await
    }

    pub(crate) async fn echo() -> Self {
        Self::start(echo).await
    }

    /// Answers every request with `answer`.
    pub(crate) async fn http(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |mut guest| {
            let answer = answer.clone();
            async move {
                read_head(&mut guest).await;
                let _ = guest.write_all(&answer).await;
                // Unread bytes would turn the end into a reset.
                let _ = guest.shutdown().await;
                let _ = guest.read_to_end(&mut Vec::new()).await;
            }
        })
        .await
    }

    /// Takes connections and says nothing.
    pub(crate) async fn silent() -> Self {
        Self::start(|mut guest| async move {
            let _ = guest.read_to_end(&mut Vec::new()).await;
        })
        .await
    }
}

async fn echo<S: AsyncRead + AsyncWrite>(guest: S) {
    let (mut read, mut write) = tokio::io::split(guest);
    let _ = tokio::io::copy(&mut read, &mut write).await;
    let _ = write.shutdown().await;
}

pub(crate) async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// An HTTP proxy that reaches one server, whatever the target is called.
pub(crate) struct ConnectProxy {
    pub(crate) server: Server,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    pub(crate) async fn before(target: SocketAddr) -> Self {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        let server = Server::start(move |guest| relay(guest, target, seen.clone())).await;
        Self { server, heads }
    }

    pub(crate) async fn with_tls(target: SocketAddr, config: ServerConfig) -> Self {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (seen, acceptor) = (heads.clone(), TlsAcceptor::from(Arc::new(config)));
        let server = Server::start(move |guest| {
            let (seen, acceptor) = (seen.clone(), acceptor.clone());
            async move {
                if let Ok(guest) = acceptor.accept(guest).await {
                    relay(guest, target, seen).await;
                }
            }
        })
        .await;
        Self { server, heads }
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }

    pub(crate) fn address(&self) -> String {
        self.server.address.to_string()
    }
}

async fn relay<S: AsyncRead + AsyncWrite + Unpin>(
    mut guest: S,
    target: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let head = read_head(&mut guest).await;
    seen.lock().push(head);
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    if guest.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut guest, &mut server).await;
    }
}

/// A company's own certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's configuration with a certificate for `name`.
    pub(crate) fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        server(vec![certificate.der().clone()], &key)
    }
}

/// A certificate that nobody but its server vouches for.
pub(crate) fn self_made(name: &str) -> (CertificateDer<'static>, KeyPair) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    (made.cert.der().clone(), made.signing_key)
}

pub(crate) fn server(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Dials as `set` says, in an empty environment.
pub(crate) fn outbound(set: impl FnOnce(&mut OutboundConfig)) -> Outbound {
    in_environment(&[], set)
}

/// Dials as `set` and the variables say.
pub(crate) fn in_environment(variables: &[(&str, &str)], set: impl FnOnce(&mut OutboundConfig)) -> Outbound {
    let mut config = OutboundConfig::default();
    set(&mut config);
    let value =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
    Outbound::with_environment(config, value).unwrap()
}

/// Always through `proxy`.
pub(crate) fn through(proxy: &str) -> ProxyMode {
    ProxyMode::Explicit(proxy.parse().unwrap())
}

/// Says something and hears it back.
pub(crate) async fn assert_echoes(mut stream: beach_outbound::Stream) {
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}
