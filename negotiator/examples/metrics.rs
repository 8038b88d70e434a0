//! What a session counts while its direct path is taken away and given back, in a network in memory:
//! `cargo run -p beach-negotiator --example metrics --features metrics,testing`.
//!
//! A program installs the recorder of its choice (Prometheus, StatsD, OpenTelemetry); this one keeps and prints.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use negotiator::{
    Received,
    testing::{FALLBACK, MemoryNetwork, PRIMARY},
};
use parking_lot::Mutex;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let figures = Figures::default();
    metrics::set_global_recorder(figures.clone())?;
    run().await?;
    for (name, value) in figures.all() {
        println!("{name} {value}");
    }
    Ok(())
}

/// A session that leaves its direct path, and ends.
pub async fn run() -> Result<(), Box<dyn Error>> {
    negotiator::metrics::describe();
    let network = MemoryNetwork::new();
    let pair = network.pair().await?;
    assert_eq!(pair.viewer.status().path, Some(PRIMARY));
    network.primary.block();
    pair.viewer.send("through the relay".into()).await?;
    assert_eq!(pair.hosted.recv().await?, Received::Message("through the relay".into()));
    assert_eq!(pair.viewer.status().path, Some(FALLBACK));
    pair.viewer.close().await;
    pair.host.close().await;
    // Until nothing of the session runs any more, and everything is counted.
    let _ended = pair.viewer.closed().await;
    Ok(())
}

/// Every metric with its labels, and its value: of a histogram the largest.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<BTreeMap<String, f64>>>);

impl Figures {
    /// Returns them in order.
    pub fn all(&self) -> BTreeMap<String, f64> {
        self.0.lock().clone()
    }

    fn figure(&self, key: &Key) -> Arc<Figure> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Figure { name: format!("{}{{{}}}", key.name(), labels.join(",")), all: self.0.clone() })
    }
}

struct Figure {
    name: String,
    all: Arc<Mutex<BTreeMap<String, f64>>>,
}

impl Figure {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut all = self.all.lock();
        let value = all.entry(self.name.clone()).or_default();
        *value = change(*value);
    }
}

impl Recorder for Figures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.figure(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.figure(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.figure(key))
    }
}

impl CounterFn for Figure {
    fn increment(&self, by: u64) {
        self.change(|value| value + by as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|_| value as f64);
    }
}

impl GaugeFn for Figure {
    fn increment(&self, by: f64) {
        self.change(|value| value + by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| value - by);
    }

    fn set(&self, to: f64) {
        self.change(|_| to);
    }
}

impl HistogramFn for Figure {
    fn record(&self, value: f64) {
        self.change(|largest| largest.max(value));
    }
}
