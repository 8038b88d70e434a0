//! The settings' names in the environment: those of the deployed control plane, and ours.

use std::collections::BTreeMap;

use super::{ConfigError, ControlConfig, Mode, Secret, Stage};

impl ControlConfig {
    /// Takes what the environment sets. `lookup` finds a variable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the variable.
    pub fn apply_env(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let env = Env(lookup);
        env.read("FALLBACK_WS_PAUSED", flag, &mut self.paused)?;
        env.read("FALLBACK_WS_ENABLED", flag, &mut self.fallback_ws_enabled)?;
        env.read("FALLBACK_TOKEN_TTL", number, &mut self.token_ttl)?;
        env.read("FALLBACK_GUARDRAIL_THRESHOLD", number, &mut self.guardrail_threshold)?;
        env.read("FALLBACK_AUTO_PAUSE_RATIO", optional, &mut self.auto_pause.ratio)?;
        env.read("FALLBACK_AUTO_PAUSE_UNSCRAPED_SECS", optional, &mut self.auto_pause.unscraped_secs)?;
        env.read("FALLBACK_SERVICE_TOKENS", secrets, &mut self.service_tokens)?;

        let rollout = &mut self.rollout;
        env.read("FALLBACK_ROLLOUT_STAGE", stage, &mut rollout.stage)?;
        env.read("FALLBACK_ROLLOUT_DOGFOOD", list, &mut rollout.dogfood)?;
        env.read("FALLBACK_ROLLOUT_COHORTS", percentages, &mut rollout.cohorts)?;
        env.read("FALLBACK_ROLLOUT_PERCENT", number, &mut rollout.percent)?;

        let entitlement = &mut self.entitlement;
        env.read("FALLBACK_REQUIRE_OIDC", flag, &mut entitlement.required)?;
        env.read("FALLBACK_REQUIRED_ENTITLEMENT", text, &mut entitlement.entitlement)?;
        env.read("FALLBACK_JWKS_CACHE_TTL", number, &mut entitlement.jwks_cache_ttl)?;
        env.read("BEACH_GATE_JWKS_URL", optional, &mut entitlement.jwks_url)?;
        env.read("BEACH_GATE_ISSUER", text, &mut entitlement.issuer)?;
        env.read("BEACH_GATE_AUDIENCE", text, &mut entitlement.audience)?;

        let turn = &mut self.turn;
        env.read("BEACH_GATE_TURN_URLS", list, &mut turn.urls)?;
        env.read("BEACH_GATE_TURN_SECRET", secrets, &mut turn.secrets)?;
        env.read("BEACH_GATE_TURN_REALM", optional, &mut turn.realm)?;
        env.read("BEACH_GATE_TURN_TTL", number, &mut turn.ttl)?;
        env.read("BEACH_GATE_TURN_REQUIRED_ENTITLEMENTS", list, &mut turn.entitlements)?;
        env.read("BEACH_TURN_EXTERNAL_IP", optional, &mut turn.external_ip)?;

        let mut dev = false;
        env.read(DEV_OVERRIDE, flag, &mut dev)?;
        if dev {
            self.honour_dev_override();
        }
        Ok(())
    }

    /// `BEACH_DEV_ENABLE_FALLBACK_WS=1`: rolls the fallback out to everybody in development; in production
    /// it does nothing, and says so.
    pub fn honour_dev_override(&mut self) {
        if self.mode == Mode::Development || cfg!(debug_assertions) {
            self.fallback_ws_enabled = true;
        } else {
            tracing::warn!(variable = DEV_OVERRIDE, "ignored in production");
        }
    }
}

struct Env<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Env<'_> {
    fn read<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        into: &mut T,
    ) -> Result<(), ConfigError> {
        if let Some(text) = (self.0)(name) {
            *into = parse(text.trim()).ok_or(ConfigError::new(name, "cannot be read"))?;
        }
        Ok(())
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "" | "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Empty is "not set".
fn optional<T: std::str::FromStr>(text: &str) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn list(text: &str) -> Option<Vec<String>> {
    Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

fn secrets(text: &str) -> Option<Vec<Secret>> {
    list(text).map(|items| items.into_iter().map(Secret::new).collect())
}

fn stage(text: &str) -> Option<Stage> {
    match text.to_ascii_lowercase().as_str() {
        "dogfood" => Some(Stage::Dogfood),
        "limited" => Some(Stage::Limited),
        "general" => Some(Stage::General),
        _ => None,
    }
}

fn percentages(text: &str) -> Option<BTreeMap<String, u8>> {
    list(text)?
        .iter()
        .map(|item| {
            let (cohort, percent) = item.split_once('=')?;
            Some((cohort.trim().to_owned(), percent.trim().parse().ok()?))
        })
        .collect()
}

const DEV_OVERRIDE: &str = "BEACH_DEV_ENABLE_FALLBACK_WS";

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &'static [(&'static str, &'static str)]) -> Result<ControlConfig, ConfigError> {
        let mut config = ControlConfig::default();
        config.apply_env(&|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })?;
        config.check().map(|()| config)
    }

    #[test]
    fn the_deployed_names_work() {
        let config = from(&[
            ("FALLBACK_WS_PAUSED", "1"),
            ("FALLBACK_REQUIRE_OIDC", "true"),
            ("FALLBACK_GUARDRAIL_THRESHOLD", "0.01"),
            ("FALLBACK_TOKEN_TTL", "300"),
            ("FALLBACK_REQUIRED_ENTITLEMENT", "rescue:other"),
            ("FALLBACK_JWKS_CACHE_TTL", "30"),
            ("BEACH_GATE_JWKS_URL", "https://gate.example/jwks"),
            ("BEACH_GATE_ISSUER", "https://gate.example"),
            ("BEACH_GATE_AUDIENCE", "beach"),
            ("BEACH_GATE_TURN_URLS", "turn:a:3478, turns:a:5349"),
            ("BEACH_GATE_TURN_SECRET", "0123456789abcdef,fedcba9876543210"),
            ("BEACH_GATE_TURN_TTL", "60"),
            ("BEACH_TURN_EXTERNAL_IP", "192.0.2.1"),
            ("FALLBACK_ROLLOUT_STAGE", "limited"),
            ("FALLBACK_ROLLOUT_COHORTS", "beta=25, staff=100"),
        ])
        .unwrap();
        assert!(config.paused && config.entitlement.required);
        assert_eq!((config.token_ttl, config.turn.ttl, config.turn.urls.len()), (300, 60, 2));
        assert_eq!(config.rollout.cohorts["beta"], 25);
        assert_eq!(config.turn.secrets.len(), 2);
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let cases: &[(&'static [(&'static str, &'static str)], &str)] = &[
            (&[("FALLBACK_TOKEN_TTL", "301")], "token_ttl"),
            (&[("FALLBACK_TOKEN_TTL", "soon")], "FALLBACK_TOKEN_TTL"),
            (&[("FALLBACK_TOKEN_TTL", "-1")], "FALLBACK_TOKEN_TTL"),
            (&[("FALLBACK_WS_PAUSED", "maybe")], "FALLBACK_WS_PAUSED"),
            (&[("FALLBACK_GUARDRAIL_THRESHOLD", "1.5")], "guardrail_threshold"),
            (&[("FALLBACK_GUARDRAIL_THRESHOLD", "NaN")], "guardrail_threshold"),
            (&[("FALLBACK_AUTO_PAUSE_RATIO", "0.001")], "auto_pause.ratio"),
            (&[("FALLBACK_AUTO_PAUSE_UNSCRAPED_SECS", "1")], "auto_pause.unscraped_secs"),
            (&[("FALLBACK_ROLLOUT_PERCENT", "101")], "rollout"),
            (&[("FALLBACK_ROLLOUT_PERCENT", "256")], "FALLBACK_ROLLOUT_PERCENT"),
            (&[("FALLBACK_ROLLOUT_STAGE", "everywhere")], "FALLBACK_ROLLOUT_STAGE"),
            (&[("FALLBACK_ROLLOUT_COHORTS", "beta")], "FALLBACK_ROLLOUT_COHORTS"),
            (&[("FALLBACK_ROLLOUT_COHORTS", "beta=101")], "rollout"),
            (&[("FALLBACK_SERVICE_TOKENS", "short")], "service_tokens"),
            (&[("FALLBACK_REQUIRE_OIDC", "1")], "entitlement.jwks_url"),
            (&[("BEACH_GATE_JWKS_URL", "http://gate.example/jwks")], "entitlement.jwks_url"),
            (&[("BEACH_GATE_JWKS_URL", "file:///etc/passwd")], "entitlement.jwks_url"),
            (&[("BEACH_GATE_JWKS_URL", "https://gate.example/jwks")], "entitlement"),
            (&[("BEACH_GATE_JWKS_URL", "gate")], "BEACH_GATE_JWKS_URL"),
            (&[("BEACH_GATE_TURN_URLS", "turn:a")], "turn.secrets"),
            (&[("BEACH_GATE_TURN_URLS", "stun:a")], "turn.urls"),
            (
                &[("BEACH_GATE_TURN_URLS", "turn:a"), ("BEACH_GATE_TURN_SECRET", "0123456789abcdef")],
                "turn.external_ip",
            ),
            (&[("BEACH_GATE_TURN_URLS", "turn:a"), ("BEACH_GATE_TURN_SECRET", "short")], "turn.secrets"),
        ];
        for (pairs, field) in cases {
            assert_eq!(from(pairs).unwrap_err().field, *field, "{pairs:?}");
        }
    }

    #[test]
    fn the_dev_override_is_for_development() {
        let mut config = from(&[(DEV_OVERRIDE, "1")]).unwrap();
        assert_eq!(config.fallback_ws_enabled, cfg!(debug_assertions));
        config = ControlConfig { mode: Mode::Development, ..ControlConfig::default() };
        config.honour_dev_override();
        assert!(config.fallback_ws_enabled);
    }
}
