//! TLS: whose certificates are accepted, and what a failed handshake means.

mod issuer;
mod verify;

use std::{fmt, io, sync::Arc, time::Duration};

use rustls::{
    ClientConfig,
    client::danger::ServerCertVerifier,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::ServerName,
};
use rustls_platform_verifier::Verifier;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
    task::spawn_blocking,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::verify::{NamesIssuer, NotPinned, Pinned, Untrusted};
use crate::native::{cause::Cause, trust::Trust};

/// What is spoken above TLS, as ALPN says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// HTTP/1.1, which a WebSocket's upgrade needs.
    Http,
    /// Nothing is said: TURN servers that know `http/1.1` would speak it.
    Unsaid,
}

impl Next {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http => vec![b"http/1.1".to_vec()],
            Self::Unsaid => Vec::new(),
        }
    }
}

/// Makes TLS out of TCP. The system's store is read at the first handshake that needs it.
pub(crate) struct Tls {
    trust: Trust,
    config: OnceCell<Arc<ClientConfig>>,
    /// One for each pinned host of `trust`.
    hosts: Vec<OnceCell<Arc<ClientConfig>>>,
}

impl Tls {
    pub(crate) fn new(trust: Trust) -> Self {
        let hosts = trust.hosts.iter().map(|_| OnceCell::new()).collect();
        Self { trust, config: OnceCell::new(), hosts }
    }

    /// Shakes hands with `host` over `io`, within `limit`, for what `next` says is spoken above.
    pub(crate) async fn connect<S>(
        &self,
        host: &str,
        io: S,
        next: Next,
        limit: Duration,
    ) -> Result<TlsStream<S>, Cause>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Cause::Url("the host is no name that a certificate bears"))?;
        let handshake = async {
            let config = self.config(host).await?;
            let connector = TlsConnector::from(config.clone());
            connector.with_alpn(next.alpn()).connect(name, io).await.map_err(why)
        };
        timeout(limit, handshake).await.map_err(|_| Cause::TimedOut(limit))?
    }

    /// What a handshake with `host` goes by. Of a pinned one the system's store is not asked.
    async fn config(&self, host: &str) -> Result<&Arc<ClientConfig>, Cause> {
        match self.trust.hosts.iter().zip(&self.hosts).find(|(pinned, _)| pinned.is(host)) {
            Some((pinned, cell)) => cell.get_or_try_init(async || only(&pinned.start)).await,
            None => self.config.get_or_try_init(|| client_config(&self.trust)).await,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trust.fmt(f)
    }
}

async fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, Cause> {
    match trust.pinned {
        Some(fingerprint) => only(fingerprint.as_bytes()),
        None => verified_by(Arc::new(NamesIssuer(system_and(trust, provider()).await?))),
    }
}

/// Accepts the certificate whose fingerprint begins with `start`.
fn only(start: &[u8]) -> Result<Arc<ClientConfig>, Cause> {
    let algorithms = provider().signature_verification_algorithms;
    verified_by(Arc::new(Pinned { start: start.into(), algorithms }))
}

fn verified_by(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, Cause> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Cause::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Named: with two in the process, rustls's bare builder panics.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Reads the system's store away from the runtime's threads: it is a hundred files and more.
async fn system_and(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Arc<Verifier>, Cause> {
    let roots = trust.roots.clone();
    let verifier = spawn_blocking(move || Verifier::new_with_extra_roots(roots, provider)).await;
    // The extra roots were checked when they were added, so that it is the system that has none.
    verifier.map_err(|error| Cause::Io(error.into()))?.map(Arc::new).map_err(|_| Cause::NoRoots)
}

/// Reads why a handshake failed.
fn why(error: io::Error) -> Cause {
    use rustls::{CertificateError, Error};
    let Some(tls) = error.get_ref().and_then(|source| source.downcast_ref::<Error>()) else {
        return Cause::Io(error);
    };
    match tls {
        Error::InvalidMessage(_) => Cause::NotTls,
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            if let Some(Untrusted { issuer }) = other.0.downcast_ref() {
                Cause::Untrusted { issuer: issuer.clone() }
            } else if let Some(NotPinned { shown }) = other.0.downcast_ref() {
                Cause::NotPinned { shown: *shown }
            } else {
                Cause::Tls(tls.clone())
            }
        }
        _ => Cause::Tls(tls.clone()),
    }
}
