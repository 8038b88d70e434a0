//! Makes the control plane know a session.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use transport_core::SessionId;
use url::Url;

use super::{Protocol, address};
use crate::tls;

/// How a session came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is new.
    Created,
    /// It was known, with the same verifier.
    Known,
}

/// Why a session was not registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another verifier is registered under this id.
    #[error("another session has this id")]
    Exists,
    /// The control plane said no.
    #[error("the control plane refused: {status} {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The reason it gave, cut to letters, digits and `_`.
        reason: String,
    },
    /// The address has no scheme for HTTP or WebSocket, or TLS cannot be set up.
    #[error("the control plane's address cannot be used")]
    Misuse,
    /// No answer.
    #[error("the control plane is unreachable")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Registers `session` with the verifier derived from its secret: `POST /v1/sessions`. The verifier
/// proves membership and opens nothing. Repeating it is harmless.
///
/// # Errors
///
/// [`RegisterError`].
///
/// # Cancel safety
///
/// When dropped, the session may or may not be registered; call it again.
pub async fn register(
    base: &Url,
    session: SessionId,
    verifier: &[u8; 32],
    extra_roots: &[CertificateDer<'static>],
) -> Result<Registered, RegisterError> {
    let address = address(base, "v1/sessions", Protocol::Http).ok_or(RegisterError::Misuse)?;
    let tls = tls::client_config(extra_roots).map_err(|_| RegisterError::Misuse)?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|_| RegisterError::Misuse)?;
    let body = Body { session_id: session, verifier: URL_SAFE_NO_PAD.encode(verifier) };
    let answer = client.post(address).json(&body).send().await.map_err(unreachable)?;
    match answer.status().as_u16() {
        201 => Ok(Registered::Created),
        200 => Ok(Registered::Known),
        409 => Err(RegisterError::Exists),
        status => Err(RegisterError::Refused { status, reason: reason(answer).await }),
    }
}

#[derive(Serialize)]
struct Body {
    session_id: SessionId,
    verifier: String,
}

#[derive(Deserialize)]
struct Problem {
    reason: String,
}

/// Reads the reason of a refusal; whoever answers may not be our control plane at all.
async fn reason(mut answer: reqwest::Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_PROBLEM {
            return String::new();
        }
    }
    let reason = serde_json::from_slice::<Problem>(&body).map_or(String::new(), |problem| problem.reason);
    reason.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect()
}

fn unreachable(error: reqwest::Error) -> RegisterError {
    RegisterError::Unreachable(Box::new(error.without_url()))
}

const TIMEOUT: Duration = Duration::from_secs(5);

const MAX_PROBLEM: usize = 4 * 1024;
