//! Bodies of the control plane's HTTP endpoints, as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{membership::MembershipProof, reason::Reason, token::FallbackToken};

/// `POST /v1/sessions`: the host publishes its [session document](crate::SignedDocument).
pub const SESSIONS_PATH: &str = "/v1/sessions";
/// `POST /v1/fallback/token`: a member asks for a token.
pub const TOKEN_PATH: &str = "/v1/fallback/token";
/// `GET /v1/signaling/{session_id}`: the signaling room, a WebSocket.
pub const SIGNALING_PATH: &str = "/v1/signaling";
/// `POST /turn/credentials`: a member asks for TURN servers.
pub const TURN_PATH: &str = "/turn/credentials";

/// The cohort of everybody who names none.
pub const DEFAULT_COHORT: &str = "public";

/// The body of `POST /v1/fallback/token`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The session the token is for. Text, so that nonsense is answered with `invalid_session_id`.
    pub session_id: String,
    /// The rollout cohort.
    #[serde(default = "default_cohort")]
    pub cohort_id: String,
    /// Name and version of the software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// A JWT of the identity provider. Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entitlement_proof: Option<String>,
    /// Whether the person agreed to per-session telemetry.
    #[serde(default)]
    pub telemetry_opt_in: bool,
    /// What the deployed clients send; never used for the guardrail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_sessions_hint: Option<u64>,
    /// Proof of membership, purpose `token`: the token's peer, role and access are its own. v1 clients have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<MembershipProof>,
}

impl TokenRequest {
    /// Asks for a session's token of the default cohort, without telemetry.
    pub fn new(session_id: Uuid, proof: MembershipProof) -> Self {
        Self {
            session_id: session_id.to_string(),
            cohort_id: default_cohort(),
            client_version: None,
            entitlement_proof: None,
            telemetry_opt_in: false,
            total_sessions_hint: None,
            proof: Some(proof),
        }
    }
}

fn default_cohort() -> String {
    DEFAULT_COHORT.to_owned()
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("cohort_id", &self.cohort_id)
            .field("client_version", &self.client_version)
            .field("entitlement_proof", &self.entitlement_proof.as_ref().map(|_| "…"))
            .field("telemetry_opt_in", &self.telemetry_opt_in)
            .finish_non_exhaustive()
    }
}

/// The answer of `POST /v1/fallback/token`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenResponse {
    /// The token.
    pub token: FallbackToken,
    /// Until when it admits, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The cohort it was counted for.
    pub cohort: String,
    /// How close the cohort is to its budget.
    pub guardrail_hint: GuardrailHint,
    /// Activations as a share of all sessions of this hour, 0 to 1.
    pub guardrail_ratio: f64,
    /// Whether that share is over the soft threshold. Tokens are minted all the same.
    pub guardrail_soft_breach: bool,
    /// What the person agreed to, repeated.
    pub telemetry_enabled: bool,
    /// Whether the token grants the fallback.
    pub fallback_authorized: bool,
    /// Which relay to use; without it the client's own configuration decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_url: Option<String>,
}

/// How close a cohort is to its budget. For display; clients decide nothing by it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GuardrailHint {
    /// Activations as a share of all sessions of this hour, 0 to 1.
    pub ratio: f64,
    /// The soft threshold, 0 to 1.
    pub threshold: f64,
    /// Whether the share is over the threshold.
    pub soft_breach: bool,
}

/// The body of `POST /turn/credentials`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRequest {
    /// The session.
    pub session_id: Uuid,
    /// Proof of membership, purpose `turn`.
    pub proof: MembershipProof,
    /// A JWT of the identity provider. Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entitlement_proof: Option<String>,
}

impl fmt::Debug for TurnRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnRequest").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// The answer of `POST /turn/credentials`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnCredentials {
    /// The user name: an expiry and a pseudonym. Empty where TURN is withheld.
    pub username: String,
    /// Its HMAC, base64. Secret.
    pub credential: String,
    /// How long they hold, seconds.
    pub ttl: u64,
    /// `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// The realm of the servers, where the operator names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// `stun:` URLs, which need no credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stun_urls: Vec<String>,
    /// Why there are no TURN servers in an answer that names STUN servers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Reason>,
}

impl fmt::Debug for TurnCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnCredentials")
            .field("ttl", &self.ttl)
            .field("urls", &self.urls)
            .field("stun_urls", &self.stun_urls)
            .field("withheld", &self.withheld)
            .finish_non_exhaustive()
    }
}

/// The answer of `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// Whether the kill switch is on.
    pub fallback_paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_no_cohort_is_of_the_public_one() {
        let request: TokenRequest = serde_json::from_str(r#"{"session_id":"x"}"#).unwrap();
        assert_eq!((request.cohort_id.as_str(), request.telemetry_opt_in), ("public", false));
    }

    #[test]
    fn stun_servers_stand_beside_turn_servers_and_without_them() {
        let earlier = r#"{"username":"1:a","credential":"c","ttl":120,"urls":["turn:a"]}"#;
        let answer: TurnCredentials = serde_json::from_str(earlier).unwrap();
        assert_eq!((answer.stun_urls.len(), answer.withheld), (0, None));
        assert_eq!(serde_json::to_string(&answer).unwrap(), earlier);
        let alone = TurnCredentials {
            stun_urls: vec!["stun:a".to_owned()],
            withheld: Some(Reason::TurnUnconfigured),
            ..TurnCredentials::default()
        };
        let json = r#"{"username":"","credential":"","ttl":0,"urls":[],"stun_urls":["stun:a"],"withheld":"turn_unconfigured"}"#;
        assert_eq!(serde_json::to_string(&alone).unwrap(), json);
    }
}
