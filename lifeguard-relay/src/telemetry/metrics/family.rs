//! Every counter and gauge: name, help, labels. One table, from which the exposition and the document
//! are made.

/// Counts up for ever, or goes up and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever rises. Shown as `NAME_total`.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// One family of series. Its labels are closed sets, so the number of series never depends on traffic.
#[derive(Debug)]
pub struct Family {
    /// The name without `_total`.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// What it counts, for a person.
    pub help: &'static str,
    /// Label names and their values. The last label varies fastest.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

impl Family {
    /// How many series it has.
    pub fn series(&self) -> usize {
        self.labels.iter().map(|(_, values)| values.len()).product()
    }

    /// The label values of one series.
    pub fn values(&self, mut series: usize) -> Vec<(&'static str, &'static str)> {
        let mut pairs: Vec<_> = self
            .labels
            .iter()
            .rev()
            .map(|(name, values)| {
                let value = values[series % values.len()];
                series /= values.len();
                (*name, value)
            })
            .collect();
        pairs.reverse();
        pairs
    }

    /// The series of exactly these label values.
    pub fn find(&self, wanted: &[&str]) -> Option<usize> {
        self.labels.iter().zip(wanted).try_fold(0, |series, ((_, values), wanted)| {
            values.iter().position(|value| value == wanted).map(|at| series * values.len() + at)
        })
    }

    /// The series of these label values; a value outside a closed set counts as the set's last.
    pub fn find_or_last(&self, wanted: &[&str]) -> usize {
        self.labels.iter().zip(wanted).fold(0, |series, ((_, values), wanted)| {
            let at = values.iter().position(|value| value == wanted).unwrap_or(values.len() - 1);
            series * values.len() + at
        })
    }
}

macro_rules! families {
    ($($id:ident = $name:literal, $kind:ident, $help:literal, [$($label:literal: $values:expr),*];)+) => {
        /// Names a [`Family`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Id { $($id,)+ }

        /// Every counter and gauge, in the order of the document.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: $name,
            kind: Kind::$kind,
            help: $help,
            labels: &[$(($label, $values)),*],
        },)+];
    };
}

families! {
    ConnectionsActive = "beach_lifeguard_connections_active", Gauge, "Sockets that said hello and are served.", [];
    CarriersActive = "beach_lifeguard_carriers_active", Gauge, "Sockets that are served, by what carries them.", ["carrier": &["http", "websocket"]];
    SplicedSockets = "beach_lifeguard_spliced_sockets", Gauge, "Sockets of clients that came to another node than their session's owner, on the node they came to and on the owner.", ["end": &["entry", "owner"]];
    Splices = "beach_lifeguard_splices", Counter, "Clients passed on from one node to another, by what became of it: counted on the entry, `taken` and `refused` on the owner.", ["outcome": SPLICES];
    CutOffs = "beach_lifeguard_cut_offs", Counter, "Times this node found that others reach the store and it does not, and let its sessions go to them.", [];
    SessionsActive = "beach_lifeguard_sessions_active", Gauge, "Sessions with at least one peer.", [];
    ConnectionsRefused = "beach_lifeguard_connections_refused", Counter, "Connections turned away before any byte was read, by the cap they met.", ["cap": &["address", "connections", "strangers"]];
    ConnectionsTotal = "beach_lifeguard_connections", Counter, "Sockets admitted.", [];
    ConnectionsClosed = "beach_lifeguard_connections_closed", Counter, "Sockets that ended, by close code.", ["code": CODES];
    MessagesForwarded = "beach_lifeguard_messages_forwarded", Counter, "Messages delivered, counted once for each recipient.", [];
    BytesForwarded = "beach_lifeguard_bytes_forwarded", Counter, "Payload bytes delivered, counted once for each recipient.", [];
    FlowControlDrops = "beach_lifeguard_flow_control_drops", Counter, "Datagram messages evicted because their recipient is behind. Reliable ones are never dropped.", [];
    SlowConsumers = "beach_lifeguard_slow_consumers", Counter, "Peers cut because they stayed over their reliable budget.", [];
    ReadOnlyDropped = "beach_lifeguard_read_only_drops", Counter, "Messages of read-only v1 peers that went nowhere.", [];
    FrameUndeliverable = "beach_lifeguard_frames_undeliverable", Counter, "Frames to a peer that has left.", [];
    RateLimited = "beach_lifeguard_rate_limited", Counter, "Peers told that they send too much.", [];
    PeersEvicted = "beach_lifeguard_peers_evicted", Counter, "Peers that a host put out of its session.", [];
    StreamUploads = "beach_lifeguard_stream_uploads", Counter, "Requests of HTTP carriers, by what became of them.", ["outcome": UPLOADS];
    IdlePruned = "beach_lifeguard_idle_pruned", Counter, "Peers recycled after no activity at all.", [];
    SessionsOpened = "beach_lifeguard_sessions", Counter, "Sessions that got their first peer.", [];
    SessionsEmptied = "beach_lifeguard_sessions_emptied", Counter, "Sessions whose last peer left.", [];
    HandshakesSuccess = "beach_lifeguard_handshakes_success", Counter, "Hellos accepted.", ["protocol_version": &["1", "2"]];
    HandshakesFailure = "beach_lifeguard_handshakes_failure", Counter, "Hellos refused.", ["reason": HANDSHAKE];
    TokenFailure = "beach_lifeguard_token_validation_failure", Counter, "Tokens refused.", ["reason": TOKEN];
    TelemetryOptIn = "beach_lifeguard_telemetry_opt_in_handshakes", Counter, "Hellos whose person agreed to per-session figures.", [];
    CertificateExpiry = "beach_lifeguard_certificate_expiry_timestamp_seconds", Gauge, "When the served certificate ends, Unix seconds; 0 when TLS is done elsewhere.", [];
    Reloads = "beach_lifeguard_reloads", Counter, "Times that certificates and keys were read again, at SIGHUP or because their files changed; `refused` leaves what was read before.", ["outcome": &["taken", "refused"]];
    Paused = "beach_lifeguard_paused", Gauge, "1 while this verb of the kill switch is on for everybody.", ["verb": VERBS];
    PausedCohorts = "beach_lifeguard_paused_cohorts", Gauge, "Cohorts for which the kill switch is on.", [];
    KillSwitchSet = "beach_lifeguard_kill_switch_changes", Counter, "Uses of the kill switch on this node.", ["verb": VERBS];
    KillSwitchAge = "beach_lifeguard_kill_switch_age_seconds", Gauge, "Seconds since the kill switch was last read from the store.", [];
    TokenRequests = "beach_fallback_token_requests", Counter, "Requests for a fallback token.", ["outcome": OUTCOMES, "guardrail": GUARDRAIL];
    RescueGrants = "beach_fallback_rescue_grants", Counter, "Members of rooms that asked for a rescue grant.", ["outcome": RESCUE];
    SpareTokens = "beach_fallback_spare_tokens", Counter, "Spare tokens that somebody came with, by what became of them.", ["kind": &["rejoin", "rescue"], "outcome": SPARE];
    SessionsRegistered = "beach_control_sessions_registered", Counter, "Session documents that hosts published.", ["outcome": &["created", "known", "updated", "invalid_request", "revision_stale", "session_mismatch", "signature_invalid", "store_unavailable", "other"]];
    ProofsRefused = "beach_control_proofs_refused", Counter, "Proofs of membership that did not hold, for whatever was asked.", ["reason": PROOFS];
    Guardrail = "beach_fallback_guardrail_ratio_ppm", Gauge, "Activations per million sessions in this hour, the worst cohort this node minted for.", [];
    SoftBreaches = "beach_fallback_guardrail_soft_breaches", Counter, "Tokens minted while the cohort was over its soft threshold.", [];
    AutoPauses = "beach_fallback_auto_pauses", Counter, "Times minting was paused by itself.", ["cause": &["spike", "telemetry_missing"]];
    Turn = "beach_turn_credentials", Counter, "Requests for TURN credentials.", ["outcome": &["issued", "stun_only", "unentitled", "unconfigured", "membership", "error"]];
    Stun = "beach_stun_requests", Counter, "Datagrams that came to the STUN server, by what became of them.", ["outcome": &["answered", "limited", "malformed", "unsent"]];
    PoolNodes = "beach_pool_nodes", Gauge, "Control-plane nodes that share a Redis and live, this one too; 0 without Redis.", [];
    SignalingRooms = "beach_signaling_rooms", Gauge, "Signaling rooms with somebody inside.", [];
    SignalingPeers = "beach_signaling_peers", Gauge, "Peers in signaling rooms.", [];
    SignalingEnvelopes = "beach_signaling_envelopes", Counter, "Envelopes, by what became of them.", ["outcome": &["delivered", "undelivered", "rate_limited"]];
    SignalingRefused = "beach_signaling_refused", Counter, "Entries refused.", ["reason": ENTRIES];
    SignalingShownOut = "beach_signaling_shown_out", Counter, "Members whom a host's change put out of its room.", ["reason": &["link_revoked", "peer_removed"]];
    StoreErrors = "beach_store_errors", Counter, "Operations of the store that failed or timed out.", ["operation": &["session", "nonce", "jti", "room", "guardrail", "switch", "counters", "rules", "spare", "other"]];
    StoreBacklog = "beach_store_counter_backlog", Gauge, "Counter updates that wait for the store.", [];
    JwksRefreshes = "beach_entitlement_jwks_refreshes", Counter, "Fetches of the entitlement keys.", ["outcome": &["ok", "error", "stale"]];
}

const CODES: &[&str] = &[
    "normal",
    "going_away",
    "protocol_error",
    "unsupported",
    "policy",
    "too_big",
    "internal",
    "connection_lost",
    "drain",
    "idle",
    "superseded",
    "slow_consumer",
    "gap",
    "restart",
    "rate_limited",
    "bad_token",
    "bad_frame",
    "paused",
    "role",
    "removed",
    "other",
];

const HANDSHAKE: &[&str] = &[
    "timeout",
    "client_closed",
    "invalid_payload",
    "protocol_error",
    "unexpected_frame",
    "socket_closed",
    "session_mismatch",
    "missing_entitlement",
    "bad_token",
    "spent_token",
    "paused",
    "fallback_disabled",
    "revoked",
    "not_judged",
    "draining",
    "moved",
    "owner_unreachable",
    "role_mismatch",
    "peer_mismatch",
    "peer_removed",
    "wire_mismatch",
    "session_full",
    "rate_limited",
    "evicted",
    "not_websocket",
    "origin",
    "stream_off",
    "subprotocol",
    "v1_off",
    "other",
];

const SPLICES: &[&str] =
    &["spliced", "unreachable", "untrusted", "lost", "stalled", "taken", "refused", "other"];

const UPLOADS: &[&str] = &[
    "taken",
    "repeated",
    "out_of_order",
    "unknown_stream",
    "rate_limited",
    "timeout",
    "too_large",
    "too_many_uploads",
    "other",
];

const TOKEN: &[&str] = &[
    "wrong_algorithm",
    "wrong_audience",
    "invalid_base64",
    "invalid_claims",
    "missing_entitlement",
    "token_expired",
    "wrong_issuer",
    "invalid_json",
    "unknown_key",
    "token_lives_too_long",
    "malformed_token",
    "token_not_yet_valid",
    "session_mismatch",
    "bad_signature",
    "token_spent",
    "peer_mismatch",
    "wrong_token_type",
    "other",
];

pub(super) const VERBS: &[&str] = &["pause_minting", "refuse_new", "drain", "stop"];

const OUTCOMES: &[&str] =
    &["issued", "paused", "entitlement_denied", "membership_denied", "invalid_session", "error"];

const PROOFS: &[&str] = &[
    "access_denied",
    "link_expired",
    "link_unknown",
    "membership_invalid",
    "not_host",
    "peer_removed",
    "signature_invalid",
    "store_unavailable",
    "unknown_session",
    "other",
];

const ENTRIES: &[&str] = &[
    "access_denied",
    "link_expired",
    "link_revoked",
    "link_unknown",
    "membership_invalid",
    "not_host",
    "peer_removed",
    "signature_invalid",
    "unknown_session",
    "timeout",
    "full",
    "link_full",
    "malformed",
    "store",
    "other",
];

const RESCUE: &[&str] = &[
    "given",
    "fallback_disabled",
    "entitlement_required",
    "entitlement_missing",
    "entitlement_invalid",
    "entitlement_unavailable",
    "other",
];

const SPARE: &[&str] =
    &["used", "token_spent", "fallback_paused", "fallback_disabled", "revoked", "not_judged", "other"];

const GUARDRAIL: &[&str] = &[
    "within_budget",
    "soft_breach",
    "n/a",
    "entitlement_config",
    "missing_proof",
    "missing_entitlement",
    "entitlement_jwks",
    "entitlement_http",
    "invalid_proof",
    "redis",
    "serialize",
];
