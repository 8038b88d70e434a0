//! The keys themselves.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

use url::Url;

use super::{
    keys,
    source::{ConfigError, Key, Values},
    value::{Bytes, Setting},
};
use crate::{
    control::{ControlConfig, Mode, Stage},
    listen::{Caps, ListenConfig, Network},
    relay::{PoolKey, RelayConfig},
    store::{RedisStore, UrlError},
};

/// Where clients connect, unless told otherwise.
pub const LISTEN_ADDR: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9443));
/// Where the operator connects, unless told otherwise.
pub const ADMIN_ADDR: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9444));

keys! {
    /// Where clients connect.
    listen_addr: SocketAddr = LISTEN_ADDR, "listen.addr", ["BEACH_LIFEGUARD_LISTEN_ADDR"];
    /// PEM chain for TLS; empty for plain TCP behind a proxy that does TLS. Read again when it changes and at SIGHUP.
    tls_certificate: Option<PathBuf> = None, "listen.tls_certificate", ["BEACH_LIFEGUARD_TLS_CERTIFICATE"];
    /// PEM key of the certificate.
    tls_key: Option<PathBuf> = None, "listen.tls_key", ["BEACH_LIFEGUARD_TLS_KEY"];
    /// Time for the TLS handshake, and for each request's header.
    header_timeout: Duration = listen().header_timeout, "listen.header_timeout", ["BEACH_LIFEGUARD_HEADER_TIMEOUT"];
    /// Unacknowledged data older than this ends a connection in the kernel.
    tcp_user_timeout: Duration = listen().tcp_user_timeout, "listen.tcp_user_timeout", ["BEACH_LIFEGUARD_TCP_USER_TIMEOUT"];
    /// Connections in all.
    max_connections: usize = caps().connections, "listen.max_connections", ["BEACH_LIFEGUARD_MAX_CONNECTIONS"];
    /// Connections from one address (IPv4 address or IPv6 /64).
    max_per_address: usize = caps().per_address, "listen.max_per_address", ["BEACH_LIFEGUARD_MAX_PER_ADDRESS"];
    /// Connections in all that have not shown a valid token yet.
    max_strangers: usize = caps().strangers, "listen.max_strangers", ["BEACH_LIFEGUARD_MAX_STRANGERS"];
    /// The same from one address.
    max_strangers_per_address: usize = caps().strangers_per_address, "listen.max_strangers_per_address",
        ["BEACH_LIFEGUARD_MAX_STRANGERS_PER_ADDRESS"];
    /// Leave loopback addresses out of the two caps per address: a proxy on this machine speaks for many.
    exempt_loopback: bool = caps().exempt_loopback, "listen.exempt_loopback", ["BEACH_LIFEGUARD_EXEMPT_LOOPBACK"];
    /// Proxies before this process: their X-Forwarded-For counts, and no cap per address counts them.
    trusted_proxies: Vec<Network> = listen().trusted_proxies, "listen.trusted_proxies", ["BEACH_LIFEGUARD_TRUSTED_PROXIES"];

    /// Where the operator connects: metrics, debug page, kill switch. Keep it off the public network.
    admin_addr: SocketAddr = ADMIN_ADDR, "admin.addr", ["BEACH_LIFEGUARD_ADMIN_ADDR"];
    /// Bearer token for the admin address; required when that is not a loopback address.
    admin_token: Option<String> = None, "admin.token", ["BEACH_LIFEGUARD_ADMIN_TOKEN"], secret;

    /// Names under which the admin address is asked, beside its address and `localhost`: those a scraper uses.
    admin_hosts: Vec<String> = Vec::new(), "admin.hosts", ["BEACH_LIFEGUARD_ADMIN_HOSTS"];

    /// Redis that all nodes share: `redis://[user:password@]host[:port][/db]`,
    /// `redis+sentinel://[user:password@]host[:port],…/MASTER[/db]` or `redis+cluster://[user:password@]host[:port],…`;
    /// `rediss…` for TLS; empty for this process's memory, right for one node.
    redis_url: Option<String> = None, "store.redis_url", ["BEACH_LIFEGUARD_REDIS_URL", "REDIS_URL"], secret;
    /// PEM file of the private authority that signed the certificate of Redis; empty for those the system trusts.
    redis_ca: Option<PathBuf> = None, "store.redis_ca", ["BEACH_LIFEGUARD_REDIS_CA"];

    /// Who signs tokens: control plane and relay must say the same.
    issuer: String = control().issuer, "tokens.issuer", ["BEACH_LIFEGUARD_ISSUER"];
    /// Relay: public keys that are trusted, `id:key`, as `keys generate` prints them.
    public_keys: Vec<String> = Vec::new(), "tokens.public_keys", ["BEACH_LIFEGUARD_PUBLIC_KEYS"];
    /// Control plane: the private key, PEM.
    signing_key: Option<String> = None, "tokens.signing_key", ["BEACH_LIFEGUARD_SIGNING_KEY"], secret;
    /// Control plane: the name of that key.
    key_id: String = String::new(), "tokens.key_id", ["BEACH_LIFEGUARD_KEY_ID"];

    /// Where this node stands. With a pool, sessions go to relays of the region of the control plane that was asked.
    region: String = relay().region, "pool.region", ["BEACH_LIFEGUARD_REGION"];
    /// Relay: where clients reach this node, `wss://…/v2/ws`. With `store.redis_url` it makes this node one of a pool:
    /// control planes send sessions to it while it lives.
    public_url: Option<String> = relay().public_url, "pool.relay_url", ["BEACH_LIFEGUARD_PUBLIC_RELAY_URL"];
    /// Relay: where to take in what other nodes of the pool pass on, `10.0.0.5:9445`. Needed where several nodes have the
    /// same `pool.relay_url`; a private network only.
    internal_listen_addr: Option<SocketAddr> = None, "pool.internal_listen_addr", ["BEACH_LIFEGUARD_INTERNAL_LISTEN_ADDR"];
    /// Relay: where other nodes reach that, `HOST:PORT`; empty when it is the same address.
    internal_address: Option<String> = None, "pool.internal_address", ["BEACH_LIFEGUARD_INTERNAL_ADDRESS"];
    /// Relay: the key by which nodes prove to each other that they are of one pool, 32 characters or more, the same on all
    /// nodes; a second one after a comma is accepted as well, while a key is replaced.
    internal_key: Vec<String> = Vec::new(), "pool.internal_key", ["BEACH_LIFEGUARD_INTERNAL_KEY"], secret;

    /// Control plane: the relay named to clients, `wss://…/v2/ws`; empty when clients know it.
    relay_url: Option<String> = control().relay_url, "control.relay_url", ["BEACH_LIFEGUARD_RELAY_URL"];
    /// Control plane: whether the fallback is rolled out at all.
    fallback_enabled: bool = control().fallback_ws_enabled, "control.fallback_ws_enabled", ["FALLBACK_WS_ENABLED"];
    /// Control plane: start with minting paused. Later changes go through `pause` and `resume`.
    fallback_paused: bool = control().paused, "control.fallback_ws_paused", ["FALLBACK_WS_PAUSED"];
    /// Control plane: what is allowed for convenience, `production` (nothing) or `development`.
    control_mode: Mode = control().mode, "control.mode", ["BEACH_LIFEGUARD_MODE"];
    /// Control plane: roll the fallback out to everybody, in development only.
    dev_override: bool = false, "control.dev_override", ["BEACH_DEV_ENABLE_FALLBACK_WS"];
    /// Control plane: life of a token, 10s to 300s.
    token_ttl: Duration = secs(control().token_ttl), "control.token_ttl", ["FALLBACK_TOKEN_TTL"];
    /// Control plane: share of a cohort's sessions in an hour beyond which activations alert, 0 to 1.
    guardrail_threshold: f64 = control().guardrail_threshold, "control.guardrail_threshold", ["FALLBACK_GUARDRAIL_THRESHOLD"];
    /// Control plane: how long a session is known after its host was last in its room; ten minutes before it was.
    session_ttl: Duration = secs(control().session_ttl), "control.session_ttl", ["BEACH_LIFEGUARD_SESSION_TTL"];

    /// Control plane: requests a second from one address, five times as many at once; 0 for no limit.
    requests_per_second: u32 = control().requests_per_second, "control.requests_per_second", ["BEACH_LIFEGUARD_REQUESTS_PER_SECOND"];
    /// Control plane: bearer tokens of services that may ask for fallback tokens, separated by commas; empty
    /// for everybody, membership is proven all the same.
    service_tokens: Vec<String> = Vec::new(), "control.service_tokens", ["FALLBACK_SERVICE_TOKENS"], secret;
    /// Control plane: share of a cohort's sessions in an hour at which the cohort pauses; empty for never.
    auto_pause_ratio: Option<f64> = control().auto_pause.ratio, "control.auto_pause_ratio", ["FALLBACK_AUTO_PAUSE_RATIO"];
    /// Control plane: time without anybody reading the metrics after which all minting pauses; empty for never.
    auto_pause_unscraped: Option<Duration> = control().auto_pause.unscraped_secs.map(secs), "control.auto_pause_unscraped",
        ["FALLBACK_AUTO_PAUSE_UNSCRAPED_SECS"];

    /// Control plane: how far the roll-out is: `dogfood`, `limited` (named cohorts too) or `general`.
    rollout_stage: Stage = control().rollout.stage, "rollout.stage", ["FALLBACK_ROLLOUT_STAGE"];
    /// Control plane: cohorts that are in at every stage. An account is of a named cohort when it is entitled to
    /// `cohort:NAME`, else of `public`.
    rollout_dogfood: Vec<String> = control().rollout.dogfood, "rollout.dogfood", ["FALLBACK_ROLLOUT_DOGFOOD"];
    /// Control plane: percentages of named cohorts from the limited stage on, `beta=25`.
    rollout_cohorts: BTreeMap<String, u8> = control().rollout.cohorts, "rollout.cohorts", ["FALLBACK_ROLLOUT_COHORTS"];
    /// Control plane: percentage of all other sessions at the general stage.
    rollout_percent: u8 = control().rollout.percent, "rollout.percent", ["FALLBACK_ROLLOUT_PERCENT"];

    /// Control plane: whether an account's entitlement must be proven.
    entitlement_required: bool = control().entitlement.required, "entitlement.required", ["FALLBACK_REQUIRE_OIDC"];
    /// Control plane: where the identity provider's keys are.
    jwks_url: Option<Url> = control().entitlement.jwks_url, "entitlement.jwks_url", ["BEACH_GATE_JWKS_URL"];
    /// Control plane: the provider's name, as in the proof's `iss`.
    entitlement_issuer: String = control().entitlement.issuer, "entitlement.issuer", ["BEACH_GATE_ISSUER"];
    /// Control plane: our name there, as in the proof's `aud`.
    entitlement_audience: String = control().entitlement.audience, "entitlement.audience", ["BEACH_GATE_AUDIENCE"];
    /// Control plane: what the account must have.
    entitlement: String = control().entitlement.entitlement, "entitlement.entitlement", ["FALLBACK_REQUIRED_ENTITLEMENT"];
    /// Control plane: how long the provider's keys are taken as fresh.
    jwks_cache_ttl: Duration = secs(control().entitlement.jwks_cache_ttl), "entitlement.jwks_cache_ttl", ["FALLBACK_JWKS_CACHE_TTL"];

    /// Control plane: where to answer STUN Binding requests by UDP, `192.0.2.1:3478`, so that clients behind NAT find a
    /// direct path without a third party; empty for nowhere. On a machine with several addresses name one.
    stun_listen_addr: Option<SocketAddr> = control().stun.listen_addr, "stun.listen_addr", ["BEACH_LIFEGUARD_STUN_LISTEN_ADDR"];
    /// Control plane: `stun:HOST:PORT` URLs that clients are told, at most four; the server of `stun.listen_addr` is one.
    stun_urls: Vec<String> = control().stun.urls, "stun.urls", ["BEACH_LIFEGUARD_STUN_URLS"];
    /// Control plane: STUN requests a second that are answered for one address (IPv4 address or IPv6 /64), five times as
    /// many at once; 0 for no limit.
    stun_per_second: u32 = control().stun.per_second, "stun.per_second", ["BEACH_LIFEGUARD_STUN_PER_SECOND"];
    /// Control plane: STUN requests a second that are answered in all; 0 for no limit.
    stun_total_per_second: u32 = control().stun.total_per_second, "stun.total_per_second",
        ["BEACH_LIFEGUARD_STUN_TOTAL_PER_SECOND"];

    /// Control plane: `turn:` and `turns:` URLs whose credentials are handed out; empty for none.
    turn_urls: Vec<String> = control().turn.urls, "turn.urls", ["BEACH_GATE_TURN_URLS"];
    /// Control plane: the secret shared with the TURN servers; a second one after a comma while it replaces
    /// the first.
    turn_secret: Vec<String> = Vec::new(), "turn.secret", ["BEACH_GATE_TURN_SECRET"], secret;
    /// Control plane: the TURN servers' realm, told to clients.
    turn_realm: Option<String> = control().turn.realm, "turn.realm", ["BEACH_GATE_TURN_REALM"];
    /// Control plane: life of TURN credentials, 30s to 1h.
    turn_ttl: Duration = secs(control().turn.ttl), "turn.ttl", ["BEACH_GATE_TURN_TTL"];
    /// Control plane: hand TURN credentials to strangers where no entitlement is required. Production starts with TURN
    /// servers only when one of the two is set.
    turn_open: bool = control().turn.open, "turn.open", ["BEACH_LIFEGUARD_TURN_OPEN"];
    /// Control plane: what the account must have for TURN, where entitlements are required.
    turn_entitlements: Vec<String> = control().turn.entitlements, "turn.entitlements",
        ["BEACH_GATE_TURN_REQUIRED_ENTITLEMENTS"];
    /// Control plane: the address the TURN servers announce; needed, lest they announce a private one.
    turn_external_ip: Option<String> = control().turn.external_ip, "turn.external_ip", ["BEACH_TURN_EXTERNAL_IP"];

    /// Where an account is proven, `https://…`: the page behind a join link leads there when the relay asks for an entitlement.
    sign_in_url: Option<Url> = None, "page.sign_in_url", ["BEACH_LIFEGUARD_SIGN_IN_URL"];
    /// Serve the page in this folder, as `scripts/web page` builds it, instead of the one in this program.
    page_folder: Option<PathBuf> = None, "page.folder", ["BEACH_LIFEGUARD_PAGE_FOLDER"];

    /// Origins of other sites' pages that may connect to the relay and ask the control plane, matched exactly. The page
    /// that this service serves under the same host needs no entry.
    allowed_origins: Vec<String> = relay().allowed_origins, "relay.allowed_origins", ["BEACH_LIFEGUARD_ALLOWED_ORIGINS"];
    /// Serve the deployed clients of protocol version 1 on /ws.
    v1: bool = relay().v1, "relay.v1", ["BEACH_LIFEGUARD_V1"];
    /// Serve clients whose network lets no WebSocket through on /v2/stream.
    http_carrier: bool = relay().http_carrier, "relay.http_carrier", ["BEACH_LIFEGUARD_HTTP_CARRIER"];
    /// Largest message of a v1 client.
    v1_max_message: Bytes = Bytes(relay().v1_max_message), "relay.v1_max_message", ["BEACH_LIFEGUARD_V1_MAX_MESSAGE"];
    /// Peers in one session.
    max_peers: usize = relay().max_peers, "relay.max_peers", ["BEACH_LIFEGUARD_MAX_PEERS"];
    /// Time from the upgrade to the client's hello.
    hello_timeout: Duration = relay().hello_deadline, "relay.hello_timeout",
        ["BEACH_LIFEGUARD_HELLO_TIMEOUT", "BEACH_LIFEGUARD_HANDSHAKE_TIMEOUT_SECS"];
    /// Silence after which a peer is pinged; 0s for never.
    heartbeat: Duration = relay().patience.heartbeat, "relay.heartbeat", ["BEACH_LIFEGUARD_HEARTBEAT"];
    /// Heartbeats that may go unanswered.
    missed_heartbeats: u32 = relay().patience.missed, "relay.missed_heartbeats", ["BEACH_LIFEGUARD_MISSED_HEARTBEATS"];
    /// No activity at all, in either direction, for this long ends a connection; 0s for never.
    idle_timeout: Duration = relay().patience.idle, "relay.idle_timeout", ["BEACH_LIFEGUARD_IDLE_TIMEOUT"];
    /// A peer that takes no byte for this long while some wait is closed as slow.
    write_deadline: Duration = relay().patience.write_deadline, "relay.write_deadline", ["BEACH_LIFEGUARD_WRITE_DEADLINE"];
    /// Reliable bytes that may wait for one peer; beyond it the peer is closed as slow.
    reliable_budget: Bytes = Bytes(relay().reliable_budget), "relay.reliable_budget", ["BEACH_LIFEGUARD_RELIABLE_BUDGET"];
    /// Datagram bytes that may wait for one peer; beyond it the oldest are dropped.
    datagram_budget: Bytes = Bytes(relay().datagram_budget), "relay.datagram_budget", ["BEACH_LIFEGUARD_DATAGRAM_BUDGET"];
    /// Time between the notice of a drain and the close.
    shutdown_grace: Duration = relay().drain.grace, "relay.shutdown_grace",
        ["BEACH_LIFEGUARD_SHUTDOWN_GRACE", "BEACH_LIFEGUARD_SHUTDOWN_GRACE_SECS"];
    /// Clients spread their return over this time after a drain.
    drain_spread: Duration = relay().drain.spread, "relay.drain_spread", ["BEACH_LIFEGUARD_DRAIN_SPREAD"];

    /// Bytes per second from one connection; 0 for no limit, here and below.
    connection_bytes: u32 = relay().limits.connection_bytes.per_second, "limits.connection_bytes", ["BEACH_LIFEGUARD_CONNECTION_BYTES"];
    /// Bytes that may come at once after a quiet time.
    connection_burst: u32 = relay().limits.connection_bytes.burst, "limits.connection_burst", ["BEACH_LIFEGUARD_CONNECTION_BURST"];
    /// Messages per second from one connection.
    connection_messages: u32 = relay().limits.connection_frames.per_second, "limits.connection_messages",
        ["BEACH_LIFEGUARD_CONNECTION_MESSAGES"];
    /// Bytes per second from a read-only viewer: enough for its handshakes and acks, too little to stream.
    read_only_bytes: u32 = relay().limits.read_only_bytes.per_second, "limits.read_only_bytes", ["BEACH_LIFEGUARD_READ_ONLY_BYTES"];
    /// Bytes per second into one session, from all its peers.
    session_bytes: u32 = relay().limits.session_bytes.per_second, "limits.session_bytes", ["BEACH_LIFEGUARD_SESSION_BYTES"];
    /// Bytes per second out of this relay: the bill. The default is a line of 1 Gbit/s.
    egress_bytes: u32 = relay().limits.egress_bytes.per_second, "limits.egress_bytes", ["BEACH_LIFEGUARD_EGRESS_BYTES"];
    /// New WebSocket connections per second from one address.
    address_connections: u32 = relay().limits.address_connections.per_second, "limits.address_connections", ["BEACH_LIFEGUARD_ADDRESS_CONNECTIONS"];
    /// A sender that is held back for this long without a break is cut.
    rate_patience: Duration = relay().limits.patience, "limits.rate_patience", ["BEACH_LIFEGUARD_RATE_PATIENCE"];
}

fn control() -> ControlConfig {
    ControlConfig::default()
}

fn relay() -> RelayConfig {
    RelayConfig::default()
}

fn listen() -> ListenConfig {
    ListenConfig::default()
}

fn caps() -> Caps {
    Caps::default()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
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
        if self.public_url.is_some() && self.redis_url.is_none() {
            return conflict("`pool.relay_url` makes this node one of a pool: set `store.redis_url` too");
        }
        self.store_authority()?;
        self.check_internal()?;
        if self.reliable_budget.0 < 65_536 {
            return conflict("`relay.reliable_budget` must be at least 64KiB, the size of one frame");
        }
        if self.hello_timeout.is_zero() || self.header_timeout.is_zero() || self.write_deadline.is_zero() {
            return conflict("`hello_timeout`, `header_timeout` and `write_deadline` cannot be zero");
        }
        Ok(())
    }

    /// Reads the authority of the store's certificate, where there is one of its own, and checks both against each other.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`]; it does not show the URL, which holds a password.
    pub fn store_authority(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let conflict = |words: String| Err(ConfigError::Conflict(words));
        let Some(url) = &self.redis_url else {
            return match self.redis_ca {
                Some(_) => conflict("`store.redis_ca` goes with `store.redis_url`: set it too".to_owned()),
                None => Ok(None),
            };
        };
        let authority = match self.redis_ca.as_ref().map(std::fs::read).transpose() {
            Ok(authority) => authority,
            Err(error) => return conflict(format!("`store.redis_ca` cannot be read: {error}")),
        };
        match RedisStore::open_trusting(url, authority.as_deref()) {
            Ok(_) => Ok(authority),
            Err(error @ UrlError::Authority) => conflict(format!("`store.redis_ca`: {error}")),
            Err(error) => conflict(format!("`store.redis_url`: {error}")),
        }
    }

    /// Rules between the keys by which nodes pass clients on to each other.
    fn check_internal(&self) -> Result<(), ConfigError> {
        let conflict = |words: &str| Err(ConfigError::Conflict(words.to_owned()));
        let Some(listen) = self.internal_listen_addr else {
            if self.internal_address.is_some() || !self.internal_key.is_empty() {
                return conflict(
                    "`pool.internal_…` goes together: set `pool.internal_listen_addr` too, or none of them",
                );
            }
            return Ok(());
        };
        if self.public_url.is_none() {
            return conflict("`pool.internal_listen_addr` is for a node of a pool: set `pool.relay_url` too");
        }
        if listen.ip().is_unspecified() && self.internal_address.is_none() {
            return conflict(
                "other nodes cannot dial `pool.internal_listen_addr`: set `pool.internal_address` to HOST:PORT",
            );
        }
        if !(1..=2).contains(&self.internal_key.len()) {
            return conflict(
                "`pool.internal_listen_addr` needs `pool.internal_key`: one key, or two while it is replaced",
            );
        }
        match self.internal_key.iter().try_for_each(|key| PoolKey::new(key).map(drop)) {
            Ok(()) => Ok(()),
            Err(short) => conflict(&format!("`pool.internal_key`: {short}")),
        }
    }
}

/// Secrets are among the settings.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("listen_addr", &self.listen_addr).finish_non_exhaustive()
    }
}
