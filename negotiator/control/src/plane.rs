//! The control plane's HTTP endpoints.

use beach_lifeguard_client::membership::{Credentials, FRESHNESS, MembershipProof, Purpose};
use beach_lifeguard_client::{
    Reason, SignedDocument,
    api::{SESSIONS_PATH, TOKEN_PATH, TURN_PATH, TokenRequest, TokenResponse, TurnCredentials, TurnRequest},
};
use beach_outbound::{Outbound, Request, Response};
use serde::{Serialize, de::DeserializeOwned};
use transport_core::time::SystemTime;
use url::{Host, Url};

use crate::{clock::ServerClock, error::ControlError, runtime::wall_clock};

/// One control plane. Cheap to clone; holds no connection.
///
/// Each question has a connection of its own and the deadlines of its [`Outbound`], stage by stage.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    base: Url,
    outbound: Outbound,
    clock: ServerClock,
}

/// What became of a published document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The session is new.
    Created,
    /// The session was known; this is its state from here on.
    Known,
}

impl ControlPlane {
    /// Names it. `base` is `https://…` or `wss://…`, on loopback also `http://…` or `ws://…`: what is said to a
    /// control plane can be used by whoever reads it. Any path in it is kept as a prefix.
    pub fn new(base: Url, outbound: Outbound) -> Self {
        Self { base, outbound, clock: ServerClock::new(wall_clock) }
    }

    /// Has another clock of this machine than the wall's: a test's, or one that is known to be better.
    #[must_use]
    pub fn with_clock(mut self, machine: fn() -> SystemTime) -> Self {
        self.clock = ServerClock::new(machine);
        self
    }

    /// Returns the time by the control plane's clock, as its last answer told it; by this machine's before there was one, and
    /// while the two are no more than a minute apart.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Proves who an endpoint is and which link it holds once, for one purpose, now by the control plane's clock.
    pub fn prove(&self, credentials: &Credentials, purpose: Purpose) -> MembershipProof {
        // In a browser the clock's type is not the standard library's.
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        credentials.prove(purpose, std::time::UNIX_EPOCH + since, rand::random())
    }

    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// Publishes a session's document: `POST /v1/sessions`. The verifiers in it prove which link somebody holds
    /// and open nothing. Repeating it is harmless.
    ///
    /// # Errors
    ///
    /// [`ControlError`]; of reason [`RevisionStale`](beach_lifeguard_client::Reason::RevisionStale) when a
    /// newer document of the session is known.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the document may or may not be published; call it again.
    pub async fn publish(&self, document: &SignedDocument) -> Result<Published, ControlError> {
        let (url, answer) = self.post(SESSIONS_PATH, document).await?;
        match answer.status.as_u16() {
            201 => Ok(Published::Created),
            200 => Ok(Published::Known),
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

    /// As [`token`](Self::token), with a request that is made anew when the first answer shows that this machine's clock is
    /// off.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    ///
    /// # Cancel safety
    ///
    /// As [`token`](Self::token).
    pub async fn token_by(&self, request: impl Fn() -> TokenRequest) -> Result<TokenResponse, ControlError> {
        let before = self.now();
        match self.token(&request()).await {
            Err(error) if error.reason() == Some(Reason::MembershipInvalid) && self.has_learnt(before) => {
                self.token(&request()).await
            }
            answered => answered,
        }
    }

    /// Whether the time is another one than it would be if nothing was learnt since `before`.
    fn has_learnt(&self, before: SystemTime) -> bool {
        let now = self.now();
        let apart = now.duration_since(before).unwrap_or_else(|error| error.duration());
        apart > FRESHNESS / 2
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
        let url = address(&self.base, path, protocol)
            .ok_or_else(|| ControlError::Misuse { url: self.base.clone() })?;
        let is_sealed = matches!(url.scheme(), "https" | "wss");
        if is_sealed || is_loopback(&url) { Ok(url) } else { Err(ControlError::PlainText { url }) }
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
            Ok(answer) => {
                self.clock.learn(&answer.headers);
                Ok((url, answer))
            }
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

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
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

    #[test]
    fn nothing_is_said_in_clear_beyond_this_machine() {
        let url = |base: &str, protocol| {
            ControlPlane::new(base.parse().unwrap(), Outbound::default()).url("/x", protocol)
        };
        for base in ["https://control.example", "http://127.0.0.1:1", "http://[::1]", "ws://LOCALHOST"] {
            assert!(url(base, Protocol::Http).is_ok() && url(base, Protocol::WebSocket).is_ok(), "{base}");
        }
        for base in
            ["http://control.example", "ws://192.0.2.2", "http://localhost.example", "http://[fe80::1]"]
        {
            for protocol in [Protocol::Http, Protocol::WebSocket] {
                let refused = url(base, protocol);
                assert!(matches!(refused, Err(ControlError::PlainText { .. })), "{base} {refused:?}");
            }
        }
    }
}
