//! Every metric of the service. The hot path adds to plain atomics; OpenTelemetry reads them when somebody
//! scrapes.

mod control;
mod family;
mod process;
mod relay;
mod steps;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use parking_lot::Mutex;
use prometheus::{Encoder, Histogram, HistogramOpts, Registry, TextEncoder};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::{family::Id, steps::Steps};
pub use self::{
    family::{FAMILIES, Family, Kind},
    process::PROCESS,
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
