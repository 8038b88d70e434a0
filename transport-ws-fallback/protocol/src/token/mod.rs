//! What admits an endpoint to the relay: a short-lived JWT signed with Ed25519.
//!
//! The control plane signs ([`TokenSigner`]), clients carry ([`FallbackToken`]), the relay verifies
//! with public keys only ([`TokenVerifier`]). A token is for one session, one peer and one use.

mod error;
mod keys;
mod sign;
mod verify;

use std::fmt;

use beach_identity::LinkId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use beach_terms::{Access, Role};
pub use error::TokenError;
pub use keys::{KeyError, KeyId, PublicKey};
pub use sign::{TokenSigner, private_key_pem};
pub use verify::TokenVerifier;

/// The `typ` of a token's header, checked by hand: another JWT of the same issuer is not a token.
pub const TOKEN_TYPE: &str = "beach-fallback+jwt";

/// The `aud` of a token that was asked for when it was needed.
pub const AUDIENCE: &str = "beach-lifeguard";

/// How a client came by a token. Its audience says so, and each kind is taken only where it is meant: a relay that does
/// not know the spare ones takes neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Asked for when it was needed: [`AUDIENCE`].
    Minted,
    /// A rejoin ticket: given by a relay over an open socket, for the case that nobody can be asked when that ends.
    Rejoin,
    /// A rescue grant: given in the signaling room, for the case that nobody can be asked when it is needed.
    Rescue,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Minted, Self::Rejoin, Self::Rescue];

    /// Returns the `aud` of such a token.
    pub const fn audience(self) -> &'static str {
        match self {
            Self::Minted => AUDIENCE,
            Self::Rejoin => "beach-lifeguard-rejoin",
            Self::Rescue => "beach-lifeguard-rescue",
        }
    }

    /// Returns its longest life in seconds. Spare ones live longer, and are checked again when they are used.
    pub const fn max_life_secs(self) -> u64 {
        match self {
            Self::Minted => MAX_LIFE_SECS,
            Self::Rejoin => 900,
            Self::Rescue => 3_600,
        }
    }

    /// Returns its name in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Minted => "minted",
            Self::Rejoin => "rejoin",
            Self::Rescue => "rescue",
        }
    }

    pub(super) fn of(audience: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.audience() == audience)
    }
}

/// What a token opens: sockets of one wire version and of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// A version 1 socket, as the deployed clients open.
    V1,
    /// A version 2 socket.
    V2,
}

impl Capability {
    /// Returns its name in [`Claims::capabilities`].
    pub const fn label(self) -> &'static str {
        match self {
            Self::V1 => "fallback-ws",
            Self::V2 => "fallback-ws.2",
        }
    }
}

/// Longest life of a token that was asked for when it was needed, in seconds.
pub const MAX_LIFE_SECS: u64 = 300;

/// Clock skew that is forgiven, in seconds.
pub const LEEWAY_SECS: u64 = 5;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// The peer it was given to.
    pub sub: Uuid,
    /// The [audience](TokenKind::audience) of its kind.
    pub aud: String,
    /// The session it opens.
    pub session_id: Uuid,
    /// The rollout cohort it was counted for.
    pub cohort_id: String,
    /// Host or viewer.
    pub role: Role,
    /// What the peer may do.
    pub access: Access,
    /// By which link a viewer came: a spare token is worth nothing once the host has taken the link back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// When it was signed, Unix seconds.
    pub iat: u64,
    /// From when it is valid, Unix seconds.
    pub nbf: u64,
    /// Until when it is valid, Unix seconds; at most [`TokenKind::max_life_secs`] after `iat`.
    pub exp: u64,
    /// Its own name: the relay takes each once.
    pub jti: Uuid,
    /// What is switched on.
    pub feature_bits: FeatureBits,
    /// Contains the [`label`](Capability::label) of what it opens.
    pub capabilities: Vec<String>,
}

/// What a token switches on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureBits {
    /// The person agreed to per-session telemetry.
    pub telemetry_enabled: bool,
    /// The fallback may be used; without it the relay refuses (`missing_entitlement`).
    pub fallback_authorized: bool,
}

/// A token as clients carry it: opaque, secret, never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FallbackToken(String);

impl FallbackToken {
    /// Takes a token as the control plane returned it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// Shows it, for the hello and for verification.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FallbackToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FallbackToken(…)")
    }
}
