//! The control plane's settings.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use url::{Host, Url};

/// Who signs tokens, unless told otherwise: control plane and relay must say the same.
pub const DEFAULT_ISSUER: &str = "beach-lifeguard";

/// How the control plane mints.
///
/// # Defaults
///
/// Each field names its own; `FALLBACK_*` are the deployed control plane's names.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ControlConfig {
    /// The name tokens are signed in. Default [`DEFAULT_ISSUER`].
    pub issuer: String,
    /// The relay named in token responses, `wss://…/v2/ws`. Default: none, the client derives it from the
    /// control plane's address.
    pub relay_url: Option<String>,
    /// Where this node stands: sessions that are new go to relays of the same region, if there are any. Default empty.
    pub region: String,
    /// What is allowed for convenience. Default production. `BEACH_LIFEGUARD_MODE`.
    pub mode: Mode,
    /// Whether the fallback is rolled out at all: `fallback_ws_enabled`. Default false; `dev` sets it.
    /// `FALLBACK_WS_ENABLED`.
    pub fallback_ws_enabled: bool,
    /// To whom it is rolled out.
    pub rollout: RolloutConfig,
    /// Life of a token in seconds, 10 to 300. Default 60: long enough to dial twice. `FALLBACK_TOKEN_TTL`.
    pub token_ttl: u64,
    /// Share of a cohort's sessions in an hour beyond which activations are tagged and alerted, 0 to 1.
    /// Default 0.005. `FALLBACK_GUARDRAIL_THRESHOLD`.
    pub guardrail_threshold: f64,
    /// When minting pauses by itself. Default never.
    pub auto_pause: AutoPauseConfig,
    /// Whether minting starts paused. Default false. `FALLBACK_WS_PAUSED`.
    pub paused: bool,
    /// How long a session is known after its host was last in its room, in seconds. Default one day. One whose host
    /// was never there is known for ten minutes.
    pub session_ttl: u64,
    /// Who may use the fallback.
    pub entitlement: EntitlementConfig,
    /// TURN servers whose credentials are handed out.
    pub turn: TurnConfig,
    /// Bearer tokens of services that may ask for fallback tokens; empty for everybody, membership and
    /// entitlement are proven all the same. Two at once let one be replaced. `FALLBACK_SERVICE_TOKENS`,
    /// separated by commas.
    pub service_tokens: Vec<Secret>,
    /// Requests a second from one address (IPv4 address or IPv6 /64); five times as many at once. 0 for no
    /// limit. Loopback is exempt: a proxy on this machine speaks for many. Default 20.
    pub requests_per_second: u32,
}

/// What is allowed for convenience.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Deployed v1 clients get a token for a session that is known, without an entitlement;
    /// `BEACH_DEV_ENABLE_FALLBACK_WS=1` is honoured; keys of an identity provider may come over plain HTTP.
    Development,
    /// None of that.
    #[default]
    Production,
}

/// To whom the fallback is rolled out, one stage after the other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RolloutConfig {
    /// How far it is. Default general. `FALLBACK_ROLLOUT_STAGE`.
    pub stage: Stage,
    /// Cohorts that are in at every stage. Default `dogfood`. `FALLBACK_ROLLOUT_DOGFOOD`. Like every cohort with a
    /// name, one is for accounts that are entitled to it, as `cohort:NAME`; whoever is not is of `public`.
    pub dogfood: Vec<String>,
    /// Percentages of named cohorts, from the limited stage on. Default none.
    /// `FALLBACK_ROLLOUT_COHORTS=beta=25,staff=100`.
    pub cohorts: BTreeMap<String, u8>,
    /// Percentage of all other sessions at the general stage. Default 100. `FALLBACK_ROLLOUT_PERCENT`.
    pub percent: u8,
}

/// How far the roll-out is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Only the cohorts of those who build it.
    Dogfood,
    /// Named cohorts too, each with its percentage.
    Limited,
    /// Everybody else too.
    #[default]
    General,
}

/// When minting pauses by itself, until an operator resumes it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AutoPauseConfig {
    /// Share of a cohort's sessions in an hour at which the cohort is paused, 0 to 1; well above the soft
    /// threshold, since it closes the exit. `FALLBACK_AUTO_PAUSE_RATIO`.
    pub ratio: Option<f64>,
    /// Seconds without anybody having read `/metrics`, after which everybody is paused: nobody is looking.
    /// At least 60. `FALLBACK_AUTO_PAUSE_UNSCRAPED_SECS`.
    pub unscraped_secs: Option<u64>,
}

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
    /// Life of credentials in seconds, 30 to 3600. Default 120. `BEACH_GATE_TURN_TTL`.
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

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dogfood => "dogfood",
            Self::Limited => "limited",
            Self::General => "general",
        })
    }
}

impl FromStr for Mode {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text.to_ascii_lowercase().as_str() {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            _ => Err(UnknownName),
        }
    }
}

impl FromStr for Stage {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text.to_ascii_lowercase().as_str() {
            "dogfood" => Ok(Self::Dogfood),
            "limited" => Ok(Self::Limited),
            "general" => Ok(Self::General),
            _ => Err(UnknownName),
        }
    }
}

/// A name that is none of those there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct UnknownName;

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            issuer: DEFAULT_ISSUER.to_owned(),
            relay_url: None,
            region: String::new(),
            mode: Mode::Production,
            fallback_ws_enabled: false,
            rollout: RolloutConfig::default(),
            token_ttl: 60,
            guardrail_threshold: 0.005,
            auto_pause: AutoPauseConfig::default(),
            paused: false,
            session_ttl: 86_400,
            entitlement: EntitlementConfig::default(),
            turn: TurnConfig::default(),
            service_tokens: Vec::new(),
            requests_per_second: 20,
        }
    }
}

impl Default for RolloutConfig {
    fn default() -> Self {
        let dogfood = vec!["dogfood".to_owned()];
        Self { stage: Stage::General, dogfood, cohorts: BTreeMap::new(), percent: 100 }
    }
}

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
            ttl: 120,
            open: false,
            entitlements,
            external_ip: None,
        }
    }
}

impl ControlConfig {
    /// What a process for development starts from: rolled out to everybody.
    pub fn development() -> Self {
        Self { mode: Mode::Development, fallback_ws_enabled: true, ..Self::default() }
    }

    /// Checks that the settings can work.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (
                (10..=beach_lifeguard_client::token::MAX_LIFE_SECS).contains(&self.token_ttl),
                "token_ttl",
                "is 10 to 300 seconds",
            ),
            ((0.0..=1.0).contains(&self.guardrail_threshold), "guardrail_threshold", "is 0 to 1"),
            (!self.issuer.is_empty(), "issuer", "is not empty"),
            (
                self.rollout.percent <= 100 && self.rollout.cohorts.values().all(|percent| *percent <= 100),
                "rollout",
                "has percentages of 0 to 100",
            ),
            (
                self.auto_pause.ratio.is_none_or(|r| r > self.guardrail_threshold && r <= 1.0),
                "auto_pause.ratio",
                "is above guardrail_threshold and at most 1",
            ),
            (
                self.auto_pause.unscraped_secs.is_none_or(|secs| secs >= 60),
                "auto_pause.unscraped_secs",
                "is at least 60",
            ),
            (
                self.service_tokens.iter().all(|token| token.expose().len() >= 16),
                "service_tokens",
                "are at least 16 characters long",
            ),
        ];
        let broken = rules.into_iter().find(|(holds, ..)| !holds);
        broken.map_or(Ok(()), |(_, field, rule)| Err(ConfigError::new(field, rule)))?;
        self.entitlement.check(self.mode)?;
        self.turn.check()?;
        let strangers = self.mode == Mode::Production && !self.entitlement.required && !self.turn.open;
        if strangers && !self.turn.urls.is_empty() {
            let rule = "is false, and no entitlement is required: anybody would relay through your TURN servers. \
                        Set `entitlement.required = true` with the identity provider's keys, or `turn.open = true` \
                        when that is what you want";
            return Err(ConfigError::new("turn.open", rule));
        }
        Ok(())
    }

    /// Rolls the fallback out to everybody in development (`BEACH_DEV_ENABLE_FALLBACK_WS=1`); in production
    /// it does nothing, and says so.
    pub fn honour_dev_override(&mut self) {
        if self.mode == Mode::Development || cfg!(debug_assertions) {
            self.fallback_ws_enabled = true;
        } else {
            tracing::warn!("BEACH_DEV_ENABLE_FALLBACK_WS is ignored in production");
        }
    }

    pub(super) fn session_life(&self) -> Duration {
        Duration::from_secs(self.session_ttl.max(60))
    }
}

impl EntitlementConfig {
    fn check(&self, mode: Mode) -> Result<(), ConfigError> {
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
    fn check(&self) -> Result<(), ConfigError> {
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
        let broken = rules.into_iter().find(|(holds, ..)| !holds);
        broken.map_or(Ok(()), |(_, field, rule)| Err(ConfigError::new(field, rule)))
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

/// A setting that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("control plane: {field} {rule}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The field or variable.
    pub field: &'static str,
    /// What must hold for it.
    pub rule: &'static str,
}

impl ConfigError {
    const fn new(field: &'static str, rule: &'static str) -> Self {
        Self { field, rule }
    }
}

/// How long a session is known whose host has not entered its room yet: whoever registers sessions and does not
/// use them shall not fill the store.
pub(super) const UNENTERED_LIFE: Duration = Duration::from_secs(600);

/// How long the store may take. Beyond it, what the outage table says stands.
pub(super) const STORE_DEADLINE: Duration = Duration::from_secs(2);
