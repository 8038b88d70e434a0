//! Proof of who an endpoint is and which link it holds, without showing either's secret.
//!
//! Whoever asks for a token, for TURN credentials or enters the signaling room signs with a key of its own,
//! which names it. A viewer also authenticates the same message with the [`Verifier`] of its link, which
//! the host put into the [session document](crate::session). The message:
//!
//! | offset | length | type | field |
//! |---|---|---|---|
//! | 0 | 18 | ASCII | `beach/2/membership` |
//! | 18 | 1 | u8 | 0 |
//! | 19 | n | ASCII | purpose: `signaling`, `token` or `turn` |
//! | 19+n | 1 | u8 | 0 |
//! | 20+n | 16 | bytes | session id |
//! | 36+n | 32 | bytes | the endpoint's public key |
//! | 68+n | 1 | u8 | role: 0 viewer, 1 host |
//! | 69+n | 1 | u8 | access: 1 read-only, 2 full |
//! | 70+n | 8 | bytes | link id; zeros for the host |
//! | 78+n | 8 | u64 be | Unix seconds |
//! | 86+n | 16 | bytes | nonce |

mod credentials;

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use beach_identity::{Identity, LinkId, LinkSecret, PublicKey, Signature};

pub use self::credentials::Credentials;
use crate::{
    encoding::{base64url_array, base64url_optional},
    token::{Access, Role},
};

/// How far a proof's clock may be from the verifier's.
pub const FRESHNESS: Duration = Duration::from_secs(120);

/// The MAC key of a link, derived from its secret. Opens nothing; whoever has it can enter the session's
/// room, so it is never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verifier(#[serde(with = "base64url_array")] [u8; 32]);

impl Verifier {
    /// Derives the verifier of a link.
    pub fn of(link: &LinkSecret) -> Self {
        Self(*link.verifier())
    }

    /// Takes the 32 derived bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Shows the 32 bytes, for a store that keeps them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn authenticate(&self, message: &[u8]) -> [u8; 32] {
        self.mac(message).finalize().into_bytes().into()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of any length (RFC 2104 §2).
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key length is legal");
        mac.update(message);
        mac
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// What a proof is for; a proof for one purpose is worthless for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Entering the signaling room.
    Signaling,
    /// Asking for a fallback token.
    Token,
    /// Asking for TURN credentials.
    Turn,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Signaling, Self::Token, Self::Turn];

    /// Returns its name in the message.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Signaling => "signaling",
            Self::Token => "token",
            Self::Turn => "turn",
        }
    }
}

/// A proof as it travels, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipProof {
    /// The endpoint's public key, which names it.
    pub key: PublicKey,
    /// Host or viewer.
    pub role: Role,
    /// What the endpoint asks for; a link grants its own access and no more.
    pub access: Access,
    /// The link a viewer holds; a host needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// When, Unix seconds.
    pub timestamp: u64,
    /// 16 fresh random bytes.
    #[serde(with = "base64url_array")]
    pub nonce: [u8; 16],
    /// HMAC-SHA256 of the message under the link's verifier; viewers only.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64url_optional")]
    pub mac: Option<[u8; 32]>,
    /// Signature of the message under `key`.
    pub signature: Signature,
}

impl MembershipProof {
    /// Returns the name of the endpoint, derived from its key.
    pub fn peer_id(&self) -> Uuid {
        Uuid::from_bytes(self.key.peer_id())
    }

    /// Whether the holder of `key` said all of this, for this purpose and session.
    #[must_use]
    pub fn is_signed(&self, purpose: Purpose, session: Uuid) -> bool {
        self.key.verify(&self.message(purpose, session), &self.signature)
    }

    /// Checks that the endpoint holds the link of this verifier, constant in time, and that the proof is
    /// fresh within [`FRESHNESS`] either way. A host, which holds no link, has no verifier and no MAC.
    ///
    /// # Errors
    ///
    /// [`MembershipError`]. Whether the nonce was seen before is for the caller to remember, for
    /// twice [`FRESHNESS`].
    pub fn check(
        &self,
        verifier: Option<&Verifier>,
        purpose: Purpose,
        session: Uuid,
        now: SystemTime,
    ) -> Result<(), MembershipError> {
        match (verifier, &self.mac) {
            (Some(verifier), Some(mac)) => verifier
                .mac(&self.message(purpose, session))
                .verify_slice(mac)
                .map_err(|_| MembershipError::Mac)?,
            (None, None) => {}
            _ => return Err(MembershipError::Mac),
        }
        if unix_seconds(now).abs_diff(self.timestamp) > FRESHNESS.as_secs() {
            return Err(MembershipError::Stale);
        }
        Ok(())
    }

    /// Returns what is signed and authenticated.
    pub fn message(&self, purpose: Purpose, session: Uuid) -> Vec<u8> {
        let role = match self.role {
            Role::Viewer => 0,
            Role::Host => 1,
        };
        let access = match self.access {
            Access::ReadOnly => 1,
            Access::Full => 2,
        };
        let link = self.link.map_or([0; 8], |link| link.0);
        let timestamp = self.timestamp.to_be_bytes();
        [
            &b"beach/2/membership\0"[..],
            purpose.label().as_bytes(),
            &[0],
            session.as_bytes(),
            self.key.as_bytes(),
            &[role, access],
            &link,
            &timestamp,
            &self.nonce,
        ]
        .concat()
    }
}

/// A proof that does not hold. The control plane answers both with `membership_invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Made with another link's secret, or altered.
    #[error("the proof does not match the link")]
    Mac,
    /// Too old, or the clocks are too far apart.
    #[error("the proof is not fresh")]
    Stale,
}

/// Tells a moment as proofs, tokens and session documents do.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
