//! The session secret, the host's static key, and the keys derived from them.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What everybody in a session knows and nobody else: 256 random bits, carried in the fragment of
/// the join link. It is split by label, so that no two uses share a key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SessionSecret([u8; 32]);

impl SessionSecret {
    /// Draws a fresh secret from the operating system.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when the operating system has none to give.
    pub fn random() -> Result<Self, NoEntropy> {
        random_bytes().map(Self)
    }

    /// Takes the 32 bytes of a secret made elsewhere. They must be random: a passphrase is not.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Shows the 32 bytes, for the join link and nothing else.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Derives the pre-shared key of the Noise handshake.
    pub fn noise_psk(&self) -> Key {
        self.derive(LABEL_NOISE_PSK)
    }

    /// Derives the key that seals signaling envelopes.
    pub fn signaling_seal(&self) -> Key {
        self.derive(LABEL_SIGNALING_SEAL)
    }

    /// Derives the membership verifier: the MAC key the host registers with the control plane. It
    /// proves knowledge of the secret and opens nothing.
    pub fn membership_verifier(&self) -> Key {
        self.derive(LABEL_MEMBERSHIP)
    }

    fn derive(&self, label: &[u8]) -> Key {
        expand(&Hkdf::<Sha256>::new(None, &self.0), label)
    }
}

/// Constant in time, so that comparing tells nothing about where two secrets differ.
impl PartialEq for SessionSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SessionSecret {}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(…)")
    }
}

/// A derived 32-byte key. Wiped when dropped, never printed.
pub type Key = Zeroizing<[u8; 32]>;

/// The host's static key pair (X25519). One per session, kept by the host alone.
#[derive(Clone)]
pub struct HostKey(StaticSecret);

impl HostKey {
    /// Draws a fresh key pair from the operating system.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when the operating system has none to give.
    pub fn random() -> Result<Self, NoEntropy> {
        random_bytes().map(Self::from_bytes)
    }

    /// Takes the 32 bytes of a private key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(StaticSecret::from(bytes))
    }

    /// Returns the half that goes into the join link.
    pub fn public(&self) -> HostPublicKey {
        HostPublicKey(PublicKey::from(&self.0).to_bytes())
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({:?})", self.public())
    }
}

/// The public half of a [`HostKey`]: 32 bytes, X25519.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostPublicKey(pub [u8; 32]);

/// The first four bytes: enough to tell two apart.
impl fmt::Debug for HostPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "HostPublicKey({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

/// The operating system has no random numbers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no random numbers from the operating system")]
pub struct NoEntropy(#[source] getrandom::Error);

/// Draws key material. The one place in this crate that asks the operating system for randomness
/// by itself; everything that only needs to be unpredictable to tests takes a seed.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoEntropy)?;
    Ok(bytes)
}

/// Expands a key under `label`.
pub(super) fn expand(hkdf: &Hkdf<Sha256>, label: &[u8]) -> Key {
    let mut key = Key::default();
    // 32 bytes are one block of SHA-256; HKDF refuses only beyond 255 of them (RFC 5869 §2.3).
    hkdf.expand(label, key.as_mut_slice()).expect("one block");
    key
}

/// Labels of RFC 5869's `info`. Part of the wire: the control plane and other clients use them too.
const LABEL_NOISE_PSK: &[u8] = b"beach/1/noise-psk";
const LABEL_SIGNALING_SEAL: &[u8] = b"beach/1/signaling-seal";
const LABEL_MEMBERSHIP: &[u8] = b"beach/1/membership";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::testing::hex;

    #[test]
    fn each_label_gives_its_own_key_and_the_wire_is_pinned() {
        // Computed with Python's hmac: HKDF-SHA256, no salt.
        let secret = SessionSecret::from_bytes([7; 32]);
        assert_eq!(
            hex(&*secret.noise_psk()),
            "43afebb9350df341718c5c08394bdade612ae582fe6c5319651a3af73137222a"
        );
        assert_eq!(
            hex(&*secret.signaling_seal()),
            "49a6506ca04a94835f536f25191c1c15eae8a062c8b55759a224f2cc88aa5ce5"
        );
        assert_eq!(
            hex(&*secret.membership_verifier()),
            "1169c60182b544cd2923cdaad79f417764eccab38546286e5fd6bf992acc9254"
        );
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = SessionSecret::from_bytes([0xAB; 32]);
        assert_eq!(format!("{secret:?}"), "SessionSecret(…)");
        let key = HostKey::from_bytes([0xAB; 32]);
        let printed = format!("{key:?}");
        assert!(!printed.contains("abab") && printed.len() < 50, "{printed}");
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(SessionSecret::random().unwrap(), SessionSecret::random().unwrap());
        assert_ne!(HostKey::random().unwrap().public(), HostKey::random().unwrap().public());
    }
}
