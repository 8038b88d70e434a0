//! What a join link is made of, besides the host's key.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Key, NoEntropy, random_bytes};

/// The secret of one join link: 128 random bits. A session has one for each link, so that which link somebody
/// holds, and with it what they may do, can be proven. It is split by label: no two uses share a key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret([u8; 16]);

impl LinkSecret {
    /// Draws a fresh secret from the operating system.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when it has no randomness to give.
    pub fn random() -> Result<Self, NoEntropy> {
        random_bytes().map(Self)
    }

    /// Takes the 16 bytes of a secret made elsewhere. They must be random: a passphrase is not.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Shows the 16 bytes, for the join link and nothing else.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the name of the link. Tells nothing about the secret.
    pub fn id(&self) -> LinkId {
        let key = self.derive(b"beach/2/link-id");
        let mut id = [0; 8];
        id.copy_from_slice(&key[..8]);
        LinkId(id)
    }

    /// Derives the pre-shared key of the Noise handshake.
    pub fn noise_psk(&self) -> Key {
        self.derive(b"beach/2/noise-psk")
    }

    /// Derives what the keys of signaling envelopes are salted with.
    pub fn signaling_salt(&self) -> Key {
        self.derive(b"beach/2/signaling")
    }

    /// Derives the verifier that the host registers with the control plane: a MAC key that proves knowledge of the
    /// secret and opens nothing.
    pub fn verifier(&self) -> Key {
        self.derive(b"beach/2/membership")
    }

    fn derive(&self, label: &[u8]) -> Key {
        let mut key = Key::default();
        // 32 bytes are one block of SHA-256; HKDF refuses only beyond 255 of them (RFC 5869 §2.3).
        Hkdf::<Sha256>::new(None, &self.0).expand(label, key.as_mut_slice()).expect("one block");
        key
    }
}

/// Constant in time, so that comparing tells nothing about where two secrets differ.
impl PartialEq for LinkSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LinkSecret {}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(…)")
    }
}

/// The name of a link within its session: 8 bytes, derived from its secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "crate::base64url::Bytes<8>", into = "crate::base64url::Bytes<8>")
)]
pub struct LinkId(pub [u8; 8]);

/// As hex digits, for logs and lists.
impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkId({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_use_has_a_key_of_its_own_and_the_name_is_pinned() {
        let secret = LinkSecret::from_bytes([5; 16]);
        let keys = [secret.noise_psk(), secret.signaling_salt(), secret.verifier()];
        assert_eq!(keys.iter().map(|key| **key).collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(secret.id().to_string(), "b086f0d9a5e5f502");
        assert_ne!(secret.id(), LinkSecret::from_bytes([6; 16]).id());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", LinkSecret::from_bytes([9; 16])), "LinkSecret(…)");
    }
}
