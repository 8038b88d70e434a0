//! The half of a key pair that others know, and the names derived from it.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

/// The public key of an [`Identity`](crate::Identity): 32 bytes, Ed25519 (RFC 8032 §5.1.2), checked to be a point of
/// large order, so that whatever is agreed with it is secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "crate::base64url::Bytes<32>", into = "crate::base64url::Bytes<32>")
)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub(crate) fn of(key: VerifyingKey) -> Self {
        Self(key.to_bytes())
    }

    /// Reads 32 bytes.
    ///
    /// # Errors
    ///
    /// [`BadPublicKey`] for what is no point of the curve, and for the few points of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, BadPublicKey> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| BadPublicKey)?;
        if key.is_weak() { Err(BadPublicKey) } else { Ok(Self(bytes)) }
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the name of the endpoint: the first 16 bytes of SHA-256 over `beach/2/peer` and the key. Whoever claims
    /// it must hold the key.
    pub fn peer_id(&self) -> [u8; 16] {
        self.name(b"beach/2/peer")
    }

    /// Returns the name of the session whose host holds the key: as [`peer_id`](Self::peer_id), over
    /// `beach/2/session`.
    pub fn session_id(&self) -> [u8; 16] {
        self.name(b"beach/2/session")
    }

    /// Whether the holder of the key signed this message. Strict: a signature has one form.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }

    /// Returns the key in its Montgomery form (RFC 7748 §4.1), for a Noise handshake.
    pub fn x25519(&self) -> [u8; 32] {
        // Every constructor has checked that it is a point.
        VerifyingKey::from_bytes(&self.0).map_or([0; 32], |key| key.to_montgomery().to_bytes())
    }

    fn name(&self, label: &[u8]) -> [u8; 16] {
        let digest = Sha256::new_with_prefix(label).chain_update(self.0).finalize();
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        name
    }
}

/// The first four bytes: enough to tell two apart.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "PublicKey({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

/// An Ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "crate::base64url::Bytes<64>", into = "crate::base64url::Bytes<64>")
)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

/// Not a usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key")]
pub struct BadPublicKey;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Identity;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_names_derived_from_a_key_are_pinned() {
        let key = Identity::from_seed(&[1; 32]).public();
        assert_eq!(hex(key.as_bytes()), "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
        assert_eq!(hex(&key.peer_id()), "790e1cdf8ab4ded277e28ed4b3bd7eb2");
        assert_eq!(hex(&key.session_id()), "2e0f9c63b4e0668427ed6582b484fe30");
    }

    #[test]
    fn points_of_small_order_and_what_is_no_point_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut no_point = [0; 32];
        no_point[0] = 2;
        for bytes in [identity, [0; 32], no_point] {
            assert_eq!(PublicKey::from_bytes(bytes), Err(BadPublicKey), "{}", hex(&bytes));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_a_key_or_an_error(bytes: [u8; 32], half: [u8; 32]) {
            if let Ok(key) = PublicKey::from_bytes(bytes) {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&half);
                signature[32..].copy_from_slice(&half);
                prop_assert!(!key.verify(b"x", &Signature(signature)));
                prop_assert_ne!(key.x25519(), [0; 32]);
            }
        }
    }
}
