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
    use super::*;

    #[test]
    fn every_use_has_a_key_of_its_own_and_all_are_pinned() {
        // From Python's `hmac`: HKDF-SHA256 (RFC 5869) without a salt, one block.
        let secret = LinkSecret::from_bytes([5; 16]);
        let hex = |key: Key| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let noise = "441ab26009dd83ca9cacf7b739a1247f7aca590d945fce2f02373a99c6a24b0a";
        let signaling = "e73ab14d1c6e3361428608ac117587a6e15b92cc2c9720a753a481841f61ad09";
        let membership = "9f9f015b85ba135003e89b69d887ce3a5976de2cc8f358a1a3924b795a72a85b";
        assert_eq!(hex(secret.noise_psk()), noise);
        assert_eq!(hex(secret.signaling_salt()), signaling);
        assert_eq!(hex(secret.verifier()), membership);
        assert_eq!(secret.id().to_string(), "b086f0d9a5e5f502");
        assert_ne!(secret.id(), LinkSecret::from_bytes([6; 16]).id());
    }

    #[test]
    fn a_secret_equals_itself_alone() {
        let of = |bytes| LinkSecret::from_bytes(bytes);
        let mut last = [5; 16];
        last[15] ^= 1;
        assert!(of([5; 16]) == of([5; 16]) && of([5; 16]) != of(last) && of([5; 16]) != of([6; 16]));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", LinkSecret::from_bytes([9; 16])), "LinkSecret(…)");
    }
}
