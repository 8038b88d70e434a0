//! What the fallback needs to know before it can sleep.

use std::{fmt, num::NonZeroUsize, time::Duration};

use beach_lifeguard_client::{RELAY_PATH, api::DEFAULT_COHORT, membership::Credentials};
use beach_outbound::Outbound;
use url::{Host, Url};

use crate::carrier::CarrierChoice;

/// How the fallback reaches the control plane and the relay, and on whose behalf.
///
/// # Defaults
///
/// | field | default | why |
/// |---|---|---|
/// | `relay_url` | none | the token's answer names the relay; else the control plane's host, `/v2/ws` |
/// | `cohort` | `public` | the control plane's default |
/// | `heartbeat` | none | the relay's hello says 15 s |
/// | `reliable_bytes` | 512 KiB | the relay holds as much for the other side (`docs/defaults.md`) |
/// | `datagram_bytes` | 64 KiB | the same |
/// | `outbound` | [`Outbound::default`] | as the machine is set up |
/// | `carriers` | either | a WebSocket, and HTTP where none gets through |
/// | `deadlines` | 5 s each, 10 s for token and peer | one attempt fits the 10 s budget of a rung |
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WsConfig {
    /// The control plane: `https://…`, or `http://` on loopback.
    pub control_plane: Url,
    /// As whom tokens are asked for.
    pub credentials: Credentials,
    /// The relay: `wss://…`, or `ws://` on loopback. Overrides what the control plane names.
    pub relay_url: Option<Url>,
    /// Opens all connections: trust, proxy, deadlines.
    pub outbound: Outbound,
    /// The rollout cohort.
    pub cohort: String,
    /// A JWT of the identity provider, where the cohort needs one.
    pub entitlement_proof: Option<EntitlementProof>,
    /// Whether the person agreed to per-session telemetry.
    pub telemetry_opt_in: bool,
    /// Name and version of the application, at most 64 bytes; for operators.
    pub client_version: String,
    /// How often to show life. Lower notices a dead path sooner (after three) and costs wake-ups.
    pub heartbeat: Option<Duration>,
    /// Reliable bytes of one link that may wait, unsent and unread each.
    pub reliable_bytes: NonZeroUsize,
    /// Datagram bytes of one link that may wait before the oldest is dropped.
    pub datagram_bytes: NonZeroUsize,
    /// What may carry the relay's bytes.
    pub carriers: CarrierChoice,
    /// How long each stage of a dial may take.
    pub deadlines: Deadlines,
}

impl WsConfig {
    /// Starts from the defaults.
    pub fn new(control_plane: Url, credentials: Credentials) -> Self {
        Self {
            control_plane,
            credentials,
            relay_url: None,
            outbound: Outbound::default(),
            cohort: DEFAULT_COHORT.to_owned(),
            entitlement_proof: None,
            telemetry_opt_in: false,
            client_version: concat!("transport-ws-fallback ", env!("CARGO_PKG_VERSION")).to_owned(),
            heartbeat: None,
            reliable_bytes: NonZeroUsize::new(512 << 10).expect("not zero"),
            datagram_bytes: NonZeroUsize::new(64 << 10).expect("not zero"),
            carriers: CarrierChoice::default(),
            deadlines: Deadlines::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_url("control_plane", &self.control_plane, "https", "http")?;
        if let Some(url) = &self.relay_url {
            check_relay_url("relay_url", url)?;
        }
        if self.client_version.len() > beach_lifeguard_client::hello::MAX_CLIENT_VERSION_BYTES {
            return Err(ConfigError::TooLong { field: "client_version" });
        }
        if self.heartbeat.is_some_and(|interval| interval < MIN_HEARTBEAT) {
            return Err(ConfigError::TooShort { field: "heartbeat", least: MIN_HEARTBEAT });
        }
        Ok(())
    }

    /// The relay when nobody names one: beside the control plane, as `beach-lifeguard dev` serves it.
    pub(crate) fn relay_beside_control_plane(&self) -> Url {
        let mut url = self.control_plane.clone();
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // `http(s)` and `ws(s)` are both special schemes, so this cannot fail.
        let _ = url.set_scheme(scheme);
        url.set_path(RELAY_PATH);
        url.set_query(None);
        url
    }
}

/// A JWT of the identity provider. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct EntitlementProof(String);

impl EntitlementProof {
    /// Takes the JWT.
    pub fn new(jwt: impl Into<String>) -> Self {
        Self(jwt.into())
    }

    /// Shows the JWT, for the request to the control plane.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EntitlementProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntitlementProof(…)")
    }
}

/// How long each stage of a dial may take. Those of name, proxy, TCP and TLS are the
/// [`outbound`](WsConfig::outbound)'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// The control plane's answer, with the connection to it: a slow resolver alone may take 6 s. 10 s.
    pub token: Duration,
    /// The WebSocket upgrade, in a browser with everything before it; over HTTP, the head of the answer. 5 s.
    pub upgrade: Duration,
    /// The relay's hello, as long as the relay waits for ours; over HTTP, its first record too. 5 s.
    pub hello: Duration,
    /// The other peer's arrival at the relay: it has to dial too. 10 s.
    pub peer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let stage = Duration::from_secs(5);
        Self { token: 2 * stage, upgrade: stage, hello: stage, peer: 2 * stage }
    }
}

/// A configuration that cannot work, with the field at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Credentials would cross the network in clear.
    #[error("{field} must use TLS: only loopback may go without")]
    PlainText {
        /// The field.
        field: &'static str,
    },
    /// Another kind of URL.
    #[error("{field} must be an {expected} URL with a host")]
    Scheme {
        /// The field.
        field: &'static str,
        /// The scheme it should have.
        expected: &'static str,
    },
    /// A text is too long.
    #[error("{field} is too long")]
    TooLong {
        /// The field.
        field: &'static str,
    },
    /// A duration is too short.
    #[error("{field} must be at least {least:?}")]
    TooShort {
        /// The field.
        field: &'static str,
        /// The least it may be.
        least: Duration,
    },
}

pub(crate) fn check_relay_url(field: &'static str, url: &Url) -> Result<(), ConfigError> {
    check_url(field, url, "wss", "ws")
}

fn check_url(field: &'static str, url: &Url, tls: &'static str, plain: &str) -> Result<(), ConfigError> {
    let loopback = match url.host() {
        None => return Err(ConfigError::Scheme { field, expected: tls }),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    };
    match url.scheme() {
        scheme if scheme == tls => Ok(()),
        scheme if scheme == plain && loopback => Ok(()),
        scheme if scheme == plain => Err(ConfigError::PlainText { field }),
        _ => Err(ConfigError::Scheme { field, expected: tls }),
    }
}

/// Shorter, three missed ones would be a hiccup.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use beach_lifeguard_client::{
        Access,
        membership::{Identity, LinkSecret},
    };

    use super::*;

    fn config(control_plane: &str) -> WsConfig {
        let [host, viewer] = [[1; 32], [2; 32]].map(|seed| Identity::from_seed(&seed));
        let link = LinkSecret::from_bytes([3; 16]);
        let credentials = Credentials::viewer(host.public(), viewer, link, Access::Full);
        WsConfig::new(control_plane.parse().unwrap(), credentials)
    }

    #[test]
    fn credentials_never_cross_a_network_in_clear() {
        for good in ["https://control.example", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost"]
        {
            assert_eq!(config(good).check(), Ok(()), "{good}");
        }
        let plain = Err(ConfigError::PlainText { field: "control_plane" });
        for bad in ["http://control.example", "http://10.0.0.1", "http://localhost.example"] {
            assert_eq!(config(bad).check(), plain, "{bad}");
        }
        let mut relay = config("https://control.example");
        relay.relay_url = Some("https://relay.example/v2/ws".parse().unwrap());
        assert_eq!(relay.check(), Err(ConfigError::Scheme { field: "relay_url", expected: "wss" }));
    }

    #[test]
    fn the_relay_is_looked_for_beside_the_control_plane() {
        let url = config("https://control.example:8443/api?x=1").relay_beside_control_plane();
        assert_eq!(url.as_str(), "wss://control.example:8443/v2/ws");
        assert_eq!(
            config("http://127.0.0.1:9").relay_beside_control_plane().as_str(),
            "ws://127.0.0.1:9/v2/ws"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut config = config("https://control.example");
        config.entitlement_proof = Some(EntitlementProof::new("s3cret"));
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cret") && shown.contains("LinkSecret(…)"), "{shown}");
    }
}
