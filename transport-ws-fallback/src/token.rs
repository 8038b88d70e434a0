//! Where tokens come from, and what a refusal means to a person.

use std::{error::Error, fmt};

use async_trait::async_trait;
use beach_lifeguard_client::{FallbackToken, Reason};
use transport_core::{ConnectErrorKind, PeerId, SessionId};
use url::Url;
use uuid::Uuid;

use crate::runtime::SystemTime;

/// Mints tokens: asks the control plane, or whoever else the relay trusts.
#[async_trait]
pub trait TokenProvider: fmt::Debug + Send + Sync + 'static {
    /// Fetches one fresh token. The caller sets the deadline.
    ///
    /// # Errors
    ///
    /// [`TokenFailure`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; a token that was minted meanwhile expires unused.
    async fn token(&self, whom: TokenFor) -> Result<Grant, TokenFailure>;

    /// Returns the newest token that was given ahead, for the case that nobody can be asked. It stays where it is: the
    /// connector remembers what it has used.
    fn rescue(&self, whom: TokenFor) -> Option<Grant>;
}

/// For whom a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenFor {
    /// The session.
    pub session: SessionId,
    /// The endpoint.
    pub peer: PeerId,
}

/// A token and what came with it.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The token; admits once.
    pub token: FallbackToken,
    /// Until when it admits.
    pub expires_at: SystemTime,
    /// Which relay to use, if the control plane says.
    pub relay_url: Option<Url>,
}

/// No token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFailure {
    /// The answer is not what it should be.
    #[error("the control plane's answer cannot be read")]
    Malformed(#[source] Box<dyn Error + Send + Sync>),
    /// The control plane said no.
    #[error(transparent)]
    Refused(#[from] TokenRefused),
    /// The control plane cannot be reached.
    #[error("the control plane cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
}

impl TokenFailure {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        match self {
            Self::Malformed(_) => ConnectErrorKind::Incompatible,
            Self::Refused(refused) => refused.kind(),
            Self::Unreachable(_) => ConnectErrorKind::Unreachable,
        }
    }

    /// Whether nobody could be asked, or nobody who is well: a spare token is for that, and never for a refusal.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self {
            Self::Malformed(_) => false,
            Self::Refused(refused) => {
                refused.reason != Reason::Unknown && matches!(refused.reason.status(), 500..=599)
            }
            Self::Unreachable(_) => true,
        }
    }

    /// The deepest typed cause, so that callers can downcast it.
    pub(crate) fn into_source(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Refused(refused) => Box::new(refused),
            other => Box::new(other),
        }
    }
}

/// The control plane said no. Found as the source of a
/// [`ConnectError`](transport_core::ConnectError) whose stage is `token`; `Display` is fit for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", detail.as_deref().unwrap_or(reason.message()))]
#[non_exhaustive]
pub struct TokenRefused {
    /// Why.
    pub reason: Reason,
    /// Why, in words that know more than the reason's own: how far this machine's clock is off.
    pub detail: Option<String>,
}

impl From<Reason> for TokenRefused {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None }
    }
}

impl TokenRefused {
    /// Says who is at fault: a refusal by right is not the network's fault and no evidence against it.
    pub fn kind(&self) -> ConnectErrorKind {
        match self.reason {
            Reason::EntitlementUnavailable
            | Reason::Internal
            | Reason::RateLimited
            | Reason::StoreUnavailable
            | Reason::Unknown
            // The session lives, or nobody would dial: a control plane that restarted without its memory
            // learns it again from the host within seconds.
            | Reason::UnknownSession => ConnectErrorKind::Unreachable,
            Reason::InvalidRequest | Reason::InvalidSessionId => ConnectErrorKind::Misuse,
            _ => ConnectErrorKind::Rejected,
        }
    }
}

pub(crate) fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_in_human_words_and_blames_no_network() {
        let failure = TokenFailure::from(TokenRefused::from(Reason::FallbackPaused));
        assert_eq!(failure.kind(), ConnectErrorKind::Rejected);
        assert_eq!(
            failure.to_string(),
            "the operator has paused the fallback relay; staying on WebRTC retries"
        );
        let source = failure.into_source();
        let refused = source.downcast_ref::<TokenRefused>().unwrap();
        assert_eq!(refused.reason, Reason::FallbackPaused);
    }

    #[test]
    fn a_refusal_calls_for_no_spare_token_and_a_service_that_is_not_well_does() {
        let gone = || Box::<dyn Error + Send + Sync>::from("gone");
        assert!(TokenFailure::Unreachable(gone()).is_unanswered());
        assert!(!TokenFailure::Malformed(gone()).is_unanswered());
        for reason in [Reason::StoreUnavailable, Reason::Internal, Reason::EntitlementUnavailable] {
            assert!(TokenFailure::from(TokenRefused::from(reason)).is_unanswered(), "{reason:?}");
        }
        for reason in [
            Reason::FallbackPaused,
            Reason::FallbackDisabled,
            Reason::RateLimited,
            Reason::UnknownSession,
            Reason::PeerRemoved,
            Reason::Unknown,
        ] {
            assert!(!TokenFailure::from(TokenRefused::from(reason)).is_unanswered(), "{reason:?}");
        }
    }

    #[test]
    fn faults_of_the_service_and_of_the_caller_are_told_apart() {
        use ConnectErrorKind::{Misuse, Unreachable};
        for (reason, kind) in [
            (Reason::StoreUnavailable, Unreachable),
            (Reason::Unknown, Unreachable),
            (Reason::InvalidSessionId, Misuse),
        ] {
            assert_eq!(TokenFailure::from(TokenRefused::from(reason)).kind(), kind, "{reason:?}");
        }
    }
}
