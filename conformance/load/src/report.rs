//! One run's figures, for a person and for a program.

use hdrhistogram::Histogram;
use serde::Serialize;

/// What one run measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// `relay` or `forwarder`.
    pub(crate) target: &'static str,
    /// The scenario and its settings, in words.
    pub(crate) scenario: String,
    /// Figures in the order they are shown: name, value, unit.
    pub(crate) figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Report {
    pub(crate) fn new(target: &'static str, scenario: String) -> Self {
        Self { target, scenario, figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name, value, unit });
    }

    /// Adds the percentiles of a histogram of microseconds.
    pub(crate) fn latency(&mut self, histogram: &Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            self.add(name, histogram.value_at_quantile(quantile) as f64 / 1e3, "ms");
        }
        self.add("worst", histogram.max() as f64 / 1e3, "ms");
    }

    /// Prints, with the ratio to `reference` where there is one.
    pub(crate) fn print(&self, reference: Option<&Report>, json: bool) {
        if json {
            for report in [Some(self), reference].into_iter().flatten() {
                println!("{}", serde_json::to_string(report).unwrap_or_default());
            }
            return;
        }
        println!("{}\n", self.scenario);
        let heads = if reference.is_some() { ["forwarder", "ratio"] } else { ["", ""] };
        println!("{:<28} {:>12} {:>12} {:>8}", "", self.target, heads[0], heads[1]);
        for figure in &self.figures {
            let other = reference.and_then(|report| report.figures.iter().find(|f| f.name == figure.name));
            let ratio = |other: &Figure| match other.value {
                0.0 => String::new(),
                value => format!("{:.2}", figure.value / value),
            };
            let (beside, ratio) =
                other.map_or_else(Default::default, |other| (format!("{:.3}", other.value), ratio(other)));
            println!("{:<28} {:>12.3} {beside:>12} {ratio:>8}  {}", figure.name, figure.value, figure.unit);
        }
    }
}
