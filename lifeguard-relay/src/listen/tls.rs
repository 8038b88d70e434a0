//! The certificate, from files that may be renewed while the relay runs, or made on the spot.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Where TLS comes from.
#[derive(Debug)]
pub struct Certificates {
    source: Option<Files>,
    current: RwLock<Served>,
}

/// What is served, and until when it may be.
#[derive(Debug, Clone)]
struct Served {
    config: Arc<ServerConfig>,
    /// Unix seconds; 0 when the certificate does not say.
    expires: u64,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Reads a PEM chain and its PEM key.
    ///
    /// # Errors
    ///
    /// [`TlsError`], naming the file that is at fault.
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.into(), key: key.into() };
        let current = RwLock::new(files.load()?);
        Ok(Self { source: Some(files), current })
    }

    /// Makes a self-signed certificate for `names`, for development; also returns it in PEM form, for
    /// clients that want to trust it.
    ///
    /// # Errors
    ///
    /// [`TlsError::Made`] when a name cannot stand in a certificate.
    pub fn self_signed(names: &[&str]) -> Result<(Self, String), TlsError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).map_err(TlsError::Made)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let current = RwLock::new(server_config(vec![made.cert.der().clone()], key.into())?);
        Ok((Self { source: None, current }, made.cert.pem()))
    }

    /// Reads the files again. Connections that are open keep what they have; on an error everything stays
    /// as it was.
    ///
    /// # Errors
    ///
    /// [`TlsError`], naming the file that is at fault.
    pub fn reload(&self) -> Result<(), TlsError> {
        if let Some(files) = &self.source {
            *self.current.write() = files.load()?;
        }
        Ok(())
    }

    /// An acceptor with the certificate of the moment.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().config.clone().into()
    }

    /// When the certificate of the moment ends, Unix seconds; 0 when it does not say.
    pub fn expires(&self) -> u64 {
        self.current.read().expires
    }
}

impl Files {
    fn load(&self) -> Result<Served, TlsError> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| TlsError::unreadable(&self.certificate, source))?;
        if chain.is_empty() {
            let source = io::Error::new(io::ErrorKind::InvalidData, "no certificate in it");
            return Err(TlsError::Unreadable { path: self.certificate.clone(), source: source.into() });
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|source| TlsError::unreadable(&self.key, source))?;
        server_config(chain, key)
    }
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Served, TlsError> {
    let expires = chain.first().map_or(0, expiry);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets instead of a table: after an outage everybody returns at once and resumes cheaply.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Served { config: Arc::new(config), expires })
}

/// The end of a certificate's validity, for the operator's alert; rustls itself does not tell.
fn expiry(certificate: &CertificateDer<'_>) -> u64 {
    let parsed = X509Certificate::from_der(certificate).ok();
    parsed.and_then(|(_, parsed)| parsed.validity().not_after.timestamp().try_into().ok()).unwrap_or(0)
}

/// The one crypto provider of the relay, named so that a second one in the graph cannot confuse rustls.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate could not be made.
    #[error("cannot make a certificate")]
    Made(#[source] rcgen::Error),
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("the certificate cannot be used")]
    Unusable(#[from] rustls::Error),
    /// A file cannot be read as PEM.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TlsError {
    fn unreadable(path: &Path, source: rustls_pki_types::pem::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source: source.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_renewal_keeps_the_certificate_that_works() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(vec!["relay.test".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let certificates = Certificates::from_files(&cert, &key).unwrap();

        let before = certificates.current.read().config.clone();
        assert!(certificates.expires() > 1_700_000_000, "{}", certificates.expires());
        std::fs::write(&cert, "not a certificate").unwrap();
        let error = certificates.reload().unwrap_err();
        assert!(error.to_string().contains("cert.pem"), "{error}");
        assert!(Arc::ptr_eq(&before, &certificates.current.read().config));

        std::fs::write(&cert, made.cert.pem()).unwrap();
        certificates.reload().unwrap();
        assert!(!Arc::ptr_eq(&before, &certificates.current.read().config));
    }
}
