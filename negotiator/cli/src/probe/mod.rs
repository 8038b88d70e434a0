//! `beach-link probe`: does each path work from here, and how well? One shot, for people and for cron, or a
//! service that Prometheus reads.

mod measure;
mod page;

use std::time::Duration;

use negotiator::{FallbackMode, NetworkConfig};
use serde::Serialize;
use serde_json::json;

use crate::{
    args::{Format, ProbeArgs},
    exit::Failure,
    first_contact::MeetingPoint,
    signal::Interrupts,
    ui::{Lines, To},
    viewer::status,
};

use page::Page;

pub use measure::Figures;

/// Measures both paths between two ends on this machine, through the given control plane: once, or with
/// `--serve` again and again until a signal ends it. Once succeeds if both work.
///
/// # Errors
///
/// [`Failure::NoPath`] naming what does not work; the figures were printed. [`Failure::Io`] when the address to
/// serve at is taken.
pub async fn probe(args: ProbeArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let (point, network) = (args.meeting.find()?, args.network.config()?);
    let page = match args.serve {
        Some(address) => Some(Page::open(address).await?),
        None => None,
    };
    let mut lines = Lines::new(To::Stdout);
    if let Some(page) = &page {
        lines.say(&match args.output {
            Format::Json => json!({ "type": "serving", "metrics": page.url() }).to_string(),
            Format::Text => format!("every {} s, metrics at {}", args.every.as_secs(), page.url()),
        });
    }
    loop {
        let next = tokio::time::Instant::now() + args.every;
        let results = tokio::select! {
            results = round(&args, &point, &network, &mut lines) => results,
            failure = interrupts.next() => return Err(failure),
        };
        let Some(page) = &page else { return verdict(&results) };
        page.show(&results);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            failure = interrupts.next() => return Err(failure),
        }
    }
}

/// Measures each path alone, one after the other, and prints what was found.
async fn round(
    args: &ProbeArgs,
    point: &MeetingPoint,
    network: &NetworkConfig,
    lines: &mut Lines,
) -> Vec<Probed> {
    let mut results = Vec::new();
    for (path, mode) in [("direct", FallbackMode::DirectOnly), ("relay", FallbackMode::RelayOnly)] {
        if args.output == Format::Text {
            lines.show(&[format!("{path}: measuring …")]);
        }
        let mut network = network.clone();
        network.mode = mode;
        let outcome = measure::measure(point.host_config(network), args.length).await;
        let probed =
            Probed { path, error: outcome.as_ref().err().map(ToString::to_string), figures: outcome.ok() };
        lines.say(&match args.output {
            Format::Json => json!({ "type": "probe", "result": probed }).to_string(),
            Format::Text => probed.line(),
        });
        results.push(probed);
    }
    results
}

fn verdict(results: &[Probed]) -> Result<u8, Failure> {
    let broken: Vec<String> = results
        .iter()
        .filter_map(|probed| Some(format!("{}: {}", probed.path, probed.error.as_ref()?)))
        .collect();
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
