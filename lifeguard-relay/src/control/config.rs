//! The control plane's settings.

use std::time::Duration;

use serde::Deserialize;

/// How the control plane mints.
///
/// # Defaults
///
/// Each field names its own; `FALLBACK_*` are the deployed control plane's names.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// The name tokens are signed in. Default `beach-control`.
    pub issuer: String,
    /// The relay named in token responses, `wss://…/v2/ws`. Default: none, the client derives it from the
    /// control plane's address.
    pub relay_url: Option<String>,
    /// Whether the fallback is rolled out at all: `fallback_ws_enabled`. Default false; `dev` sets it.
    pub fallback_ws_enabled: bool,
    /// Life of a token in seconds, 10 to 300. Default 60. `FALLBACK_TOKEN_TTL`.
    pub token_ttl: u64,
    /// Share of a cohort's sessions in an hour beyond which activations are tagged and alerted, 0 to 1.
    /// Default 0.005. `FALLBACK_GUARDRAIL_THRESHOLD`.
    pub guardrail_threshold: f64,
    /// Whether minting starts paused. Default false. `FALLBACK_WS_PAUSED`.
    pub paused: bool,
    /// How long an unused session is known, in seconds. Default one day.
    pub session_ttl: u64,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            issuer: "beach-control".to_owned(),
            relay_url: None,
            fallback_ws_enabled: false,
            token_ttl: 60,
            guardrail_threshold: 0.005,
            paused: false,
            session_ttl: 86_400,
        }
    }
}

impl ControlConfig {
    /// Takes what the environment sets.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the variable.
    pub fn apply_env(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        read(lookup, "FALLBACK_WS_PAUSED", flag, &mut self.paused)?;
        read(lookup, "FALLBACK_WS_ENABLED", flag, &mut self.fallback_ws_enabled)?;
        read(lookup, "FALLBACK_TOKEN_TTL", |text| text.parse().ok(), &mut self.token_ttl)?;
        read(
            lookup,
            "FALLBACK_GUARDRAIL_THRESHOLD",
            |text| text.parse().ok(),
            &mut self.guardrail_threshold,
        )?;
        Ok(())
    }

    /// Checks that the settings can work.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(10..=beach_lifeguard_client::token::MAX_LIFE_SECS).contains(&self.token_ttl) {
            return Err(ConfigError::new("token_ttl", "is 10 to 300 seconds"));
        }
        if !(0.0..=1.0).contains(&self.guardrail_threshold) {
            return Err(ConfigError::new("guardrail_threshold", "is 0 to 1"));
        }
        if self.issuer.is_empty() {
            return Err(ConfigError::new("issuer", "is not empty"));
        }
        Ok(())
    }

    pub(super) fn session_life(&self) -> Duration {
        Duration::from_secs(self.session_ttl.max(60))
    }
}

fn read<T>(
    lookup: &dyn Fn(&str) -> Option<String>,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
    into: &mut T,
) -> Result<(), ConfigError> {
    if let Some(text) = lookup(name) {
        *into = parse(text.trim()).ok_or(ConfigError::new(name, "cannot be read"))?;
    }
    Ok(())
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "" | "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("control plane: {field} {rule}")]
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
