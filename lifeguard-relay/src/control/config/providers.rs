//! Whom the control plane relies on: an identity provider, STUN and TURN servers.

use std::{fmt, net::SocketAddr};

use url::{Host, Url};

use super::{ConfigError, Mode};

/// Who may use the fallback: proofs are JWTs (ES256) of an identity provider.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EntitlementConfig {
    /// Whether a proof is needed. Default false. `FALLBACK_REQUIRE_OIDC`.
    pub required: bool,
    /// Where the provider's keys are. `BEACH_GATE_JWKS_URL`.
    pub jwks_url: Option<Url>,
    /// The provider's name, as in `iss`. `BEACH_GATE_ISSUER`.
    pub issuer: String,
    /// Our name there, as in `aud`. `BEACH_GATE_AUDIENCE`.
    pub audience: String,
    /// What the account must have. Default `rescue:fallback`. `FALLBACK_REQUIRED_ENTITLEMENT`.
    pub entitlement: String,
    /// How long keys are taken as fresh, in seconds. Default 300. `FALLBACK_JWKS_CACHE_TTL`.
    pub jwks_cache_ttl: u64,
}

/// TURN servers and the secret shared with them (TURN REST credentials).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TurnConfig {
    /// `turn:` and `turns:` URLs; empty for none. `BEACH_GATE_TURN_URLS`, separated by commas.
    pub urls: Vec<String>,
    /// The first signs. A second may stand beside it while it replaces, or is replaced by, the first on
    /// the TURN servers. `BEACH_GATE_TURN_SECRET`, separated by commas.
    pub secrets: Vec<Secret>,
    /// The servers' realm, told to clients. `BEACH_GATE_TURN_REALM`.
    pub realm: Option<String>,
    /// Life of credentials in seconds, 30 to 3600. They cannot be taken back, so they live for a dial (10 s), two clocks and
    /// no longer. A TURN server that asks for their expiry at each refresh, as coturn does not, needs more. Default 60.
    /// `BEACH_GATE_TURN_TTL`.
    pub ttl: u64,
    /// Whether strangers may have credentials, where no entitlement is required. Production does not start with TURN
    /// servers and neither of the two. Default false. `BEACH_LIFEGUARD_TURN_OPEN`.
    pub open: bool,
    /// What the account must have, where entitlements are required at all. Default `private-beach:turn`.
    /// `BEACH_GATE_TURN_REQUIRED_ENTITLEMENTS`, separated by commas.
    pub entitlements: Vec<String>,
    /// The address the TURN servers announce. Without it they hand out addresses of a private network,
    /// which fails for everybody and only in the field: so it must be set. `BEACH_TURN_EXTERNAL_IP`.
    pub external_ip: Option<String>,
}

/// STUN servers that clients are told of, and the one that runs beside this control plane.
///
/// # Defaults
///
/// None runs and none is named; whoever runs one answers 20 requests a second for one address and 2,000 in all.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StunConfig {
    /// Where this process answers by UDP. Default nowhere. `BEACH_LIFEGUARD_STUN_LISTEN_ADDR`.
    pub listen_addr: Option<SocketAddr>,
    /// `stun:` URLs that members of sessions are told, at most [`MOST_STUN_URLS`]; a server that runs here is named too,
    /// or nobody would find it. Default none. `BEACH_LIFEGUARD_STUN_URLS`, separated by commas.
    pub urls: Vec<String>,
    /// Requests a second that are answered for one address (IPv4 address or IPv6 /64), five times as many at once. 0 for
    /// no limit. Default 20: a dial asks once for each socket, and an office shares an address.
    /// `BEACH_LIFEGUARD_STUN_PER_SECOND`.
    pub per_second: u32,
    /// Requests a second that are answered in all; 0 for no limit. Default 2,000, some 1 Mbit/s of answers.
    /// `BEACH_LIFEGUARD_STUN_TOTAL_PER_SECOND`.
    pub total_per_second: u32,
}

impl Default for StunConfig {
    fn default() -> Self {
        Self { listen_addr: None, urls: Vec::new(), per_second: 20, total_per_second: 2_000 }
    }
}

impl StunConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (self.urls.iter().all(|url| url.starts_with("stun:")), "stun.urls", "start with stun:"),
            (
                self.urls.len() <= MOST_STUN_URLS,
                "stun.urls",
                "are four at most: each costs every dial a socket",
            ),
            (
                self.listen_addr.is_none() || !self.urls.is_empty(),
                "stun.urls",
                "name the server of stun.listen_addr as clients reach it, stun:HOST:PORT: else nobody asks it",
            ),
        ];
        ConfigError::unless(rules)
    }
}

/// STUN servers that a client is told at most.
pub const MOST_STUN_URLS: usize = 4;

impl Default for EntitlementConfig {
    fn default() -> Self {
        Self {
            required: false,
            jwks_url: None,
            issuer: String::new(),
            audience: String::new(),
            entitlement: "rescue:fallback".to_owned(),
            jwks_cache_ttl: 300,
        }
    }
}

impl Default for TurnConfig {
    fn default() -> Self {
        let entitlements = vec!["private-beach:turn".to_owned()];
        Self {
            urls: Vec::new(),
            secrets: Vec::new(),
            realm: None,
            ttl: 60,
            open: false,
            entitlements,
            external_ip: None,
        }
    }
}

impl EntitlementConfig {
    pub(super) fn check(&self, mode: Mode) -> Result<(), ConfigError> {
        let Some(url) = &self.jwks_url else {
            let rule = "is set, with issuer and audience, where entitlements are required";
            return if self.required { Err(ConfigError::new("entitlement.jwks_url", rule)) } else { Ok(()) };
        };
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let plain = url.scheme() == "http" && (local || mode == Mode::Development);
        if url.scheme() != "https" && !plain {
            return Err(ConfigError::new("entitlement.jwks_url", "is an https URL"));
        }
        if self.issuer.is_empty() || self.audience.is_empty() || self.entitlement.is_empty() {
            let rule = "needs issuer, audience and entitlement: a proof is checked against all three";
            return Err(ConfigError::new("entitlement", rule));
        }
        Ok(())
    }
}

impl TurnConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.urls.is_empty() {
            return Ok(());
        }
        let legal = |url: &String| url.starts_with("turn:") || url.starts_with("turns:");
        let rules = [
            (self.urls.iter().all(legal), "turn.urls", "start with turn: or turns:"),
            (
                matches!(self.secrets.len(), 1..=2),
                "turn.secrets",
                "are one, or two while one replaces the other",
            ),
            (
                self.secrets.iter().all(|s| s.expose().len() >= 16),
                "turn.secrets",
                "are at least 16 characters long",
            ),
            (
                self.external_ip.is_some(),
                "turn.external_ip",
                "is set (BEACH_TURN_EXTERNAL_IP): without it TURN servers announce private addresses",
            ),
            ((30..=3_600).contains(&self.ttl), "turn.ttl", "is 30 to 3600 seconds"),
        ];
        ConfigError::unless(rules)
    }
}

/// What must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Shows it, for signing and comparing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
