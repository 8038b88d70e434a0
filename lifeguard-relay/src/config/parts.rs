//! The settings of each part of the service.

use super::{settings::Settings, source::ConfigError};
use crate::{
    control::{ControlConfig, Secret},
    listen::{Caps, ListenConfig},
    page::{PageConfig, Relays},
    relay::{InternalConfig, LimitsConfig, PoolKey, Rate, RelayConfig},
};

impl Settings {
    /// The part of the control plane.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] for what the control plane cannot work with.
    pub fn control(&self) -> Result<ControlConfig, ConfigError> {
        let mut config = ControlConfig::default();
        config.issuer.clone_from(&self.issuer);
        config.relay_url.clone_from(&self.relay_url);
        config.region.clone_from(&self.region);
        config.allowed_origins.clone_from(&self.allowed_origins);
        config.fallback_ws_enabled = self.fallback_enabled;
        config.paused = self.fallback_paused;
        config.token_ttl = self.token_ttl.as_secs();
        config.guardrail_threshold = self.guardrail_threshold;
        config.session_ttl = self.session_ttl.as_secs();
        config.mode = self.control_mode;
        config.requests_per_second = self.requests_per_second;
        config.service_tokens = secrets(&self.service_tokens);
        config.auto_pause.ratio = self.auto_pause_ratio;
        config.auto_pause.unscraped_secs = self.auto_pause_unscraped.map(|time| time.as_secs());
        let rollout = &mut config.rollout;
        rollout.stage = self.rollout_stage;
        rollout.dogfood.clone_from(&self.rollout_dogfood);
        rollout.cohorts.clone_from(&self.rollout_cohorts);
        rollout.percent = self.rollout_percent;
        let entitlement = &mut config.entitlement;
        entitlement.required = self.entitlement_required;
        entitlement.jwks_url.clone_from(&self.jwks_url);
        entitlement.issuer.clone_from(&self.entitlement_issuer);
        entitlement.audience.clone_from(&self.entitlement_audience);
        entitlement.entitlement.clone_from(&self.entitlement);
        entitlement.jwks_cache_ttl = self.jwks_cache_ttl.as_secs();
        let stun = &mut config.stun;
        stun.listen_addr = self.stun_listen_addr;
        stun.urls.clone_from(&self.stun_urls);
        stun.per_second = self.stun_per_second;
        stun.total_per_second = self.stun_total_per_second;
        let turn = &mut config.turn;
        turn.urls.clone_from(&self.turn_urls);
        turn.secrets = secrets(&self.turn_secret);
        turn.realm.clone_from(&self.turn_realm);
        turn.ttl = self.turn_ttl.as_secs();
        turn.open = self.turn_open;
        turn.entitlements.clone_from(&self.turn_entitlements);
        turn.external_ip.clone_from(&self.turn_external_ip);
        if self.dev_override {
            config.honour_dev_override();
        }
        config.check().map_err(|error| ConfigError::Conflict(error.to_string()))?;
        Ok(config)
    }

    /// The part of the accept loop.
    pub fn listen(&self) -> ListenConfig {
        ListenConfig {
            header_timeout: self.header_timeout,
            tcp_user_timeout: self.tcp_user_timeout,
            trusted_proxies: self.trusted_proxies.clone(),
            ..ListenConfig::default()
        }
    }

    /// The caps on connections.
    pub fn caps(&self) -> Caps {
        Caps {
            connections: self.max_connections,
            per_address: self.max_per_address,
            strangers: self.max_strangers,
            strangers_per_address: self.max_strangers_per_address,
            exempt_loopback: self.exempt_loopback,
        }
    }

    /// The page behind a join link. Who serves it as a control plane names the relays that it may connect to.
    pub fn page(&self, control_plane: bool) -> PageConfig {
        let mut config = PageConfig::default();
        config.folder.clone_from(&self.page_folder);
        config.sign_in_url.clone_from(&self.sign_in_url);
        if control_plane {
            config.relays = match (&self.relay_url, &self.redis_url) {
                (_, Some(_)) => Relays::Any,
                (Some(url), None) => Relays::One(url.clone()),
                (None, None) => Relays::None,
            };
        }
        config
    }

    /// The part of the relay plane.
    pub fn relay(&self) -> RelayConfig {
        let mut config = RelayConfig::default();
        config.allowed_origins.clone_from(&self.allowed_origins);
        config.public_url.clone_from(&self.public_url);
        config.region.clone_from(&self.region);
        config.internal = self.internal();
        config.v1 = self.v1;
        config.http_carrier = self.http_carrier;
        config.v1_max_message = self.v1_max_message.0;
        config.max_peers = self.max_peers;
        config.hello_deadline = self.hello_timeout;
        config.reliable_budget = self.reliable_budget.0;
        config.datagram_budget = self.datagram_budget.0;
        config.patience.heartbeat = self.heartbeat;
        config.patience.missed = self.missed_heartbeats;
        config.patience.idle = self.idle_timeout;
        config.patience.write_deadline = self.write_deadline;
        config.drain.grace = self.shutdown_grace;
        config.drain.spread = self.drain_spread;
        let limits = &mut config.limits;
        limits.connection_bytes = Rate { per_second: self.connection_bytes, burst: self.connection_burst };
        limits.connection_frames = LimitsConfig::frames(self.connection_messages);
        limits.read_only_bytes.per_second = self.read_only_bytes;
        limits.session_bytes = LimitsConfig::session(self.session_bytes);
        limits.egress_bytes = LimitsConfig::egress(self.egress_bytes);
        limits.address_connections = LimitsConfig::connections(self.address_connections);
        limits.patience = self.rate_patience;
        config
    }

    /// How other nodes reach this one, where they do.
    fn internal(&self) -> Option<InternalConfig> {
        let listen = self.internal_listen_addr?;
        let mut keys = self.internal_key.iter().filter_map(|key| PoolKey::new(key).ok());
        let address = self.internal_address.clone().unwrap_or_else(|| listen.to_string());
        let mut config = InternalConfig::new(address, keys.next()?);
        config.other_key = keys.next();
        Some(config)
    }
}

fn secrets(items: &[String]) -> Vec<Secret> {
    items.iter().map(Secret::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KEYS, Values};

    fn from(pairs: &[(&str, &str)]) -> Result<ControlConfig, ConfigError> {
        let mut values = Values::default();
        values.add_environment(KEYS, |name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })?;
        Settings::read(&values)?.control()
    }

    #[test]
    fn nothing_set_is_what_each_part_is_by_itself() {
        let settings = Settings::read(&Values::default()).unwrap();
        let same = |set: &dyn std::fmt::Debug, by_itself: &dyn std::fmt::Debug| {
            assert_eq!(format!("{set:?}"), format!("{by_itself:?}"));
        };
        same(&settings.relay(), &RelayConfig::default());
        same(&settings.listen(), &ListenConfig::default());
        same(&settings.caps(), &Caps::default());
        same(&settings.control().unwrap(), &ControlConfig::default());
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
            ("BEACH_LIFEGUARD_TURN_OPEN", "true"),
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
        let cases: &[(&[(&str, &str)], &str)] = &[
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
            (&[("BEACH_LIFEGUARD_STUN_URLS", "turn:a")], "stun.urls"),
            (&[("BEACH_LIFEGUARD_STUN_URLS", "stun:a,stun:b,stun:c,stun:d,stun:e")], "stun.urls"),
            (&[("BEACH_LIFEGUARD_STUN_LISTEN_ADDR", "0.0.0.0:3478")], "stun.urls"),
            (
                &[("BEACH_GATE_TURN_URLS", "turn:a"), ("BEACH_GATE_TURN_SECRET", "0123456789abcdef")],
                "turn.external_ip",
            ),
            (&[("BEACH_GATE_TURN_URLS", "turn:a"), ("BEACH_GATE_TURN_SECRET", "short")], "turn.secrets"),
        ];
        for (pairs, field) in cases {
            let error = from(pairs).unwrap_err().to_string();
            assert!(error.contains(field), "{pairs:?}: {error}");
        }
    }

    #[test]
    fn production_serves_turn_to_strangers_only_when_told_so() {
        let turn = [
            ("BEACH_GATE_TURN_URLS", "turn:a"),
            ("BEACH_GATE_TURN_SECRET", "0123456789abcdef"),
            ("BEACH_TURN_EXTERNAL_IP", "192.0.2.1"),
        ];
        let with = |more: &[(&'static str, &'static str)]| from(&[&turn, more].concat());
        let error = with(&[]).unwrap_err().to_string();
        assert!(error.contains("`turn.open = true`") && error.contains("`entitlement.required"), "{error}");
        assert!(with(&[("BEACH_LIFEGUARD_TURN_OPEN", "true")]).unwrap().turn.open);
        with(&[("BEACH_LIFEGUARD_MODE", "development")]).unwrap();
        with(&[
            ("FALLBACK_REQUIRE_OIDC", "true"),
            ("BEACH_GATE_JWKS_URL", "https://gate.example/jwks"),
            ("BEACH_GATE_ISSUER", "https://gate.example"),
            ("BEACH_GATE_AUDIENCE", "beach"),
        ])
        .unwrap();
    }

    #[test]
    fn the_dev_override_is_for_development() {
        let mut config = from(&[("BEACH_DEV_ENABLE_FALLBACK_WS", "1")]).unwrap();
        assert_eq!(config.fallback_ws_enabled, cfg!(debug_assertions));
        config =
            from(&[("BEACH_DEV_ENABLE_FALLBACK_WS", "1"), ("BEACH_LIFEGUARD_MODE", "development")]).unwrap();
        assert!(config.fallback_ws_enabled);
    }

    #[test]
    fn the_internal_listener_is_set_as_a_whole_or_not_at_all() {
        let settings = |pairs: &[(&str, &str)]| {
            let pool = [
                ("BEACH_LIFEGUARD_REDIS_URL", "redis://127.0.0.1/0"),
                ("BEACH_LIFEGUARD_PUBLIC_RELAY_URL", "wss://beach.example/v2/ws"),
            ];
            let mut values = Values::default();
            values
                .add_environment(KEYS, |name| {
                    let given = pool.iter().chain(pairs).find(|(known, _)| *known == name);
                    given.map(|(_, value)| (*value).to_owned())
                })
                .unwrap();
            let settings = Settings::read(&values).unwrap();
            settings.check().map(|()| settings.relay().internal)
        };
        let (listen, key) = ("BEACH_LIFEGUARD_INTERNAL_LISTEN_ADDR", "BEACH_LIFEGUARD_INTERNAL_KEY");
        let long = "0123456789abcdef0123456789abcdef";
        assert!(settings(&[]).unwrap().is_none());
        let set = settings(&[(listen, "10.0.0.1:9445"), (key, long)]).unwrap().unwrap();
        assert_eq!((&*set.address, set.other_key), ("10.0.0.1:9445", None));
        let two = format!("{long},{}", long.to_uppercase());
        let named =
            [(listen, "0.0.0.0:9445"), (key, &*two), ("BEACH_LIFEGUARD_INTERNAL_ADDRESS", "relay-1:9445")];
        let set = settings(&named).unwrap().unwrap();
        assert_eq!((&*set.address, set.other_key.is_some()), ("relay-1:9445", true));
        for wrong in [
            &[(key, long)][..],
            &[(listen, "10.0.0.1:9445")],
            &[(listen, "10.0.0.1:9445"), (key, "short")],
            &[(listen, "0.0.0.0:9445"), (key, long)],
            &[("BEACH_LIFEGUARD_INTERNAL_ADDRESS", "relay-1:9445")],
        ] {
            let error = settings(wrong).unwrap_err().to_string();
            assert!(error.contains("pool.internal_"), "{wrong:?}: {error}");
            assert!(!error.contains(long) && !error.contains("short,"), "{error}");
        }
    }
}
