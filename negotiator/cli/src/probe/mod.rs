//! `beach-link probe`: does each path work from here, and how well? One shot, for people and for cron.

mod measure;

use std::time::Duration;

use negotiator::FallbackMode;
use serde::Serialize;
use serde_json::json;

use crate::{
    args::{Format, ProbeArgs},
    exit::Failure,
    signal::Interrupts,
    ui::{Lines, To},
    viewer::status,
};

pub use measure::Figures;

/// Measures both paths between two ends on this machine, through the given control plane. Succeeds if both work.
///
/// # Errors
///
/// [`Failure::NoPath`] naming what does not work; the figures were printed.
pub async fn probe(args: ProbeArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let network = args.network.config()?;
    let mut lines = Lines::new(To::Stdout);
    let mut broken = Vec::new();
    for (path, mode) in [("direct", FallbackMode::DirectOnly), ("relay", FallbackMode::RelayOnly)] {
        if args.output == Format::Text {
            lines.show(&[format!("{path}: measuring …")]);
        }
        let mut network = network.clone();
        network.mode = mode;
        let outcome = tokio::select! {
            outcome = measure::measure(&args.meeting.control_plane, network, args.length) => outcome,
            failure = interrupts.next() => return Err(failure),
        };
        let probed =
            Probed { path, error: outcome.as_ref().err().map(ToString::to_string), figures: outcome.ok() };
        lines.say(&match args.output {
            Format::Json => json!({ "type": "probe", "result": probed }).to_string(),
            Format::Text => probed.line(),
        });
        if let Some(error) = probed.error {
            broken.push(format!("{path}: {error}"));
        }
    }
    if broken.is_empty() { Ok(0) } else { Err(Failure::NoPath(broken.join("; "))) }
}

/// One path's result.
#[derive(Debug, Serialize)]
struct Probed {
    path: &'static str,
    error: Option<String>,
    figures: Option<Figures>,
}

impl Probed {
    fn line(&self) -> String {
        let Some(figures) = &self.figures else {
            return format!("{:<8} does not work: {}", self.path, self.error.as_deref().unwrap_or_default());
        };
        let ms = |micros: u64| status::milliseconds(Duration::from_micros(micros));
        format!(
            "{:<8} {:<12} set up in {} ms, round trip {} (worst {}), {}/s, {} of queueing under load",
            self.path,
            figures.transport,
            figures.setup_ms,
            ms(figures.rtt_us),
            ms(figures.worst_rtt_us),
            status::bytes(figures.bytes_per_second),
            ms(figures.queueing_us),
        )
    }
}
