//! The key that the nodes of a pool share, and the proofs that somebody has it.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of all nodes of a pool. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PoolKey(String);

impl PoolKey {
    /// Takes at least 32 characters; `openssl rand -hex 32` makes 64.
    ///
    /// # Errors
    ///
    /// [`ShortKey`].
    pub fn new(text: impl Into<String>) -> Result<Self, ShortKey> {
        let key = Self(text.into());
        if key.0.len() < LEAST_CHARACTERS { Err(ShortKey) } else { Ok(key) }
    }

    /// Names the key without telling it.
    pub(super) fn name(&self) -> Name {
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&self.proof("name", &[])[..NAME_BYTES]);
        name
    }

    /// Proves that whoever says `parts` has the key. `purpose` keeps proofs of one kind from passing as another's.
    pub(super) fn proof(&self, purpose: &str, parts: &[&[u8]]) -> Proof {
        self.mac(purpose, parts).finalize().into_bytes().into()
    }

    /// Whether `proof` is that of this key, compared in constant time.
    pub(super) fn verify(&self, purpose: &str, parts: &[&[u8]], proof: &Proof) -> bool {
        self.mac(purpose, parts).verify_slice(proof).is_ok()
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC takes keys of any length (RFC 2104 §2).
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).unwrap_or_else(|never| {
            unreachable!("{never}");
        });
        // Lengths keep two different lists of parts from being one text.
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolKey(…)")
    }
}

/// A text too short for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pool key has at least 32 characters: openssl rand -hex 32")]
pub struct ShortKey;

pub(super) type Name = [u8; NAME_BYTES];
pub(super) type Proof = [u8; PROOF_BYTES];

pub(super) const NAME_BYTES: usize = 8;
/// HMAC-SHA-256, whole.
pub(super) const PROOF_BYTES: usize = 32;
/// 128 bits when each is a hexadecimal digit.
const LEAST_CHARACTERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_key_its_purpose_and_its_parts_only() {
        let (one, other) = (PoolKey::new("1".repeat(32)).unwrap(), PoolKey::new("2".repeat(32)).unwrap());
        let proof = one.proof("entry", &[b"ab", b"c"]);
        assert!(one.verify("entry", &[b"ab", b"c"], &proof));
        assert!(!other.verify("entry", &[b"ab", b"c"], &proof));
        assert!(!one.verify("owner", &[b"ab", b"c"], &proof));
        assert!(!one.verify("entry", &[b"a", b"bc"], &proof));
        assert_ne!(one.name(), other.name());
    }

    #[test]
    fn short_keys_are_refused_and_none_is_printed() {
        assert_eq!(PoolKey::new("1".repeat(31)), Err(ShortKey));
        let key = PoolKey::new("secret".repeat(6)).unwrap();
        assert_eq!(format!("{key:?}"), "PoolKey(…)");
    }
}
