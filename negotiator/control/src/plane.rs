//! The control plane's HTTP endpoints.

use beach_lifeguard_client::{
    api::{
        RegisterSession, SESSIONS_PATH, TOKEN_PATH, TURN_PATH, TokenRequest, TokenResponse, TurnCredentials,
        TurnRequest,
    },
    membership::Verifier,
};
use beach_outbound::{Outbound, Request, Response};
use serde::{Serialize, de::DeserializeOwned};
use transport_core::SessionId;
use url::Url;
use uuid::Uuid;

use crate::error::ControlError;

/// One control plane. Cheap to clone; holds no connection.
///
/// Each question has a connection of its own and the deadlines of its [`Outbound`], stage by stage.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    base: Url,
    outbound: Outbound,
}

/// How a session came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is new.
    Created,
    /// It was known, with the same verifier.
    Known,
}

impl ControlPlane {
    /// Names it. `base` is `https://…`, `http://…`, `wss://…` or `ws://…`; any path in it is kept as a prefix.
    pub fn new(base: Url, outbound: Outbound) -> Self {
        Self { base, outbound }
    }

    /// Registers `session` with the verifier derived from its secret: `POST /v1/sessions`. The verifier
    /// proves membership and opens nothing. Repeating it is harmless.
    ///
    /// # Errors
    ///
    /// [`ControlError`]; of reason [`SessionExists`](beach_lifeguard_client::Reason::SessionExists) when
    /// another verifier is registered under this id.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session may or may not be registered; call it again.
    pub async fn register(
        &self,
        session: SessionId,
        verifier: &Verifier,
    ) -> Result<Registered, ControlError> {
        let session = Uuid::from_bytes(*session.as_bytes());
        let (url, answer) =
            self.post(SESSIONS_PATH, &RegisterSession::new(session, verifier.clone())).await?;
        match answer.status.as_u16() {
            201 => Ok(Registered::Created),
            200 => Ok(Registered::Known),
            _ => Err(ControlError::answered(url, answer.status, &answer.headers, &answer.body)),
        }
    }

    /// Asks for a token that admits to the relay once: `POST /v1/fallback/token`.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; a token that was minted meanwhile expires unused.
    pub async fn token(&self, request: &TokenRequest) -> Result<TokenResponse, ControlError> {
        self.ask(TOKEN_PATH, request).await
    }

    /// Asks for TURN servers and credentials for them: `POST /turn/credentials`.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn turn(&self, request: &TurnRequest) -> Result<TurnCredentials, ControlError> {
        self.ask(TURN_PATH, request).await
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Appends `path` to the base and gives it the scheme of `protocol`, as secure as the base's.
    pub(crate) fn url(&self, path: &str, protocol: Protocol) -> Result<Url, ControlError> {
        address(&self.base, path, protocol).ok_or_else(|| ControlError::Misuse { url: self.base.clone() })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, ControlError> {
        let (url, answer) = self.post(path, request).await?;
        if answer.status.as_u16() != 200 {
            return Err(ControlError::answered(url, answer.status, &answer.headers, &answer.body));
        }
        answer.json().map_err(|_| ControlError::Malformed { url, status: 200 })
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<(Url, Response), ControlError> {
        let url = self.url(path, Protocol::Http)?;
        // Ids, strings and flags always have a JSON form.
        let Ok(request) = Request::post_json(url.clone(), body) else {
            return Err(ControlError::Misuse { url });
        };
        match self.outbound.http(request).await {
            Ok(answer) => Ok((url, answer)),
            Err(error) => Err(ControlError::Unreachable { url, source: Box::new(error) }),
        }
    }
}

/// What a URL is dialled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    WebSocket,
}

fn address(base: &Url, path: &str, protocol: Protocol) -> Option<Url> {
    let scheme = match (base.scheme(), protocol) {
        ("https" | "wss", Protocol::Http) => "https",
        ("https" | "wss", Protocol::WebSocket) => "wss",
        ("http" | "ws", Protocol::Http) => "http",
        ("http" | "ws", Protocol::WebSocket) => "ws",
        _ => return None,
    };
    let rest = base.as_str().split_once(':')?.1;
    let rest = rest.split(['?', '#']).next()?.trim_end_matches('/');
    Url::parse(&format!("{scheme}:{rest}{path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_host_prefix_and_security() {
        for (base, expected) in [
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/x"),
            ("https://example.org/beach/", "wss://example.org/beach/v1/x"),
            ("wss://example.org?a=b#c", "wss://example.org/v1/x"),
        ] {
            let address = address(&base.parse().unwrap(), "/v1/x", Protocol::WebSocket).unwrap();
            assert_eq!(address.as_str(), expected);
        }
        assert_eq!(address(&"ftp://example.org".parse().unwrap(), "/x", Protocol::Http), None);
    }
}
