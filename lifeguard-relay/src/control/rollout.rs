//! Who the fallback is rolled out to. No IO.

use beach_lifeguard_client::api::DEFAULT_COHORT;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::config::{ControlConfig, RolloutConfig, Stage};
use crate::rules::{Budget, Rules};

impl ControlConfig {
    /// Whether a session of `cohort` may have a token.
    pub(super) fn is_rolled_out(&self, cohort: &str, session: Uuid) -> bool {
        self.rules().is_rolled_out(cohort, session)
    }

    /// What a relay goes by when a spare token is used.
    pub(super) fn rules(&self) -> Rules {
        Rules { enabled: self.fallback_ws_enabled, rollout: self.rollout.clone(), budget: self.budget() }
    }

    /// When a cohort has used up its activations.
    pub(super) fn budget(&self) -> Budget {
        Budget { threshold: self.guardrail_threshold, pause_at: self.auto_pause.ratio }
    }

    /// The cohort a request belongs to: what it is rolled out, paused, counted and signed as. `None` for a
    /// name that is not one. Whether the account may be of a cohort with a name is for its entitlement to say.
    ///
    /// Clients choose the name, so one that nobody configured is everybody's cohort: otherwise it would be
    /// anybody's key in the store, and a way past a pause.
    pub(super) fn cohort<'a>(&self, asked: &'a str) -> Option<&'a str> {
        let rollout = &self.rollout;
        let configured = |name: &str| {
            rollout.cohorts.contains_key(name) || rollout.dogfood.iter().any(|known| known == name)
        };
        is_name(asked).then(|| if configured(asked) { asked } else { DEFAULT_COHORT })
    }
}

impl RolloutConfig {
    /// Whether a session of `cohort` is among those that it is rolled out to.
    pub(crate) fn includes(&self, cohort: &str, session: Uuid) -> bool {
        place(session) < self.percent_of(cohort)
    }

    fn percent_of(&self, cohort: &str) -> f64 {
        if self.dogfood.iter().any(|name| name == cohort) {
            return 100.0;
        }
        let named = self.cohorts.get(cohort).filter(|_| self.stage >= Stage::Limited);
        let others = if self.stage >= Stage::General { self.percent } else { 0 };
        named.copied().unwrap_or(others).into()
    }
}

/// Where a session stands between 0 and 100: the same on every node and after every restart, so that a
/// rising percentage only ever adds sessions.
fn place(session: Uuid) -> f64 {
    let hash: [u8; 32] =
        Sha256::new().chain_update(b"beach/1/rollout").chain_update(session).finalize().into();
    let [a, b, c, d, ..] = hash;
    f64::from(u32::from_be_bytes([a, b, c, d])) / 2f64.powi(32) * 100.0
}

/// Whether a text may name a cohort: 1 to 64 of `a-z A-Z 0-9 . _ -`.
fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    matches!(text.len(), 1..=64) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(stage: Stage, percent: u8) -> ControlConfig {
        let mut config = ControlConfig { fallback_ws_enabled: true, ..ControlConfig::default() };
        config.rollout.stage = stage;
        config.rollout.percent = percent;
        config.rollout.cohorts.insert("beta".to_owned(), 25);
        config
    }

    fn share(config: &ControlConfig, cohort: &str) -> usize {
        (0..2_000).filter(|n| config.is_rolled_out(cohort, Uuid::from_u128(*n))).count() / 20
    }

    #[test]
    fn each_stage_adds_to_the_one_before() {
        let shares = |stage| ["dogfood", "beta", "public"].map(|cohort| share(&config(stage, 50), cohort));
        assert_eq!(shares(Stage::Dogfood), [100, 0, 0]);
        let limited = shares(Stage::Limited);
        assert!(limited[0] == 100 && (20..=30).contains(&limited[1]) && limited[2] == 0, "{limited:?}");
        let general = shares(Stage::General);
        assert!(general[1] == limited[1] && (45..=55).contains(&general[2]), "{general:?}");
        let off = ControlConfig { fallback_ws_enabled: false, ..config(Stage::General, 100) };
        assert_eq!(share(&off, "dogfood"), 0);
    }

    #[test]
    fn a_rising_percentage_only_adds() {
        let (less, more) = (config(Stage::General, 10), config(Stage::General, 11));
        for n in 0..2_000 {
            let session = Uuid::from_u128(n);
            assert!(!less.is_rolled_out("public", session) || more.is_rolled_out("public", session));
        }
        assert_eq!(share(&config(Stage::General, 0), "public"), 0);
        assert_eq!(share(&config(Stage::General, 100), "public"), 100);
    }

    #[test]
    fn a_place_is_pinned() {
        // Another hash would move every session of a running roll-out.
        let seen: Vec<u32> = (0..4).map(|n| place(Uuid::from_u128(n)) as u32).collect();
        assert_eq!(seen, [55, 50, 4, 44]);
    }

    #[test]
    fn names_nobody_configured_are_one_cohort() {
        let config = config(Stage::General, 100);
        for (asked, cohort) in
            [("public", "public"), ("beta", "beta"), ("dogfood", "dogfood"), ("a.b_c-9", "public")]
        {
            assert_eq!(config.cohort(asked), Some(cohort));
        }
        // Look-alikes are nobody's either.
        for asked in ["pubIic", "Public", "Beta", "x"] {
            assert_eq!(config.cohort(asked), Some("public"), "{asked}");
        }
        for bad in ["", "a b", "a:b", "é", &"x".repeat(65), "a\n"] {
            assert_eq!(config.cohort(bad), None, "{bad:?}");
        }
    }
}
