//! What a finished handshake leaves: keys for both directions, and six digits to compare.

use std::fmt;

use beach_identity::Key;
use hkdf::Hkdf;
use sha2::Sha256;

use super::{cipher::Suite, seal::Chain};

/// The keys of one link. They are used up by the seal and cannot be looked at.
pub struct SessionKeys {
    pub(super) send: DirectionKeys,
    pub(super) receive: DirectionKeys,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(…)")
    }
}

/// The chains of both lanes in one direction.
pub(super) struct DirectionKeys {
    pub(super) reliable: Chain,
    pub(super) datagram: Chain,
}

impl DirectionKeys {
    pub(super) fn new(suite: Suite, split: &[u8; 32], handshake_hash: &[u8]) -> Self {
        let chain = |lane| Chain::new(suite, split, handshake_hash, lane);
        Self { reliable: chain(b"beach/1/lane/reliable"), datagram: chain(b"beach/1/lane/datagram") }
    }
}

/// Six digits for two people to compare. They differ, but for one chance in a million, if somebody
/// sits between the two ends; and they change with each handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortAuth(u32);

impl ShortAuth {
    pub(super) fn new(handshake_hash: &[u8]) -> Self {
        let key = expand(&Hkdf::<Sha256>::new(None, handshake_hash), b"beach/1/short-auth");
        let (eight, _) = key.split_first_chunk().expect("32 bytes hold 8");
        Self((u64::from_be_bytes(*eight) % 1_000_000) as u32)
    }
}

impl fmt::Display for ShortAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl fmt::Debug for ShortAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortAuth({self})")
    }
}

/// Expands a key under `label`.
pub(crate) fn expand(hkdf: &Hkdf<Sha256>, label: &[u8]) -> Key {
    let mut key = Key::default();
    // 32 bytes are one block of SHA-256; HKDF refuses only beyond 255 of them (RFC 5869 §2.3).
    hkdf.expand(label, key.as_mut_slice()).expect("one block");
    key
}
