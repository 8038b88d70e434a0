//! Where tokens come from, and what a refusal means to a person.

use std::{error::Error, fmt, time::SystemTime};

use async_trait::async_trait;
use beach_lifeguard_client::{
    FallbackToken, Reason,
    api::{TOKEN_PATH, TokenRequest, TokenResponse},
    membership::{Member, Purpose},
    reason::ErrorBody,
};
use beach_outbound::{Cause, Request};
use transport_core::{ConnectErrorKind, PeerId, SessionId};
use url::Url;
use uuid::Uuid;

use crate::config::{ConfigError, WsConfig};

/// Mints tokens. The application may bring its own; [`HttpTokenProvider`] asks the control plane.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason.message())]
pub struct TokenRefused {
    /// Why.
    pub reason: Reason,
}

impl TokenRefused {
    /// Says who is at fault: a refusal by right is not the network's fault and no evidence against it.
    pub fn kind(self) -> ConnectErrorKind {
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

/// Asks the control plane: `POST /v1/fallback/token` with a proof of membership.
#[derive(Debug)]
pub struct HttpTokenProvider {
    url: Url,
    config: WsConfig,
}

impl HttpTokenProvider {
    /// Makes a provider; opens nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the field at fault.
    pub fn new(config: WsConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut url = config.control_plane.clone();
        url.set_path(&format!("{}{TOKEN_PATH}", url.path().trim_end_matches('/')));
        Ok(Self { url, config })
    }

    fn request(&self, whom: TokenFor) -> TokenRequest {
        let session = uuid(whom.session.as_bytes());
        let member = Member { peer_id: uuid(whom.peer.as_bytes()), role: self.config.membership.role };
        let verifier = &self.config.membership.verifier;
        let proof = verifier.prove(Purpose::Token, session, member, SystemTime::now(), rand::random());
        TokenRequest {
            session_id: session.to_string(),
            cohort_id: self.config.cohort.clone(),
            client_version: Some(self.config.client_version.clone()),
            entitlement_proof: self.config.entitlement_proof.as_ref().map(|proof| proof.expose().to_owned()),
            telemetry_opt_in: self.config.telemetry_opt_in,
            total_sessions_hint: None,
            proof: Some(proof),
        }
    }
}

#[async_trait]
impl TokenProvider for HttpTokenProvider {
    async fn token(&self, whom: TokenFor) -> Result<Grant, TokenFailure> {
        let request = Request::post_json(self.url.clone(), &self.request(whom))
            .map_err(|error| TokenFailure::Malformed(Box::new(error)))?
            .limit(MAX_ANSWER_BYTES);
        let answer = self.config.outbound.http(request).await.map_err(|error| match error.cause {
            Cause::TooLarge { .. } => TokenFailure::Malformed(Box::new(error)),
            _ => TokenFailure::Unreachable(Box::new(error)),
        })?;
        read_answer(answer.status.as_u16(), &answer.body)
    }
}

fn read_answer(status: u16, body: &[u8]) -> Result<Grant, TokenFailure> {
    if status == 200 {
        let answer: TokenResponse =
            serde_json::from_slice(body).map_err(|error| TokenFailure::Malformed(Box::new(error)))?;
        let relay_url = answer.relay_url.as_deref().map(Url::parse).transpose();
        let relay_url = relay_url.map_err(|error| TokenFailure::Malformed(Box::new(error)))?;
        return Ok(Grant { token: answer.token, expires_at: answer.expires_at.into(), relay_url });
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(refusal) => Err(TokenRefused { reason: refusal.reason }.into()),
        // A gateway in between, or something that is no control plane at all.
        Err(_) if matches!(status, 408 | 429 | 500..=599) => {
            Err(TokenFailure::Unreachable(format!("HTTP {status} without a reason").into()))
        }
        Err(_) => Err(TokenFailure::Malformed(format!("HTTP {status} without a reason").into())),
    }
}

pub(crate) fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

/// Largest answer read, in bytes. A grant is about 1 KiB.
const MAX_ANSWER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> TokenFailure {
        read_answer(status, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_pause_is_told_in_human_words_and_blames_no_network() {
        let failure = refusal(403, r#"{"success":false,"reason":"fallback_paused"}"#);
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
    fn faults_of_the_service_and_of_the_caller_are_told_apart() {
        use ConnectErrorKind::{Incompatible, Misuse, Unreachable};
        for (status, body, kind) in [
            (503, r#"{"success":false,"reason":"store_unavailable"}"#, Unreachable),
            (500, r#"{"success":false,"reason":"something_new"}"#, Unreachable),
            (400, r#"{"success":false,"reason":"invalid_session_id"}"#, Misuse),
            (502, "<html>bad gateway</html>", Unreachable),
            (200, "<html>please log in to this hotel</html>", Incompatible),
            (302, "", Incompatible),
        ] {
            assert_eq!(refusal(status, body).kind(), kind, "{status} {body}");
        }
    }
}
