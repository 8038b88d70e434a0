//! What a join link carries behind its `#`: everything a viewer needs to be sure of the host.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use beach_identity::{LinkSecret, PublicKey};
use beach_terms::Access;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::ids::{PeerId, SessionId};

/// The fragment of a join link. Browsers never send a fragment to a server, so what is in it
/// reaches the viewer alone.
///
/// Encoded as unpadded base64url of:
///
/// | offset | length | what |
/// |---|---|---|
/// | 0 | 1 | form, 2, in the upper four bits; flags in the lower: bit 0 set for read-only, bit 1 when an expiry follows, bit 2 when a pin follows, the other 0 |
/// | 1 | 32 | host's public key, Ed25519: it names the session |
/// | 33 | 16 | secret of this link |
/// | 49 | 0 or 4 | expiry, Unix seconds, big-endian |
/// | 49 or 53 | 0 or 16 | certificate pin: the first bytes of SHA-256 of the service's certificate in DER |
/// | last | 2 | checksum: first bytes of SHA-256 over `beach/2/link` and all of the above |
///
/// The checksum finds accidents (a character lost in a chat window); it authenticates nothing. Access and expiry are
/// there to be shown: the host goes by the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinFragment {
    /// The key the host must prove to hold.
    pub host: PublicKey,
    /// The secret of this link.
    pub secret: LinkSecret,
    /// What the link allows.
    pub access: Access,
    /// When the host stops letting new viewers in by this link, in Unix seconds; `None` for never. The wire ends in
    /// the year 2106: what is later reads as then.
    pub expires_at: Option<u64>,
    /// The one certificate that the service may show; `None` for whatever the viewer's machine trusts.
    pub certificate: Option<CertificatePin>,
}

impl JoinFragment {
    /// Describes a link that does not expire, to a service that the viewer's machine trusts by itself.
    pub fn new(host: PublicKey, secret: LinkSecret, access: Access) -> Self {
        Self { host, secret, access, expires_at: None, certificate: None }
    }

    /// Returns the session to join.
    pub fn session(&self) -> SessionId {
        SessionId::of_host(&self.host)
    }

    /// Returns the host's name in it.
    pub fn host_peer(&self) -> PeerId {
        PeerId::of(&self.host)
    }

    /// Returns the fragment, without the `#`: 68 characters, 74 with an expiry, 90 and 95 with a
    /// pin. It is secret.
    pub fn to_fragment(&self) -> Zeroizing<String> {
        let read_only = if self.access == Access::ReadOnly { FLAG_READ_ONLY } else { 0 };
        let expires = if self.expires_at.is_some() { FLAG_EXPIRES } else { 0 };
        let pinned = if self.certificate.is_some() { FLAG_PINNED } else { 0 };
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN));
        bytes.push(FORM << 4 | read_only | expires | pinned);
        bytes.extend_from_slice(self.host.as_bytes());
        bytes.extend_from_slice(self.secret.expose());
        if let Some(expires_at) = self.expires_at {
            bytes.extend_from_slice(&u32::try_from(expires_at).unwrap_or(u32::MAX).to_be_bytes());
        }
        if let Some(pin) = &self.certificate {
            bytes.extend_from_slice(&pin.0);
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes))
    }

    /// Reads a fragment, with or without its `#`.
    ///
    /// # Errors
    ///
    /// [`BadJoinFragment`], which tells a link of a newer program from one that was damaged.
    pub fn parse(fragment: &str) -> Result<Self, BadJoinFragment> {
        let text = fragment.trim().trim_start_matches('#');
        if text.len() > MAX_TEXT {
            return Err(BadJoinFragment::Length);
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| BadJoinFragment::Encoding)?);
        let mut fields = Fields(&bytes);
        let [head] = fields.take()?;
        let (form, flags) = (head >> 4, head & 0xF);
        if form != FORM {
            return Err(BadJoinFragment::Form(form));
        }
        let host = fields.take()?;
        let secret = Zeroizing::new(fields.take()?);
        let expires_at = match flags & FLAG_EXPIRES {
            0 => None,
            _ => Some(u32::from_be_bytes(fields.take()?).into()),
        };
        let certificate = match flags & FLAG_PINNED {
            0 => None,
            _ => Some(CertificatePin(fields.take()?)),
        };
        let sum: [u8; 2] = fields.take()?;
        if !fields.0.is_empty() {
            return Err(BadJoinFragment::Length);
        }
        let unknown = flags & !(FLAG_READ_ONLY | FLAG_EXPIRES | FLAG_PINNED);
        if sum != checksum(&bytes[..bytes.len() - sum.len()]) || unknown != 0 {
            return Err(BadJoinFragment::Altered);
        }
        let host = PublicKey::from_bytes(host).map_err(|_| BadJoinFragment::Altered)?;
        let access = if flags & FLAG_READ_ONLY == 0 { Access::Full } else { Access::ReadOnly };
        Ok(Self { host, secret: LinkSecret::from_bytes(*secret), access, expires_at, certificate })
    }

    /// Checks the expiry against the wall clock, in Unix seconds.
    ///
    /// # Errors
    ///
    /// [`BadJoinFragment::Expired`] from the named second on.
    pub fn check_expiry(&self, unix_now: u64) -> Result<(), BadJoinFragment> {
        match self.expires_at {
            Some(expires_at) if unix_now >= expires_at => Err(BadJoinFragment::Expired),
            _ => Ok(()),
        }
    }
}

/// Which certificate a service shows: the first 16 bytes of the SHA-256 digest of it in DER. No secret.
///
/// Who wants to pass for the service needs another certificate with the same 16 bytes: 2^128 attempts, as for the link's
/// secret. That two certificates can be *made* to agree with 2^64 helps nobody but the service itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificatePin(pub [u8; 16]);

impl CertificatePin {
    /// Takes the beginning of a certificate's fingerprint, its SHA-256 digest.
    pub fn of_fingerprint(fingerprint: &[u8; 32]) -> Self {
        let mut pin = [0; 16];
        pin.copy_from_slice(&fingerprint[..16]);
        Self(pin)
    }
}

/// As hex digits, the first half of what tools print as the fingerprint.
impl fmt::Display for CertificatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CertificatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificatePin({self})")
    }
}

/// Why a join link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadJoinFragment {
    /// The checksum does not match, or the key is none.
    #[error("the join link was altered: copy it again, whole")]
    Altered,
    /// Not base64url.
    #[error("the join link holds characters that do not belong there: copy it again")]
    Encoding,
    /// Its time is over.
    #[error("the join link has expired: ask the host for a new one")]
    Expired,
    /// Made by a program that speaks another form.
    #[error("the join link has form {0}, this program knows form {FORM}: update it")]
    Form(u8),
    /// Too short or too long.
    #[error("the join link is not complete: copy it again, whole")]
    Length,
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadJoinFragment> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(BadJoinFragment::Length)?;
        self.0 = rest;
        Ok(*field)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let digest = Sha256::new_with_prefix(b"beach/2/link").chain_update(bytes).finalize();
    [digest[0], digest[1]]
}

const FORM: u8 = 2;
const FLAG_READ_ONLY: u8 = 1;
const FLAG_EXPIRES: u8 = 2;
const FLAG_PINNED: u8 = 4;
const MAX_LEN: usize = 71;
/// A pasted page is refused before it is decoded.
const MAX_TEXT: usize = 256;

#[cfg(test)]
#[path = "join_fragment_tests.rs"]
mod tests;
