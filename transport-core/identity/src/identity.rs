//! An endpoint's key pair.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};

use crate::{Key, NoEntropy, PublicKey, Signature, random_bytes};

/// The key pair of one endpoint: fresh for each session at a viewer unless it enters anew, kept for the session's life at the host.
///
/// One Ed25519 key signs, and in its Montgomery form agrees on secrets and is the static key of the Noise handshake.
/// That both uses of one key are safe together is shown by Thormarker, "On using the same key pair for
/// Ed25519 and an X25519 based KEM" (2021).
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Draws a fresh key pair from the operating system.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when it has no randomness to give.
    pub fn random() -> Result<Self, NoEntropy> {
        random_bytes().map(|seed| Self::from_seed(&seed))
    }

    /// Takes the 32 bytes of a private key (RFC 8032 §5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Shows the 32 bytes of the private key, for a host that keeps its session over a restart.
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Returns the half that others may know.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key())
    }

    /// Signs a message (RFC 8032, pure Ed25519).
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// Agrees with another endpoint on 32 bytes that both compute and nobody else can (RFC 7748 §6.1). Derive keys from
    /// them; they are none.
    pub fn agree(&self, other: &PublicKey) -> Key {
        let point = curve25519_dalek::MontgomeryPoint(other.x25519());
        Key::new(point.mul_clamped(*self.x25519()).to_bytes())
    }

    /// Returns the X25519 private key of the same pair, for a Noise handshake.
    pub fn x25519(&self) -> Key {
        Key::new(self.0.to_scalar_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_and_its_key_alone() {
        let [a, b] = [[1; 32], [2; 32]].map(|seed| Identity::from_seed(&seed));
        let signature = a.sign(b"message");
        assert!(a.public().verify(b"message", &signature));
        assert!(!a.public().verify(b"massage", &signature));
        assert!(!b.public().verify(b"message", &signature));
        for bit in 0..512 {
            let mut altered = signature;
            altered.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!a.public().verify(b"message", &altered), "bit {bit}");
        }
    }

    #[test]
    fn both_sides_agree_on_what_nobody_else_computes() {
        let [a, b, c] = [[1; 32], [2; 32], [3; 32]].map(|seed| Identity::from_seed(&seed));
        assert_eq!(a.agree(&b.public()), b.agree(&a.public()));
        assert_ne!(a.agree(&b.public()), c.agree(&b.public()));
    }

    #[test]
    fn the_two_forms_of_a_key_belong_to_one_pair() {
        let identity = Identity::from_seed(&[7; 32]);
        let base = curve25519_dalek::constants::X25519_BASEPOINT;
        assert_eq!(base.mul_clamped(*identity.x25519()).to_bytes(), identity.public().x25519());
    }

    #[test]
    fn a_key_pair_survives_its_seed_and_no_two_are_drawn_alike() {
        let [a, b] = [(), ()].map(|()| Identity::random().expect("the system has randomness"));
        assert_ne!(a.public(), b.public());
        assert_eq!(Identity::from_seed(a.expose_seed()).public(), a.public());
        assert_eq!(Identity::from_seed(&[7; 32]).expose_seed(), &[7; 32]);
    }

    #[test]
    fn debug_shows_no_private_key() {
        let shown = format!("{:?}", Identity::from_seed(&[0xAB; 32]));
        assert!(!shown.contains("abab") && shown.len() < 40, "{shown}");
    }
}
