//! Envelopes that the signaling service can neither read, alter, replay nor misdeliver.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
};

use bytes::Bytes;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use crate::{
    ids::{PeerId, SessionId},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Largest sealed envelope in bytes: an SDP with its candidates is 2–4 KiB.
pub const MAX_ENVELOPE: usize = 32 * 1024;

/// How far an envelope's time may be from ours, either way: two minutes of clock error or delay.
const FRESHNESS: Duration = Duration::from_secs(120);

/// Remembered nonces. Only a holder of the key can add one, so the bound is for a broken peer.
const REMEMBERED: usize = 4096;

/// Seals and opens the envelopes of one endpoint.
///
/// | offset | length | field |
/// |---|---|---|
/// | 0 | 1 | version, 1 |
/// | 1 | 24 | XChaCha20 nonce, random |
/// | 25 | 8 + n | sealed: Unix seconds `u64` big-endian, then the plaintext |
/// | 33 + n | 16 | Poly1305 tag |
///
/// The associated data is the label `beach/1/signaling`, session, sender and recipient (16 bytes
/// each), so an envelope cannot be reflected or delivered to another peer.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    session: SessionId,
    local: PeerId,
    seen: HashSet<[u8; NONCE]>,
    seen_in_order: VecDeque<[u8; NONCE]>,
}

impl Sealer {
    /// Takes the key derived for signaling from the session secret.
    pub fn new(key: &Zeroizing<[u8; 32]>, session: SessionId, local: PeerId) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new((&**key).into()),
            session,
            local,
            seen: HashSet::new(),
            seen_in_order: VecDeque::new(),
        }
    }

    /// Seals `plaintext` for `to`.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLarge`], or [`SealError::NoRandomness`] when the system has none.
    pub fn seal(&self, now: SystemTime, to: PeerId, plaintext: &[u8]) -> Result<Bytes, SealError> {
        if plaintext.len() + OVERHEAD > MAX_ENVELOPE {
            return Err(SealError::TooLarge);
        }
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut message = Vec::with_capacity(8 + plaintext.len());
        message.extend_from_slice(&unix_seconds(now).to_be_bytes());
        message.extend_from_slice(plaintext);
        let aad = self.associated_data(self.local, to);
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: &message, aad: &aad })
            .map_err(|_| SealError::TooLarge)?;
        Ok([&[VERSION][..], &nonce, &sealed].concat().into())
    }

    /// Opens an envelope that the room says came from `from`.
    ///
    /// # Errors
    ///
    /// [`SealError`]; nothing is remembered unless the tag verifies.
    pub fn open(&mut self, now: SystemTime, from: PeerId, envelope: &[u8]) -> Result<Vec<u8>, SealError> {
        if envelope.len() > MAX_ENVELOPE {
            return Err(SealError::TooLarge);
        }
        let (&VERSION, rest) = envelope.split_first().ok_or(SealError::Malformed)? else {
            return Err(SealError::Malformed);
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Malformed)?;
        let aad = self.associated_data(from, self.local);
        let opened = self
            .cipher
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| SealError::Forged)?;
        let (sent, plaintext) = opened.split_first_chunk::<8>().ok_or(SealError::Malformed)?;
        if u64::from_be_bytes(*sent).abs_diff(unix_seconds(now)) > FRESHNESS.as_secs() {
            return Err(SealError::Stale);
        }
        if !self.seen.insert(*nonce) {
            return Err(SealError::Replayed);
        }
        self.seen_in_order.push_back(*nonce);
        if self.seen_in_order.len() > REMEMBERED
            && let Some(oldest) = self.seen_in_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        Ok(plaintext.to_vec())
    }

    fn associated_data(&self, from: PeerId, to: PeerId) -> Vec<u8> {
        [LABEL, self.session.as_bytes(), from.as_bytes(), to.as_bytes()].concat()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Why an envelope was not made or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The tag does not verify: another secret, or somebody altered it.
    #[error("an envelope was sealed with another secret or altered")]
    Forged,
    /// Not an envelope of a version this side speaks.
    #[error("not an envelope of version {VERSION}")]
    Malformed,
    /// The system gave no random bytes.
    #[error("the system has no randomness")]
    NoRandomness,
    /// Seen before.
    #[error("an envelope was replayed")]
    Replayed,
    /// Its time is more than two minutes from ours.
    #[error("an envelope is more than {} s old or early: check the clocks of both machines", FRESHNESS.as_secs())]
    Stale,
    /// Larger than [`MAX_ENVELOPE`].
    #[error("an envelope holds at most {MAX_ENVELOPE} bytes")]
    TooLarge,
}

fn unix_seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const VERSION: u8 = 1;
const NONCE: usize = 24;
const OVERHEAD: usize = 1 + NONCE + 8 + 16;
const LABEL: &[u8] = b"beach/1/signaling";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn sealers() -> (Sealer, Sealer, PeerId, PeerId) {
        let key = Zeroizing::new([7; 32]);
        let (session, a, b) = (SessionId::random(), PeerId::random(), PeerId::random());
        (Sealer::new(&key, session, a), Sealer::new(&key, session, b), a, b)
    }

    #[test]
    fn opens_once_and_never_again() {
        let (alice, mut bob, a, b) = sealers();
        let envelope = alice.seal(NOW, b, b"offer").unwrap();
        assert_eq!(bob.open(NOW, a, &envelope).unwrap(), b"offer");
        assert_eq!(bob.open(NOW, a, &envelope), Err(SealError::Replayed));
    }

    #[test]
    fn every_altered_bit_and_every_shorter_envelope_is_refused() {
        let (alice, mut bob, a, b) = sealers();
        let envelope = alice.seal(NOW, b, b"offer").unwrap();
        for bit in 0..envelope.len() * 8 {
            let mut altered = envelope.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(bob.open(NOW, a, &altered).is_err(), "bit {bit}");
        }
        for length in 0..envelope.len() {
            assert!(bob.open(NOW, a, &envelope[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn an_envelope_is_bound_to_sender_and_recipient() {
        let (mut alice, mut bob, a, b) = sealers();
        let envelope = alice.seal(NOW, b, b"offer").unwrap();
        assert_eq!(bob.open(NOW, b, &envelope), Err(SealError::Forged));
        assert_eq!(alice.open(NOW, b, &envelope), Err(SealError::Forged), "reflected");
        assert!(bob.open(NOW, a, &envelope).is_ok());
    }

    #[test]
    fn two_minutes_either_way_are_fresh_and_a_second_more_is_not() {
        let (alice, mut bob, a, b) = sealers();
        for (sent, read, fresh) in [(0, 120, true), (0, 121, false), (120, 0, true), (121, 0, false)] {
            let at = |seconds| NOW + Duration::from_secs(seconds);
            let envelope = alice.seal(at(sent), b, b"x").unwrap();
            assert_eq!(bob.open(at(read), a, &envelope).is_ok(), fresh, "{sent} {read}");
        }
    }
}
