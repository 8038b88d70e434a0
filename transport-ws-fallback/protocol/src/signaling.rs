//! Text messages of the signaling room, `GET /v1/signaling/{session_id}`.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    api::DEFAULT_COHORT,
    encoding::base64_bytes,
    membership::MembershipProof,
    token::{FallbackToken, Role},
};

/// Largest sealed envelope in bytes, before base64.
pub const MAX_ENVELOPE_BYTES: usize = 65_536;

/// Largest text message in bytes: an envelope as base64 and the JSON around it.
pub const MAX_MESSAGE_BYTES: usize = MAX_ENVELOPE_BYTES.div_ceil(3) * 4 + 256;

/// From a member to the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRoom {
    /// The first message, within 5 s.
    Hello {
        /// Proof of membership, purpose `signaling`.
        proof: MembershipProof,
    },
    /// Asks for a rescue grant, right behind the welcome and again while the room lasts. A room that gives none says
    /// nothing.
    Rescue(RescueRequest),
    /// An envelope for one member.
    Send {
        /// For whom.
        to: Uuid,
        /// Sealed bytes, base64.
        #[serde(with = "base64_bytes")]
        data: Bytes,
    },
    /// A message of a later revision; ignored.
    #[serde(other)]
    Unknown,
}

/// From the room to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRoom {
    /// Sealed bytes of another member.
    Envelope {
        /// Who the room says sent it; the seal proves it.
        from: Uuid,
        /// Sealed bytes, base64.
        #[serde(with = "base64_bytes")]
        data: Bytes,
    },
    /// A member entered.
    PeerJoined(RoomPeer),
    /// A member left.
    PeerLeft {
        /// Who.
        peer_id: Uuid,
    },
    /// The answer to [`Rescue`](ToRoom::Rescue): keep it instead of the one before.
    Rescue(RescueGrant),
    /// An envelope did not reach its addressee.
    Undelivered {
        /// Whom it was for.
        to: Uuid,
    },
    /// The hello was accepted.
    Welcome {
        /// Who is already there.
        peers: Vec<RoomPeer>,
    },
    /// A message of a later revision; ignored.
    #[serde(other)]
    Unknown,
}

/// What a member must show for a rescue grant, as for a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueRequest {
    /// The rollout cohort.
    pub cohort_id: String,
    /// A JWT of the identity provider. Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entitlement_proof: Option<String>,
    /// Whether the person agreed to per-session telemetry.
    #[serde(default)]
    pub telemetry_opt_in: bool,
}

impl Default for RescueRequest {
    /// Of the default cohort, without telemetry.
    fn default() -> Self {
        Self { cohort_id: DEFAULT_COHORT.to_owned(), entitlement_proof: None, telemetry_opt_in: false }
    }
}

impl fmt::Debug for RescueRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RescueRequest").field("cohort_id", &self.cohort_id).finish_non_exhaustive()
    }
}

/// A token for the case that nobody can be asked for one when it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueGrant {
    /// The token; of kind [`Rescue`](crate::token::TokenKind::Rescue).
    pub token: FallbackToken,
    /// How long it admits from here on, in seconds: no clock is needed to tell.
    pub life_secs: u64,
    /// Which relay to use; without it the client's own configuration decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_url: Option<String>,
}

/// A member of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPeer {
    /// Who.
    pub peer_id: Uuid,
    /// Host or viewer.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    #[test]
    fn the_largest_envelope_fits_the_largest_message_with_a_little_to_spare() {
        let data = Bytes::from(vec![7; MAX_ENVELOPE_BYTES]);
        let encoded = STANDARD.encode(&data).len();
        let message = serde_json::to_string(&FromRoom::Envelope { from: Uuid::max(), data }).unwrap();
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        assert_eq!(MAX_MESSAGE_BYTES, encoded + 256);
    }
}
