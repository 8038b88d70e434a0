//! Why a token is not accepted.

use jsonwebtoken::errors::{Error, ErrorKind};

/// Why a token is not accepted. The labels are a closed set for metrics, logs and close reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Signed with another algorithm than EdDSA, or with none.
    #[error("the token is not signed with Ed25519")]
    Algorithm,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// A part is not base64url.
    #[error("the token is not base64")]
    Base64,
    /// A claim is missing or of the wrong shape.
    #[error("a claim of the token is missing or malformed")]
    Claims,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// The fallback is not among what it grants.
    #[error("the token does not grant the fallback")]
    Entitlement,
    /// From somebody else.
    #[error("the token is from another issuer")]
    Issuer,
    /// A part is not JSON.
    #[error("the token is not JSON")]
    Json,
    /// Signed with a key nobody here knows.
    #[error("the token names an unknown key")]
    Key,
    /// Valid for longer than any token may be.
    #[error("the token lives too long")]
    Life,
    /// Not three parts, or absurdly long.
    #[error("this is no token")]
    Malformed,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    Premature,
    /// Forged or altered.
    #[error("the token's signature is wrong")]
    Signature,
    /// It was used before.
    #[error("the token was used before")]
    Spent,
    /// Another kind of JWT.
    #[error("this JWT is of another type")]
    Type,
    /// The hello names another session.
    #[error("the token is for another session")]
    Session,
    /// The hello names another peer.
    #[error("the token is for another peer")]
    Subject,
}

impl TokenError {
    /// Every reason, for tests and for metrics that start at zero.
    pub const ALL: &[Self] = &[
        Self::Algorithm,
        Self::Audience,
        Self::Base64,
        Self::Claims,
        Self::Entitlement,
        Self::Expired,
        Self::Issuer,
        Self::Json,
        Self::Key,
        Self::Life,
        Self::Malformed,
        Self::Premature,
        Self::Session,
        Self::Signature,
        Self::Spent,
        Self::Subject,
        Self::Type,
    ];

    /// Returns its name in metrics, logs and close reasons.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Algorithm => "wrong_algorithm",
            Self::Audience => "wrong_audience",
            Self::Base64 => "invalid_base64",
            Self::Claims => "invalid_claims",
            Self::Entitlement => "missing_entitlement",
            Self::Expired => "token_expired",
            Self::Issuer => "wrong_issuer",
            Self::Json => "invalid_json",
            Self::Key => "unknown_key",
            Self::Life => "token_lives_too_long",
            Self::Malformed => "malformed_token",
            Self::Premature => "token_not_yet_valid",
            Self::Session => "session_mismatch",
            Self::Signature => "bad_signature",
            Self::Spent => "token_spent",
            Self::Subject => "peer_mismatch",
            Self::Type => "wrong_token_type",
        }
    }
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Base64(_) => Self::Base64,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::Premature,
            ErrorKind::InvalidAlgorithm
            | ErrorKind::InvalidAlgorithmName
            | ErrorKind::UnsupportedAlgorithm => Self::Algorithm,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidClaimFormat(_) | ErrorKind::MissingRequiredClaim(_) => Self::Claims,
            ErrorKind::InvalidEddsaKey | ErrorKind::InvalidKeyFormat => Self::Key,
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidSubject => Self::Subject,
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => Self::Json,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_library_finds_has_its_label() {
        for (kind, error) in [
            (ErrorKind::ExpiredSignature, TokenError::Expired),
            (ErrorKind::ImmatureSignature, TokenError::Premature),
            (ErrorKind::InvalidAlgorithm, TokenError::Algorithm),
            (ErrorKind::InvalidAlgorithmName, TokenError::Algorithm),
            (ErrorKind::UnsupportedAlgorithm, TokenError::Algorithm),
            (ErrorKind::InvalidAudience, TokenError::Audience),
            (ErrorKind::InvalidIssuer, TokenError::Issuer),
            (ErrorKind::InvalidClaimFormat("exp".into()), TokenError::Claims),
            (ErrorKind::MissingRequiredClaim("exp".into()), TokenError::Claims),
            (ErrorKind::InvalidEddsaKey, TokenError::Key),
            (ErrorKind::InvalidKeyFormat, TokenError::Key),
            (ErrorKind::InvalidSignature, TokenError::Signature),
            (ErrorKind::InvalidSubject, TokenError::Subject),
            (ErrorKind::InvalidToken, TokenError::Malformed),
        ] {
            assert_eq!(TokenError::from(Error::from(kind)), error);
        }
        let base64 = base64::DecodeError::InvalidPadding;
        assert_eq!(TokenError::from(Error::from(base64)), TokenError::Base64);
        let text = String::from_utf8(vec![0xFF]).unwrap_err();
        assert_eq!(TokenError::from(Error::from(text)), TokenError::Json);
        let json = serde_json::from_str::<()>("?").unwrap_err();
        assert_eq!(TokenError::from(Error::from(json)), TokenError::Json);
    }
}
