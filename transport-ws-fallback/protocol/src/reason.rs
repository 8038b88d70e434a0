//! Why the control plane says no: one closed set for HTTP bodies, metrics and people.

use beach_terms::Text;
use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal, $status:literal, $words:literal;)+) => {
        /// Why the control plane says no.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $($(#[$doc])* $name,)+
            /// A reason of a later revision.
            #[serde(other)]
            Unknown,
        }

        impl Reason {
            /// Every reason a control plane gives.
            pub const ALL: &[Reason] = &[$(Reason::$name),+];

            /// Returns its name on the wire, in metrics and logs.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ Self::Unknown => "unknown" }
            }

            /// Returns the HTTP status it travels with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ Self::Unknown => 500 }
            }

            /// Says it to a person.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)+
                    Self::Unknown => "the control plane refused for a reason this version does not know",
                }
            }
        }
    };
}

reasons! {
    /// The proof asks for more than its link grants.
    AccessDenied = "access_denied", 403,
        "this link lets you watch and not type; ask the host for another one";
    /// No entitlement proof, and the cohort needs one.
    EntitlementRequired = "entitlement_required", 401,
        "the fallback relay needs an entitlement; sign in with Beach Auth, or pass an entitlement proof";
    /// The proof lacks the entitlement.
    EntitlementMissing = "entitlement_missing", 403,
        "this account is not entitled to the fallback relay";
    /// The proof does not verify.
    EntitlementInvalid = "entitlement_invalid", 401,
        "the entitlement proof is invalid or has expired; sign in again";
    /// The entitlement service cannot be asked.
    EntitlementUnavailable = "entitlement_unavailable", 503,
        "entitlements cannot be checked at the moment; staying on WebRTC retries";
    /// The cohort's flag is off.
    FallbackDisabled = "fallback_disabled", 403,
        "the fallback relay is not enabled for this cohort; staying on WebRTC retries";
    /// The kill switch is on.
    FallbackPaused = "fallback_paused", 403,
        "the operator has paused the fallback relay; staying on WebRTC retries";
    /// The control plane failed.
    Internal = "internal", 500,
        "the control plane failed; trying again later";
    /// The request is not what it should be.
    InvalidRequest = "invalid_request", 400,
        "the control plane could not read the request";
    /// Not a session id.
    InvalidSessionId = "invalid_session_id", 400,
        "this is not a session id";
    /// The link's time is over, or it was used as often as it may be.
    LinkExpired = "link_expired", 403,
        "this join link has expired; ask the host for a new one";
    /// The link was taken back while its holder was inside.
    LinkRevoked = "link_revoked", 403,
        "the host has revoked the link you came by";
    /// The session has no such link, or has it no more.
    LinkUnknown = "link_unknown", 403,
        "the session does not know this join link: it was revoked, or it is not complete";
    /// The membership proof is wrong, stale or used.
    MembershipInvalid = "membership_invalid", 401,
        "the proof of membership was not accepted; check the join link and this machine's clock";
    /// Another key than the host's says that it is the host.
    NotHost = "not_host", 403,
        "only the key that began a session can host it";
    /// The host keeps this peer out.
    PeerRemoved = "peer_removed", 403,
        "the host has removed you from the session";
    /// Too many requests.
    RateLimited = "rate_limited", 429,
        "too many requests; trying again later";
    /// A newer document of the session is known, or another one of the same revision.
    RevisionStale = "revision_stale", 409,
        "the control plane knows a newer state of this session";
    /// The session's id is not the one its host's key names.
    SessionMismatch = "session_mismatch", 400,
        "the session's id does not belong to the host's key";
    /// A proof or a document is not signed by the key it names, or was altered.
    SignatureInvalid = "signature_invalid", 401,
        "the signature was not accepted: what was sent is not what was signed";
    /// The store cannot be reached.
    StoreUnavailable = "store_unavailable", 503,
        "the control plane has lost its store; trying again later";
    /// The account may not use TURN.
    TurnUnentitled = "turn_unentitled", 403,
        "this account is not entitled to TURN servers";
    /// There are no TURN servers.
    TurnUnconfigured = "turn_unconfigured", 503,
        "no TURN server is configured";
    /// Nobody registered the session, or it has expired.
    UnknownSession = "unknown_session", 404,
        "the session is unknown or has ended";
}

/// The body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Always false.
    pub success: bool,
    /// Why.
    pub reason: Reason,
    /// Why, for a person. v1 has none.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub message: Text,
}

impl Reason {
    /// Returns the reason of this name, if this version knows it.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.label() == label)
    }
}

impl From<Reason> for ErrorBody {
    fn from(reason: Reason) -> Self {
        Self { success: false, reason, message: reason.message().into() }
    }
}

fn is_empty(text: &Text) -> bool {
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_travels() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.label());
        }
        let later: Reason = serde_json::from_str(r#""moon_phase""#).unwrap();
        assert_eq!(later, Reason::Unknown);
        assert_eq!(Reason::of_label("rate_limited"), Some(Reason::RateLimited));
        assert_eq!(Reason::of_label("<b>"), None);
    }

    #[test]
    fn a_refusal_without_words_has_no_field_for_them() {
        let mute = ErrorBody { message: Text::default(), ..Reason::RateLimited.into() };
        let text = serde_json::to_string(&mute).unwrap();
        assert_eq!(text, r#"{"success":false,"reason":"rate_limited"}"#);
        assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap(), mute);
    }
}
