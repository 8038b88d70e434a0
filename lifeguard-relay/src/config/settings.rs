//! The keys themselves.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

use super::{
    keys,
    source::{ConfigError, Key, Values},
    value::{Bytes, Setting},
};
use crate::{
    control::{Mode, Stage},
    listen::Network,
    relay::DataPath,
};

keys! {
    /// Where clients connect.
    listen_addr: SocketAddr = "127.0.0.1:9443", "listen.addr", ["BEACH_LIFEGUARD_LISTEN_ADDR"];
    /// PEM chain for TLS; empty for plain TCP behind a proxy that does TLS. Read again at SIGHUP.
    tls_certificate: Option<PathBuf> = "", "listen.tls_certificate", ["BEACH_LIFEGUARD_TLS_CERTIFICATE"];
    /// PEM key of the certificate.
    tls_key: Option<PathBuf> = "", "listen.tls_key", ["BEACH_LIFEGUARD_TLS_KEY"];
    /// Time for the TLS handshake, and for each request's header.
    header_timeout: Duration = "3s", "listen.header_timeout", ["BEACH_LIFEGUARD_HEADER_TIMEOUT"];
    /// Unacknowledged data older than this ends a connection in the kernel.
    tcp_user_timeout: Duration = "30s", "listen.tcp_user_timeout", ["BEACH_LIFEGUARD_TCP_USER_TIMEOUT"];
    /// Connections in all.
    max_connections: usize = "20000", "listen.max_connections", ["BEACH_LIFEGUARD_MAX_CONNECTIONS"];
    /// Connections from one address (IPv4 address or IPv6 /64).
    max_per_address: usize = "512", "listen.max_per_address", ["BEACH_LIFEGUARD_MAX_PER_ADDRESS"];
    /// Connections in all that have not shown a valid token yet.
    max_strangers: usize = "512", "listen.max_strangers", ["BEACH_LIFEGUARD_MAX_STRANGERS"];
    /// The same from one address.
    max_strangers_per_address: usize = "8", "listen.max_strangers_per_address",
        ["BEACH_LIFEGUARD_MAX_STRANGERS_PER_ADDRESS"];
    /// Leave loopback addresses out of the two caps per address: a proxy on this machine speaks for many.
    exempt_loopback: bool = "true", "listen.exempt_loopback", ["BEACH_LIFEGUARD_EXEMPT_LOOPBACK"];
    /// Proxies before this process: their X-Forwarded-For counts, and no cap per address counts them.
    trusted_proxies: Vec<Network> = "", "listen.trusted_proxies", ["BEACH_LIFEGUARD_TRUSTED_PROXIES"];

    /// Where the operator connects: metrics, debug page, kill switch. Keep it off the public network.
    admin_addr: SocketAddr = "127.0.0.1:9444", "admin.addr", ["BEACH_LIFEGUARD_ADMIN_ADDR"];
    /// Bearer token for the admin address; required when that is not a loopback address.
    admin_token: Option<String> = "", "admin.token", ["BEACH_LIFEGUARD_ADMIN_TOKEN"], secret;

    /// Redis that all nodes share, `redis://[user:password@]host[:port][/db]` or `rediss://`; empty for this
    /// process's memory, right for one node.
    redis_url: Option<String> = "", "store.redis_url", ["BEACH_LIFEGUARD_REDIS_URL", "REDIS_URL"], secret;

    /// Who signs tokens: control plane and relay must say the same.
    issuer: String = "beach-lifeguard", "tokens.issuer", ["BEACH_LIFEGUARD_ISSUER"];
    /// Relay: public keys that are trusted, `id:key`, as `keys generate` prints them.
    public_keys: Vec<String> = "", "tokens.public_keys", ["BEACH_LIFEGUARD_PUBLIC_KEYS"];
    /// Control plane: the private key, PEM.
    signing_key: Option<String> = "", "tokens.signing_key", ["BEACH_LIFEGUARD_SIGNING_KEY"], secret;
    /// Control plane: the name of that key.
    key_id: String = "", "tokens.key_id", ["BEACH_LIFEGUARD_KEY_ID"];

    /// Control plane: the relay named to clients, `wss://…/v2/ws`; empty when clients know it.
    relay_url: Option<String> = "", "control.relay_url", ["BEACH_LIFEGUARD_RELAY_URL"];
    /// Control plane: whether the fallback is rolled out at all.
    fallback_enabled: bool = "false", "control.fallback_ws_enabled", ["FALLBACK_WS_ENABLED"];
    /// Control plane: start with minting paused. Later changes go through `pause` and `resume`.
    fallback_paused: bool = "false", "control.fallback_ws_paused", ["FALLBACK_WS_PAUSED"];
    /// Control plane: what is allowed for convenience, `production` (nothing) or `development`.
    control_mode: Mode = "production", "control.mode", ["BEACH_LIFEGUARD_MODE"];
    /// Control plane: roll the fallback out to everybody, in development only.
    dev_override: bool = "false", "control.dev_override", ["BEACH_DEV_ENABLE_FALLBACK_WS"];
    /// Control plane: life of a token, 10s to 300s.
    token_ttl: Duration = "60s", "control.token_ttl", ["FALLBACK_TOKEN_TTL"];
    /// Control plane: share of a cohort's sessions in an hour beyond which activations alert, 0 to 1.
    guardrail_threshold: f64 = "0.005", "control.guardrail_threshold", ["FALLBACK_GUARDRAIL_THRESHOLD"];
    /// Control plane: how long an unused session is known.
    session_ttl: Duration = "24h", "control.session_ttl", ["BEACH_LIFEGUARD_SESSION_TTL"];

    /// Control plane: requests a second from one address, five times as many at once; 0 for no limit.
    requests_per_second: u32 = "20", "control.requests_per_second", ["BEACH_LIFEGUARD_REQUESTS_PER_SECOND"];
    /// Control plane: bearer tokens of services that may ask for fallback tokens, separated by commas; empty
    /// for everybody, membership is proven all the same.
    service_tokens: Vec<String> = "", "control.service_tokens", ["FALLBACK_SERVICE_TOKENS"], secret;
    /// Control plane: share of a cohort's sessions in an hour at which the cohort pauses; empty for never.
    auto_pause_ratio: Option<f64> = "", "control.auto_pause_ratio", ["FALLBACK_AUTO_PAUSE_RATIO"];
    /// Control plane: time without anybody reading the metrics after which all minting pauses; empty for never.
    auto_pause_unscraped: Option<Duration> = "", "control.auto_pause_unscraped",
        ["FALLBACK_AUTO_PAUSE_UNSCRAPED_SECS"];

    /// Control plane: how far the roll-out is: `dogfood`, `limited` (named cohorts too) or `general`.
    rollout_stage: Stage = "general", "rollout.stage", ["FALLBACK_ROLLOUT_STAGE"];
    /// Control plane: cohorts that are in at every stage.
    rollout_dogfood: Vec<String> = "dogfood", "rollout.dogfood", ["FALLBACK_ROLLOUT_DOGFOOD"];
    /// Control plane: percentages of named cohorts from the limited stage on, `beta=25`.
    rollout_cohorts: BTreeMap<String, u8> = "", "rollout.cohorts", ["FALLBACK_ROLLOUT_COHORTS"];
    /// Control plane: percentage of all other sessions at the general stage.
    rollout_percent: u8 = "100", "rollout.percent", ["FALLBACK_ROLLOUT_PERCENT"];

    /// Control plane: whether an account's entitlement must be proven.
    entitlement_required: bool = "false", "entitlement.required", ["FALLBACK_REQUIRE_OIDC"];
    /// Control plane: where the identity provider's keys are.
    jwks_url: Option<Url> = "", "entitlement.jwks_url", ["BEACH_GATE_JWKS_URL"];
    /// Control plane: the provider's name, as in the proof's `iss`.
    entitlement_issuer: String = "", "entitlement.issuer", ["BEACH_GATE_ISSUER"];
    /// Control plane: our name there, as in the proof's `aud`.
    entitlement_audience: String = "", "entitlement.audience", ["BEACH_GATE_AUDIENCE"];
    /// Control plane: what the account must have.
    entitlement: String = "rescue:fallback", "entitlement.entitlement", ["FALLBACK_REQUIRED_ENTITLEMENT"];
    /// Control plane: how long the provider's keys are taken as fresh.
    jwks_cache_ttl: Duration = "300s", "entitlement.jwks_cache_ttl", ["FALLBACK_JWKS_CACHE_TTL"];

    /// Control plane: `turn:` and `turns:` URLs whose credentials are handed out; empty for none.
    turn_urls: Vec<String> = "", "turn.urls", ["BEACH_GATE_TURN_URLS"];
    /// Control plane: the secret shared with the TURN servers; a second one after a comma while it replaces
    /// the first.
    turn_secret: Vec<String> = "", "turn.secret", ["BEACH_GATE_TURN_SECRET"], secret;
    /// Control plane: the TURN servers' realm, told to clients.
    turn_realm: Option<String> = "", "turn.realm", ["BEACH_GATE_TURN_REALM"];
    /// Control plane: life of TURN credentials, 30s to 1h.
    turn_ttl: Duration = "120s", "turn.ttl", ["BEACH_GATE_TURN_TTL"];
    /// Control plane: what the account must have for TURN, where entitlements are required.
    turn_entitlements: Vec<String> = "private-beach:turn", "turn.entitlements",
        ["BEACH_GATE_TURN_REQUIRED_ENTITLEMENTS"];
    /// Control plane: the address the TURN servers announce; needed, lest they announce a private one.
    turn_external_ip: Option<String> = "", "turn.external_ip", ["BEACH_TURN_EXTERNAL_IP"];

    /// Origins of web pages that may connect, matched exactly.
    allowed_origins: Vec<String> = "", "relay.allowed_origins", ["BEACH_LIFEGUARD_ALLOWED_ORIGINS"];
    /// Serve the deployed clients of protocol version 1 on /ws.
    v1: bool = "true", "relay.v1", ["BEACH_LIFEGUARD_V1"];
    /// Largest message of a v1 client.
    v1_max_message: Bytes = "1MiB", "relay.v1_max_message", ["BEACH_LIFEGUARD_V1_MAX_MESSAGE"];
    /// Peers in one session.
    max_peers: usize = "1024", "relay.max_peers", ["BEACH_LIFEGUARD_MAX_PEERS"];
    /// Time from the upgrade to the client's hello.
    hello_timeout: Duration = "5s", "relay.hello_timeout",
        ["BEACH_LIFEGUARD_HELLO_TIMEOUT", "BEACH_LIFEGUARD_HANDSHAKE_TIMEOUT_SECS"];
    /// Silence after which a peer is pinged; 0s for never.
    heartbeat: Duration = "15s", "relay.heartbeat", ["BEACH_LIFEGUARD_HEARTBEAT"];
    /// Heartbeats that may go unanswered.
    missed_heartbeats: u32 = "3", "relay.missed_heartbeats", ["BEACH_LIFEGUARD_MISSED_HEARTBEATS"];
    /// No activity at all, in either direction, for this long ends a connection; 0s for never.
    idle_timeout: Duration = "120s", "relay.idle_timeout", ["BEACH_LIFEGUARD_IDLE_TIMEOUT"];
    /// A peer that takes no byte for this long while some wait is closed as slow.
    write_deadline: Duration = "5s", "relay.write_deadline", ["BEACH_LIFEGUARD_WRITE_DEADLINE"];
    /// Reliable bytes that may wait for one peer; beyond it the peer is closed as slow.
    reliable_budget: Bytes = "512KiB", "relay.reliable_budget", ["BEACH_LIFEGUARD_RELIABLE_BUDGET"];
    /// Datagram bytes that may wait for one peer; beyond it the oldest are dropped.
    datagram_budget: Bytes = "64KiB", "relay.datagram_budget", ["BEACH_LIFEGUARD_DATAGRAM_BUDGET"];
    /// Which code carries the bytes: "direct", the relay's own, or "reference", a library's, slower.
    data_path: DataPath = "direct", "relay.data_path", ["BEACH_LIFEGUARD_DATA_PATH"];
    /// Reference data path: read buffer of each connection.
    read_buffer: Bytes = "3KiB", "relay.read_buffer", ["BEACH_LIFEGUARD_READ_BUFFER"];
    /// Reference data path: bytes collected before a write.
    write_buffer: Bytes = "16KiB", "relay.write_buffer", ["BEACH_LIFEGUARD_WRITE_BUFFER"];
    /// Time between the notice of a drain and the close.
    shutdown_grace: Duration = "5s", "relay.shutdown_grace",
        ["BEACH_LIFEGUARD_SHUTDOWN_GRACE", "BEACH_LIFEGUARD_SHUTDOWN_GRACE_SECS"];
    /// Clients spread their return over this time after a drain.
    drain_spread: Duration = "10s", "relay.drain_spread", ["BEACH_LIFEGUARD_DRAIN_SPREAD"];

    /// Bytes per second from one connection; 0 for no limit, here and below.
    connection_bytes: u32 = "67108864", "limits.connection_bytes", ["BEACH_LIFEGUARD_CONNECTION_BYTES"];
    /// Bytes that may come at once after a quiet time.
    connection_burst: u32 = "16777216", "limits.connection_burst", ["BEACH_LIFEGUARD_CONNECTION_BURST"];
    /// Messages per second from one connection.
    connection_messages: u32 = "50000", "limits.connection_messages",
        ["BEACH_LIFEGUARD_CONNECTION_MESSAGES"];
    /// Bytes per second from a read-only viewer: enough for its handshakes and acks, too little to stream.
    read_only_bytes: u32 = "16384", "limits.read_only_bytes", ["BEACH_LIFEGUARD_READ_ONLY_BYTES"];
    /// Bytes per second into one session, from all its peers.
    session_bytes: u32 = "134217728", "limits.session_bytes", ["BEACH_LIFEGUARD_SESSION_BYTES"];
    /// Bytes per second out of this relay: the bill.
    egress_bytes: u32 = "0", "limits.egress_bytes", ["BEACH_LIFEGUARD_EGRESS_BYTES"];
    /// New WebSocket connections per second from one address.
    address_connections: u32 = "50", "limits.address_connections", ["BEACH_LIFEGUARD_ADDRESS_CONNECTIONS"];
    /// A sender that is held back for this long without a break is cut.
    rate_patience: Duration = "30s", "limits.rate_patience", ["BEACH_LIFEGUARD_RATE_PATIENCE"];
}

impl Settings {
    /// Rules between keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`], saying what to change.
    pub fn check(&self) -> Result<(), ConfigError> {
        let conflict = |words: &str| Err(ConfigError::Conflict(words.to_owned()));
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return conflict(
                "`listen.tls_certificate` and `listen.tls_key` go together: set both or neither",
            );
        }
        if !self.admin_addr.ip().is_loopback() && self.admin_token.is_none() {
            return conflict("`admin.addr` is not a loopback address: set `admin.token`, or use 127.0.0.1");
        }
        if self.reliable_budget.0 < 65_536 {
            return conflict("`relay.reliable_budget` must be at least 64KiB, the size of one frame");
        }
        if self.read_buffer.0 < 1_024 || self.write_buffer.0 < 1_024 {
            return conflict("`relay.read_buffer` and `relay.write_buffer` must be at least 1KiB");
        }
        if self.hello_timeout.is_zero() || self.header_timeout.is_zero() || self.write_deadline.is_zero() {
            return conflict("`hello_timeout`, `header_timeout` and `write_deadline` cannot be zero");
        }
        Ok(())
    }
}

/// Secrets are among the settings.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("listen_addr", &self.listen_addr).finish_non_exhaustive()
    }
}
