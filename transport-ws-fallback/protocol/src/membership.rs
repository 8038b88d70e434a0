//! Proof that an endpoint knows a session's secret, without showing it.
//!
//! The host registers a [`Verifier`] derived from the secret; everybody who asks for a token or
//! enters the signaling room sends a fresh MAC under it. The message that is authenticated:
//!
//! | offset | length | type | field |
//! |---|---|---|---|
//! | 0 | 18 | ASCII | `beach/1/membership` |
//! | 18 | 1 | u8 | 0 |
//! | 19 | n | ASCII | purpose: `token` or `signaling` |
//! | 19+n | 1 | u8 | 0 |
//! | 20+n | 16 | bytes | session id |
//! | 36+n | 16 | bytes | peer id |
//! | 52+n | 1 | u8 | role: 0 viewer, 1 host |
//! | 53+n | 8 | u64 be | Unix seconds |
//! | 61+n | 16 | bytes | nonce |

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{encoding::base64url_array, token::Role};

/// How far a proof's clock may be from the verifier's.
pub const FRESHNESS: Duration = Duration::from_secs(120);

/// The MAC key of a session, `HKDF-SHA256(session secret, info = "beach/1/membership")`. Opens
/// nothing; whoever has it can enter the session's room, so it is never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verifier(#[serde(with = "base64url_array")] [u8; 32]);

impl Verifier {
    /// Takes the 32 derived bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Shows the 32 bytes, for a store that keeps them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Proves membership of `session` for one `purpose`, once: `nonce` is 16 fresh random bytes.
    pub fn prove(
        &self,
        purpose: Purpose,
        session: Uuid,
        member: Member,
        now: SystemTime,
        nonce: [u8; 16],
    ) -> MembershipProof {
        let timestamp = unix_seconds(now);
        let mac = self.mac(purpose, session, member, timestamp, &nonce).finalize().into_bytes().into();
        MembershipProof { peer_id: member.peer_id, role: member.role, timestamp, nonce, mac }
    }

    /// Checks a proof: constant in time, fresh within [`FRESHNESS`] either way.
    ///
    /// # Errors
    ///
    /// [`MembershipError`]. Whether the nonce was seen before is for the caller to remember, for
    /// twice [`FRESHNESS`].
    pub fn check(
        &self,
        purpose: Purpose,
        session: Uuid,
        proof: &MembershipProof,
        now: SystemTime,
    ) -> Result<(), MembershipError> {
        self.mac(purpose, session, proof.member(), proof.timestamp, &proof.nonce)
            .verify_slice(&proof.mac)
            .map_err(|_| MembershipError::Mac)?;
        if unix_seconds(now).abs_diff(proof.timestamp) > FRESHNESS.as_secs() {
            return Err(MembershipError::Stale);
        }
        Ok(())
    }

    fn mac(
        &self,
        purpose: Purpose,
        session: Uuid,
        member: Member,
        timestamp: u64,
        nonce: &[u8; 16],
    ) -> Hmac<Sha256> {
        // HMAC takes keys of any length (RFC 2104 §2).
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key length is legal");
        mac.update(b"beach/1/membership\0");
        mac.update(purpose.label().as_bytes());
        mac.update(&[0]);
        mac.update(session.as_bytes());
        mac.update(member.peer_id.as_bytes());
        mac.update(&[match member.role {
            Role::Viewer => 0,
            Role::Host => 1,
        }]);
        mac.update(&timestamp.to_be_bytes());
        mac.update(nonce);
        mac
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// Who proves membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The endpoint.
    pub peer_id: Uuid,
    /// Host or viewer.
    pub role: Role,
}

/// What a proof is for; a proof for one purpose is worthless for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Entering the signaling room.
    Signaling,
    /// Asking for a fallback token or TURN credentials.
    Token,
}

impl Purpose {
    /// Returns its name in the MAC.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Signaling => "signaling",
            Self::Token => "token",
        }
    }
}

/// A proof as it travels: `{"peer_id", "role", "timestamp", "nonce", "mac"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipProof {
    /// The endpoint.
    pub peer_id: Uuid,
    /// Host or viewer.
    pub role: Role,
    /// When, Unix seconds.
    pub timestamp: u64,
    /// 16 fresh bytes, unpadded base64url; each is accepted once.
    #[serde(with = "base64url_array")]
    pub nonce: [u8; 16],
    /// HMAC-SHA256, unpadded base64url.
    #[serde(with = "base64url_array")]
    pub mac: [u8; 32],
}

impl MembershipProof {
    /// Returns who proves.
    pub const fn member(&self) -> Member {
        Member { peer_id: self.peer_id, role: self.role }
    }
}

/// A proof that does not hold. The control plane answers both with `membership_invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Made with another secret, or altered.
    #[error("the proof does not match the session")]
    Mac,
    /// Too old, or the clocks are too far apart.
    #[error("the proof is not fresh")]
    Stale,
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
