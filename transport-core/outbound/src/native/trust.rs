//! Whose certificates are accepted.

use std::{fmt, str::FromStr};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use sha2::{Digest, Sha256};

use crate::native::config::ConfigError;

/// Whose certificates are accepted: what the system trusts, the roots added here, or, where a fingerprint is
/// pinned, one certificate and no other.
#[derive(Clone, Default)]
pub struct Trust {
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) pinned: Option<Fingerprint>,
    pub(crate) hosts: Vec<PinnedHost>,
}

impl Trust {
    /// Trusts `certificates` besides the system's store: PEM, any number of them, or one in DER.
    /// `source` names them in errors: a file, a setting.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Root`] when there is none or one of them cannot serve as a root; then none is added.
    pub fn add_roots(&mut self, source: &str, certificates: &[u8]) -> Result<(), ConfigError> {
        let bad = |detail: String| ConfigError::Root { source_name: source.to_owned(), detail };
        let is_pem = certificates.windows(PEM.len()).any(|part| part == PEM);
        let found = if is_pem {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
            read.map_err(|error| bad(error.to_string()))?
        } else {
            vec![CertificateDer::from(certificates.to_vec())]
        };
        if found.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        let mut store = RootCertStore::empty();
        for root in &found {
            store.add(root.clone()).map_err(|error| bad(error.to_string()))?;
        }
        self.roots.extend(found);
        Ok(())
    }

    /// Accepts exactly the server certificate with this fingerprint, whoever issued it and whatever
    /// name it bears, and no other.
    pub fn pin(&mut self, fingerprint: Fingerprint) {
        self.pinned = Some(fingerprint);
    }

    /// Accepts from `host`, a name or an address, at every port, exactly the certificates whose fingerprint begins
    /// with `start`, and no other. What other hosts show is judged as before. A second pin of a host replaces the first.
    pub fn pin_host(&mut self, host: &str, start: [u8; PIN]) {
        let host = bare(host);
        self.hosts.retain(|pinned| pinned.host != host);
        self.hosts.push(PinnedHost { host, start });
    }

    /// For a proxy: what is pinned is a target's certificate.
    pub(crate) fn without_pins(&self) -> Self {
        Self { roots: self.roots.clone(), ..Self::default() }
    }
}

/// Counts the roots: their bytes help nobody.
impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("roots", &self.roots.len())
            .field("pinned", &self.pinned)
            .field("hosts", &self.hosts)
            .finish()
    }
}

/// A host with the only certificate that is accepted from it.
#[derive(Debug, Clone)]
pub(crate) struct PinnedHost {
    host: String,
    /// What its fingerprint begins with.
    pub(crate) start: [u8; PIN],
}

impl PinnedHost {
    pub(crate) fn is(&self, host: &str) -> bool {
        self.host == bare(host)
    }
}

/// One spelling for each name and address.
fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
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
        let digits = text.chars().filter(|&each| each != ':').map(|each| each.to_digit(16));
        let digits: Vec<u32> = digits.collect::<Option<_>>().ok_or(ConfigError::Fingerprint)?;
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return Err(ConfigError::Fingerprint);
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, &digit| byte << 4 | digit as u8);
        }
        Ok(Self(digest))
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

/// Bytes of a fingerprint that a pin for one host names: nobody finds another certificate with the same.
const PIN: usize = 16;
/// What every block of PEM begins with.
const PEM: &[u8] = b"-----BEGIN ";

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> rcgen::Certificate {
        rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap().cert
    }

    #[test]
    fn roots_are_read_in_pem_and_in_der() {
        let (one, other) = (certificate(), certificate());
        let mut trust = Trust::default();
        trust.add_roots("a bundle", format!("# ours\n{}\n{}", one.pem(), other.pem()).as_bytes()).unwrap();
        trust.add_roots("a setting", one.der()).unwrap();
        assert_eq!(trust.roots, [one.der().clone(), other.der().clone(), one.der().clone()]);
    }

    #[test]
    fn a_bad_root_is_told_with_its_source_and_none_is_added() {
        let mut trust = Trust::default();
        let mut said = |bytes: &[u8]| trust.add_roots("ca.pem", bytes).unwrap_err().to_string();
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(said(key.as_bytes()), "the root certificate from ca.pem: there is no certificate in it");
        let bad = "invalid peer certificate: BadEncoding";
        for bytes in [&[][..], &[1, 2, 3]] {
            assert_eq!(said(bytes), format!("the root certificate from ca.pem: {bad}"));
        }
        let half =
            format!("{}-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----", certificate().pem());
        assert_eq!(said(half.as_bytes()), format!("the root certificate from ca.pem: {bad}"));
        assert_eq!(trust.roots, []);
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_printed() {
        let fingerprint = Fingerprint::of(certificate().der());
        let text = fingerprint.to_string();
        assert_eq!(text.parse(), Ok(fingerprint));
        let pairs: Vec<&str> = (0..32).map(|nth| &text[2 * nth..2 * nth + 2]).collect();
        assert_eq!(pairs.join(":").to_uppercase().parse(), Ok(fingerprint));
        for bad in ["", &text[1..], &format!("{text}0"), &text.replace(&text[..1], "g")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(ConfigError::Fingerprint), "{bad}");
        }
    }
}
