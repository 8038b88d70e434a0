//! Every metric of the service. The hot path adds to plain atomics; OpenTelemetry reads them when somebody
//! scrapes.

mod family;
mod process;
mod steps;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use beach_lifeguard_client::CloseCode;
use opentelemetry::{KeyValue, metrics::MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use parking_lot::Mutex;
use prometheus::{Encoder, Histogram, HistogramOpts, Registry, TextEncoder};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use self::{
    family::{FAMILIES, Family, Kind},
    process::PROCESS,
};
use self::{
    family::{Id, VERBS},
    steps::{Steps, Tally},
};

/// The service's counters, gauges and histograms. Cheap to share; nothing here blocks.
pub struct Metrics {
    cells: Arc<Cells>,
    handshake_ms: Histogram,
    message_bytes: Steps,
    fanout: Steps,
    lived: Histogram,
    registry: Registry,
    /// When somebody last read all of them.
    read_at: Mutex<Instant>,
    /// Keeps the instruments alive.
    _provider: SdkMeterProvider,
}

/// What carries a socket's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// A streaming answer and numbered requests.
    Http,
    /// An upgraded connection.
    #[serde(rename = "websocket")]
    WebSocket,
}

impl Carrier {
    fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }
}

/// One atomic for each series.
struct Cells(Vec<Vec<AtomicU64>>);

impl Cells {
    fn at(&self, id: Id, labels: &[&str]) -> &AtomicU64 {
        &self.0[id as usize][FAMILIES[id as usize].find_or_last(labels)]
    }
}

impl Metrics {
    /// Makes them, all at 0.
    pub fn new() -> Self {
        let zeros = |family: &Family| (0..family.series()).map(|_| AtomicU64::new(0)).collect();
        let cells = Arc::new(Cells(FAMILIES.iter().map(zeros).collect()));
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build();
        // Both fail only when a name is registered twice, which the test below would show.
        let provider =
            SdkMeterProvider::builder().with_reader(exporter.expect("the registry is new")).build();
        observe(&provider, &cells);
        let histogram = |name, help, buckets: &[f64]| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
                .expect("the buckets rise");
            registry.register(Box::new(histogram.clone())).expect("names are unique");
            histogram
        };
        let steps = |name, help, bounds| {
            let steps = Steps::new(steps::desc(name, help).expect("the name is legal"), bounds);
            registry.register(Box::new(steps.clone())).expect("names are unique");
            steps
        };
        Self {
            handshake_ms: histogram(
                HISTOGRAMS[0].0,
                HISTOGRAMS[0].1,
                &[1., 2., 5., 10., 25., 50., 100., 250., 1000., 5000.],
            ),
            message_bytes: steps(HISTOGRAMS[1].0, HISTOGRAMS[1].1, &[64, 256, 1024, 4096, 16_384, 65_536]),
            fanout: steps(HISTOGRAMS[2].0, HISTOGRAMS[2].1, &[1, 2, 5, 10, 50, 100, 1000]),
            lived: histogram(
                HISTOGRAMS[3].0,
                HISTOGRAMS[3].1,
                &[1., 10., 60., 300., 900., 3600., 14_400., 86_400.],
            ),
            cells,
            registry,
            read_at: Mutex::new(Instant::now()),
            _provider: provider,
        }
    }

    /// Writes them in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        *self.read_at.lock() = Instant::now();
        let mut text = Vec::new();
        // Writing into memory cannot fail; a metric that cannot be encoded would be missing, not fatal.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// How long ago somebody [rendered](Self::render) them; since the start, when nobody did.
    pub fn unread_for(&self) -> Duration {
        self.read_at.lock().elapsed()
    }

    /// Reads one series; for tests, status pages and the demo. 0 for one that does not exist.
    pub fn read(&self, name: &str, labels: &[&str]) -> u64 {
        let at = FAMILIES.iter().position(|family| family.name == name);
        let cell = at.and_then(|at| Some(&self.cells.0[at][FAMILIES[at].find(labels)?]));
        cell.map_or(0, |cell| cell.load(Relaxed))
    }

    fn add(&self, id: Id, labels: &[&str], by: u64) {
        self.cells.at(id, labels).fetch_add(by, Relaxed);
    }

    fn lower(&self, id: Id, labels: &[&str]) {
        // A gauge that was never raised stays at 0.
        let _ = self.cells.at(id, labels).fetch_update(Relaxed, Relaxed, |value| value.checked_sub(1));
    }

    fn set(&self, id: Id, labels: &[&str], value: u64) {
        self.cells.at(id, labels).store(value, Relaxed);
    }
}

/// The relay plane.
impl Metrics {
    /// Messages of these `sizes` in bytes went to `copies` peers each. Counted together: a message of a run costs no
    /// atomic of its own.
    pub fn forwarded(&self, sizes: impl IntoIterator<Item = usize>, copies: usize) {
        let (mut of_sizes, mut of_copies) = (Tally::default(), Tally::default());
        let (mut messages, mut bytes, copies) = (0, 0, copies as u64);
        for size in sizes {
            self.message_bytes.note(&mut of_sizes, size as u64, 1);
            messages += 1;
            bytes += size as u64;
        }
        self.fanout.note(&mut of_copies, copies, messages);
        self.message_bytes.add(&of_sizes);
        self.fanout.add(&of_copies);
        self.add(Id::MessagesForwarded, &[], messages * copies);
        self.add(Id::BytesForwarded, &[], bytes * copies);
    }

    /// A frame was addressed to a peer that has left.
    pub fn frame_undeliverable(&self) {
        self.add(Id::FrameUndeliverable, &[], 1);
    }

    /// A read-only peer wrote.
    pub fn read_only_dropped(&self) {
        self.add(Id::ReadOnlyDropped, &[], 1);
    }

    /// Datagrams were evicted.
    pub fn datagrams_evicted(&self, count: u64) {
        self.add(Id::FlowControlDrops, &[], count);
    }

    /// A peer was told that it sends too much.
    pub fn rate_limited(&self) {
        self.add(Id::RateLimited, &[], 1);
    }

    /// A hello was accepted. `version` is `1` or `2`.
    pub fn handshake_succeeded(&self, version: &'static str, took: Duration, telemetry: bool) {
        self.add(Id::HandshakesSuccess, &[version], 1);
        self.add(Id::TelemetryOptIn, &[], u64::from(telemetry));
        self.handshake_ms.observe(took.as_secs_f64() * 1e3);
    }

    /// A hello was refused, for a reason of the closed set; another counts as `other`.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.add(Id::HandshakesFailure, &[reason], 1);
    }

    /// A token was refused, for a reason of the closed set; another counts as `other`.
    pub fn token_refused(&self, reason: &'static str) {
        self.add(Id::TokenFailure, &[reason], 1);
    }

    /// Somebody came with a spare token; both labels are of the documented sets.
    pub fn spare_token(&self, kind: &'static str, outcome: &'static str) {
        self.add(Id::SpareTokens, &[kind, outcome], 1);
    }

    /// A socket is served.
    pub fn connection_opened(&self, carrier: Carrier) {
        self.add(Id::ConnectionsTotal, &[], 1);
        self.add(Id::ConnectionsActive, &[], 1);
        self.add(Id::CarriersActive, &[carrier.label()], 1);
    }

    /// A socket ended.
    pub fn connection_closed(&self, carrier: Carrier, code: CloseCode, lived: Duration) {
        self.lower(Id::ConnectionsActive, &[]);
        self.lower(Id::CarriersActive, &[carrier.label()]);
        self.add(Id::ConnectionsClosed, &[code.label()], 1);
        self.add(Id::SlowConsumers, &[], u64::from(code == CloseCode::SLOW_CONSUMER));
        self.lived.observe(lived.as_secs_f64());
    }

    /// A client is passed on from one node to another; `end` is `entry` or `owner`.
    pub fn spliced_opened(&self, end: &'static str) {
        self.add(Id::SplicedSockets, &[end], 1);
    }

    /// It is not any more.
    pub fn spliced_closed(&self, end: &'static str) {
        self.lower(Id::SplicedSockets, &[end]);
    }

    /// What became of passing a client on; `outcome` is of the documented set.
    pub fn splice(&self, outcome: &'static str) {
        self.add(Id::Splices, &[outcome], 1);
    }

    /// This node alone does not reach the store.
    pub fn cut_off(&self) {
        self.add(Id::CutOffs, &[], 1);
    }

    /// A session got its first peer.
    pub fn session_opened(&self) {
        self.add(Id::SessionsOpened, &[], 1);
        self.add(Id::SessionsActive, &[], 1);
    }

    /// A session lost its last peer.
    pub fn session_emptied(&self) {
        self.lower(Id::SessionsActive, &[]);
        self.add(Id::SessionsEmptied, &[], 1);
    }

    /// The certificate that is served ends at `seconds`, Unix time; 0 when TLS is not ours.
    pub fn certificate_expires(&self, seconds: u64) {
        self.set(Id::CertificateExpiry, &[], seconds);
    }

    /// Certificates and keys were read again, or some could not be.
    pub fn reloaded(&self, taken: bool) {
        self.add(Id::Reloads, &[if taken { "taken" } else { "refused" }], 1);
    }

    /// A connection met a cap.
    pub fn connection_refused(&self, cap: &'static str) {
        self.add(Id::ConnectionsRefused, &[cap], 1);
    }

    /// What became of an upload of an HTTP carrier.
    pub fn stream_upload(&self, outcome: &'static str) {
        self.add(Id::StreamUploads, &[outcome], 1);
    }

    /// A peer was put out by its host.
    pub fn peer_evicted(&self) {
        self.add(Id::PeersEvicted, &[], 1);
    }

    /// A peer was recycled.
    pub fn idle_pruned(&self) {
        self.add(Id::IdlePruned, &[], 1);
    }
}

/// The control plane.
impl Metrics {
    /// A token was asked for; `outcome` and `guardrail` are of the documented sets.
    pub fn token_requested(&self, outcome: &'static str, guardrail: &'static str) {
        self.add(Id::TokenRequests, &[outcome, guardrail], 1);
        self.add(Id::SoftBreaches, &[], u64::from(guardrail == "soft_breach"));
    }

    /// The share of activations among sessions, 0 to 1, of the cohort a token was just asked for.
    pub fn guardrail_ratio(&self, ratio: f64) {
        self.set(Id::Guardrail, &[], (ratio * 1e6) as u64);
    }

    /// A member of a room asked for a rescue grant; `outcome` is `given` or why not.
    pub fn rescue_asked(&self, outcome: &'static str) {
        self.add(Id::RescueGrants, &[outcome], 1);
    }

    /// A session's document was published, or not.
    pub fn session_published(&self, outcome: &'static str) {
        self.add(Id::SessionsRegistered, &[outcome], 1);
    }

    /// A proof of membership did not hold.
    pub fn proof_refused(&self, reason: &'static str) {
        self.add(Id::ProofsRefused, &[reason], 1);
    }

    /// Minting was paused by itself.
    pub fn auto_paused(&self, cause: &'static str) {
        self.add(Id::AutoPauses, &[cause], 1);
    }

    /// TURN credentials were asked for.
    pub fn turn_requested(&self, outcome: &'static str) {
        self.add(Id::Turn, &[outcome], 1);
    }

    /// A datagram came to the STUN server.
    pub fn stun_request(&self, outcome: &'static str) {
        self.add(Id::Stun, &[outcome], 1);
    }

    /// Rooms and peers inside them, as they are.
    pub fn signaling_population(&self, rooms: usize, peers: usize) {
        self.set(Id::SignalingRooms, &[], rooms as u64);
        self.set(Id::SignalingPeers, &[], peers as u64);
    }

    /// Control-plane nodes of the pool that live, this one too.
    pub fn pool_nodes(&self, nodes: usize) {
        self.set(Id::PoolNodes, &[], nodes as u64);
    }

    /// What became of an envelope.
    pub fn signaling_envelope(&self, outcome: &'static str) {
        self.add(Id::SignalingEnvelopes, &[outcome], 1);
    }

    /// A member was shown out because the host wanted so.
    pub fn signaling_shown_out(&self, reason: &'static str) {
        self.add(Id::SignalingShownOut, &[reason], 1);
    }

    /// An entry was refused.
    pub fn signaling_refused(&self, reason: &'static str) {
        self.add(Id::SignalingRefused, &[reason], 1);
    }

    /// An operation of the store failed.
    pub fn store_failed(&self, operation: &'static str) {
        self.add(Id::StoreErrors, &[operation], 1);
    }

    /// Counter updates that wait for the store.
    pub fn store_backlog(&self, waiting: usize) {
        self.set(Id::StoreBacklog, &[], waiting as u64);
    }

    /// The entitlement keys were fetched.
    pub fn jwks_refreshed(&self, outcome: &'static str) {
        self.add(Id::JwksRefreshes, &[outcome], 1);
    }

    /// The kill switch as it stands: the verbs that are on for everybody, and how many cohorts have one.
    pub fn kill_switch(&self, on: impl Fn(&'static str) -> bool, cohorts: usize) {
        for verb in VERBS {
            self.set(Id::Paused, &[verb], u64::from(on(verb)));
        }
        self.set(Id::PausedCohorts, &[], cohorts as u64);
    }

    /// Somebody used the kill switch on this node.
    pub fn kill_switch_set(&self, verb: &'static str) {
        self.add(Id::KillSwitchSet, &[verb], 1);
    }

    /// How old this node's view of the kill switch is.
    pub fn kill_switch_age(&self, age: Duration) {
        self.set(Id::KillSwitchAge, &[], age.as_secs());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The histograms: name and help.
pub const HISTOGRAMS: [(&str, &str); 4] = [
    ("beach_lifeguard_handshake_duration_ms", "Milliseconds from the upgrade to the accepted hello."),
    ("beach_lifeguard_message_size_bytes", "Payload bytes of forwarded messages."),
    ("beach_lifeguard_fanout_peers", "Recipients of each forwarded message."),
    ("beach_lifeguard_connection_duration_seconds", "Seconds a socket was served."),
];

/// Gives each family an instrument that reads its cells.
fn observe(provider: &SdkMeterProvider, cells: &Arc<Cells>) {
    let meter = provider.meter("beach-lifeguard");
    process::observe(&meter);
    for (at, family) in FAMILIES.iter().enumerate() {
        let attributes: Vec<Vec<KeyValue>> = (0..family.series())
            .map(|series| {
                family.values(series).into_iter().map(|(name, value)| KeyValue::new(name, value)).collect()
            })
            .collect();
        let cells = cells.clone();
        let read = move |observe: &dyn Fn(u64, &[KeyValue])| {
            for (cell, attributes) in cells.0[at].iter().zip(&attributes) {
                observe(cell.load(Relaxed), attributes);
            }
        };
        match family.kind {
            Kind::Counter => {
                let builder = meter.u64_observable_counter(family.name).with_description(family.help);
                builder.with_callback(move |to| read(&|value, labels| to.observe(value, labels))).build();
            }
            Kind::Gauge => {
                let builder = meter.u64_observable_gauge(family.name).with_description(family.help);
                builder.with_callback(move |to| read(&|value, labels| to.observe(value, labels))).build();
            }
        }
    }
}

#[cfg(test)]
mod tests;
