//! The control plane's settings.

mod providers;
mod rollout;

use std::time::Duration;

pub use self::{
    providers::{EntitlementConfig, MOST_STUN_URLS, Secret, StunConfig, TurnConfig},
    rollout::{Mode, RolloutConfig, Stage, UnknownName},
};

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
    /// STUN servers.
    pub stun: StunConfig,
    /// TURN servers whose credentials are handed out.
    pub turn: TurnConfig,
    /// Bearer tokens of services that may ask for fallback tokens; empty for everybody, membership and
    /// entitlement are proven all the same. Two at once let one be replaced. `FALLBACK_SERVICE_TOKENS`,
    /// separated by commas.
    pub service_tokens: Vec<Secret>,
    /// Origins of pages that may ask, matched exactly. Default none: only programs ask.
    pub allowed_origins: Vec<String>,
    /// Requests a second from one address (IPv4 address or IPv6 /64); five times as many at once. 0 for no
    /// limit. Loopback is exempt: a proxy on this machine speaks for many. Default 20.
    pub requests_per_second: u32,
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
            stun: StunConfig::default(),
            turn: TurnConfig::default(),
            service_tokens: Vec::new(),
            allowed_origins: Vec::new(),
            requests_per_second: 20,
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
        ConfigError::unless(rules)?;
        self.entitlement.check(self.mode)?;
        self.stun.check()?;
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

    /// Names the first rule that does not hold: whether it does, whose it is, how it goes.
    fn unless<const N: usize>(rules: [(bool, &'static str, &'static str); N]) -> Result<(), Self> {
        let broken = rules.into_iter().find(|(holds, ..)| !holds);
        broken.map_or(Ok(()), |(_, field, rule)| Err(Self::new(field, rule)))
    }
}

/// How long a session is known whose host has not entered its room yet: whoever registers sessions and does not
/// use them shall not fill the store.
pub(super) const UNENTERED_LIFE: Duration = Duration::from_secs(600);
