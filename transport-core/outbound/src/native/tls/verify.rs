//! Two verifiers: one that says whom it does not trust, and one that knows a single certificate.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;

use super::issuer::issuer;
use crate::native::trust::Fingerprint;

/// The certificate comes from an unknown authority.
#[derive(Debug, thiserror::Error)]
#[error("the issuer {issuer} is not trusted")]
pub(super) struct Untrusted {
    pub(super) issuer: String,
}

/// The certificate is another one.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is not the pinned one: {shown}")]
pub(super) struct NotPinned {
    pub(super) shown: Fingerprint,
}

/// Verifies as the system does, and names the issuer that it does not know.
#[derive(Debug)]
pub(super) struct NamesIssuer(pub(super) Arc<Verifier>);

impl ServerCertVerifier for NamesIssuer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(leaf, chain, name, ocsp, now).map_err(|error| match error {
            // The last of the chain is the one whose issuer is missing here.
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                refuse(Untrusted { issuer: issuer(chain.last().unwrap_or(leaf)) })
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Accepts one certificate. Issuer, name and validity do not matter; that the server holds its key does.
#[derive(Debug)]
pub(super) struct Pinned {
    /// What its fingerprint begins with, or all of it.
    pub(super) start: Box<[u8]>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(leaf);
        if shown.as_bytes().starts_with(&self.start) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(refuse(NotPinned { shown }))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn refuse(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}
