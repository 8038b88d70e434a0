//! Envelopes that nobody but the two ends can read or make: neither the signaling service nor another viewer.

use std::{fmt, sync::Arc};

use beach_identity::{Identity, LinkId, LinkSecret, PublicKey, random_bytes};
use bytes::Bytes;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;

use super::pairs::Pairs;
use crate::{
    ids::{PeerId, SessionId},
    secure::{LinkSecrets, keys::expand},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Largest sealed envelope in bytes: an SDP with its candidates is 2–4 KiB.
pub const MAX_ENVELOPE: usize = 32 * 1024;

/// How far an envelope's time may be from ours, either way: two minutes of clock error or delay.
const FRESHNESS: Duration = Duration::from_secs(120);

/// Seals and opens the envelopes of one endpoint, each between a viewer and the host.
///
/// | offset | length | field |
/// |---|---|---|
/// | 0 | 1 | version, 2 |
/// | 1 | 32 | sender's public key, Ed25519 |
/// | 33 | 8 | link id |
/// | 41 | 24 | XChaCha20 nonce, random |
/// | 65 | 8 + n | sealed: Unix seconds `u64` big-endian, then the plaintext |
/// | 73 + n | 16 | Poly1305 tag |
///
/// The key is HKDF-SHA256 of what the two keys agree on (X25519), salted by the link's secret, with `beach/2/signaling`,
/// session, viewer's key and host's key as its info. The associated data is the label `beach/2/signaling`, the envelope's
/// first 41 bytes, session, sender and recipient (16 bytes each), so an envelope cannot be reflected or delivered to
/// another peer.
///
/// A host answers a viewer under the key and the link it last heard from it under.
pub struct Sealer {
    identity: Identity,
    local: PeerId,
    /// The session's host: this endpoint, or the only one it speaks to.
    host: PublicKey,
    session: SessionId,
    links: Arc<dyn LinkSecrets>,
    pairs: Pairs,
}

/// An envelope that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The key its sender holds.
    pub key: PublicKey,
    /// The link whose secret its sender holds.
    pub link: LinkId,
    /// What it said.
    pub plaintext: Vec<u8>,
}

impl Sealer {
    /// Speaks as a viewer, to the host of its link and nobody else.
    pub fn joiner(identity: Identity, host: PublicKey, link: LinkSecret) -> Self {
        let mut sealer = Self::new(identity, host, Arc::new(link.clone()));
        let cipher = sealer.cipher(&host, &link);
        sealer.pairs.introduce(PeerId::of(&host), host, link.id(), cipher);
        sealer
    }

    /// Speaks as the host, to those who hold one of `links`.
    pub fn host(identity: Identity, links: Arc<dyn LinkSecrets>) -> Self {
        let host = identity.public();
        Self::new(identity, host, links)
    }

    fn new(identity: Identity, host: PublicKey, links: Arc<dyn LinkSecrets>) -> Self {
        let (local, session) = (PeerId::of(&identity.public()), SessionId::of_host(&host));
        Self { identity, local, host, session, links, pairs: Pairs::default() }
    }

    /// Returns the name of the endpoint that speaks.
    pub fn local(&self) -> PeerId {
        self.local
    }

    /// Seals `plaintext` for `to`.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLarge`]; [`SealError::UnknownPeer`] for one that has not been heard yet;
    /// [`SealError::UnknownLink`] when the link it came by was revoked since; [`SealError::NoRandomness`] when the
    /// system has none.
    pub fn seal(&mut self, now: SystemTime, to: PeerId, plaintext: &[u8]) -> Result<Bytes, SealError> {
        let nonce = random_bytes().map_err(|_| SealError::NoRandomness)?;
        self.seal_with(nonce, now, to, plaintext)
    }

    /// Seals under a nonce that must be new for each call.
    fn seal_with(
        &mut self,
        nonce: [u8; NONCE],
        now: SystemTime,
        to: PeerId,
        plaintext: &[u8],
    ) -> Result<Bytes, SealError> {
        if plaintext.len() + OVERHEAD > MAX_ENVELOPE {
            return Err(SealError::TooLarge);
        }
        let link = self.pairs.get(to).ok_or(SealError::UnknownPeer)?.link;
        if self.links.secret(link).is_none() {
            self.forget_revoked();
            return Err(SealError::UnknownLink);
        }
        let pair = self.pairs.get(to).ok_or(SealError::UnknownPeer)?;
        let mut envelope = Vec::with_capacity(OVERHEAD + plaintext.len());
        envelope.push(VERSION);
        envelope.extend_from_slice(self.identity.public().as_bytes());
        envelope.extend_from_slice(&link.0);
        let aad = self.associated_data(&envelope, self.local, to);
        let message = [&unix_seconds(now).to_be_bytes(), plaintext].concat();
        let sealed = pair
            .cipher
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: &message, aad: &aad })
            .map_err(|_| SealError::TooLarge)?;
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        Ok(envelope.into())
    }

    /// Opens an envelope that the room says came from `from`.
    ///
    /// # Errors
    ///
    /// [`SealError`]; nothing is remembered unless the tag verifies.
    pub fn open(&mut self, now: SystemTime, from: PeerId, envelope: &[u8]) -> Result<Opened, SealError> {
        if envelope.len() > MAX_ENVELOPE {
            return Err(SealError::TooLarge);
        }
        let (head, rest) = envelope.split_first_chunk::<HEAD>().ok_or(SealError::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Malformed)?;
        let (key, link) = read_head(head)?;
        if !self.may_be(&key, from) {
            return Err(SealError::ForeignKey);
        }
        let Some(secret) = self.links.secret(link) else {
            self.forget_revoked();
            return Err(SealError::UnknownLink);
        };
        let cipher = match self.pairs.get(from) {
            Some(pair) if (pair.key, pair.link) == (key, link) => pair.cipher.clone(),
            _ => self.cipher(&key, &secret),
        };
        let aad = self.associated_data(head, from, self.local);
        let opened = cipher
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| SealError::Forged)?;
        let (sent, plaintext) = opened.split_first_chunk::<8>().ok_or(SealError::Malformed)?;
        if u64::from_be_bytes(*sent).abs_diff(unix_seconds(now)) > FRESHNESS.as_secs() {
            return Err(SealError::Stale);
        }
        if self.pairs.get(from).is_none() {
            self.forget_revoked();
        }
        if !self.pairs.heard(from, (key, link), cipher, *nonce) {
            return Err(SealError::Replayed);
        }
        Ok(Opened { key, link, plaintext: plaintext.to_vec() })
    }

    /// Forgets a viewer that will not be answered again. A viewer does not forget its host.
    ///
    /// What it said within the last two minutes could then be replayed to this endpoint, so this is for one that was
    /// removed or is gone for good, and not for one that the room says left.
    pub fn forget(&mut self, peer: PeerId) {
        if self.is_host() {
            self.pairs.forget(peer);
        }
    }

    /// Forgets those whose link is not in the session any more.
    fn forget_revoked(&mut self) {
        let links = &self.links;
        self.pairs.retain_links(|link| links.secret(link).is_some());
    }

    fn is_host(&self) -> bool {
        self.identity.public() == self.host
    }

    /// Says whether the holder of `key` is the peer the room says, and one that this endpoint speaks with.
    fn may_be(&self, key: &PublicKey, from: PeerId) -> bool {
        PeerId::of(key) == from && (self.is_host() != (*key == self.host))
    }

    fn cipher(&self, peer: &PublicKey, link: &LinkSecret) -> XChaCha20Poly1305 {
        let viewer = if self.is_host() { *peer } else { self.identity.public() };
        let info = [LABEL, self.session.as_bytes(), viewer.as_bytes(), self.host.as_bytes()].concat();
        let (salt, agreed) = (link.signaling_salt(), self.identity.agree(peer));
        let key = expand(&Hkdf::<Sha256>::new(Some(&*salt), &*agreed), &info);
        XChaCha20Poly1305::new((&*key).into())
    }

    fn associated_data(&self, head: &[u8], from: PeerId, to: PeerId) -> Vec<u8> {
        [LABEL, head, self.session.as_bytes(), from.as_bytes(), to.as_bytes()].concat()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("session", &self.session)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// Why an envelope was not made or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Its sender's key does not name the peer the room says, or is not one that this endpoint speaks with.
    #[error("an envelope came from somebody else than it says")]
    ForeignKey,
    /// The tag does not verify: another secret, another key, or somebody altered it.
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
    /// Its link is not one of the session's: it never was, or it was revoked.
    #[error("an envelope names a link that is not one of this session's")]
    UnknownLink,
    /// Nothing was heard from that peer, so there is no key to seal with.
    #[error("nothing was heard from that peer yet")]
    UnknownPeer,
}

fn read_head(head: &[u8; HEAD]) -> Result<(PublicKey, LinkId), SealError> {
    let (&VERSION, rest) = head.split_first().ok_or(SealError::Malformed)? else {
        return Err(SealError::Malformed);
    };
    let (key, link) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
    let link = link.try_into().map_err(|_| SealError::Malformed)?;
    Ok((PublicKey::from_bytes(*key).map_err(|_| SealError::ForeignKey)?, LinkId(link)))
}

fn unix_seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const VERSION: u8 = 2;
/// Version, key and link id.
const HEAD: usize = 1 + 32 + 8;
pub(super) const NONCE: usize = 24;
const OVERHEAD: usize = HEAD + NONCE + 8 + 16;
const LABEL: &[u8] = b"beach/2/signaling";

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
