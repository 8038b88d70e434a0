//! Messages at a fixed rate from senders to receivers, whatever comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{interval_at, timeout},
};

use crate::{
    Failure,
    pair::End,
    process::Cost,
    report::Report,
    scenario::{histogram, progress},
    target::Target,
};

/// What every sender does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// Payload of a message in bytes.
    pub(crate) size: usize,
    /// Messages of a sender.
    pub(crate) each: u64,
    /// Time between two of them.
    pub(crate) gap: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Pumped {
    /// From when a message was due until it was there, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Messages that arrived.
    pub(crate) received: u64,
    pub(crate) took: Duration,
    pub(crate) senders: Vec<End>,
    pub(crate) receivers: Vec<End>,
}

/// Runs `script` and reports latency, losses and cost.
pub(crate) async fn flow(
    target: &Target,
    settings: String,
    senders: Vec<End>,
    receivers: Vec<End>,
    script: Script,
) -> Result<Report, Failure> {
    let (count, before) = (receivers.len() as u64, Spent::read(target));
    let pumped = pump(senders, receivers, script).await?;
    let after = Spent::read(target);
    let mut report = Report::new(target.name, settings);
    report.add("delivered", pumped.received as f64, "messages");
    report.add("lost", (script.each * count - pumped.received) as f64, "messages");
    report.latency(&pumped.latency);
    after.since(before, pumped.took, pumped.received, &mut report);
    Ok(report)
}

/// Sends by `script` from each sender until each receiver has as much as one sender sends, or waits in vain.
pub(crate) async fn pump(senders: Vec<End>, receivers: Vec<End>, script: Script) -> Result<Pumped, Failure> {
    let (count, start) = (receivers.len() as u64, Arc::new(Barrier::new(senders.len() + 1)));
    let epoch = Instant::now();
    let mut receiving = JoinSet::new();
    for mut receiver in receivers {
        receiving.spawn(async move {
            let (mut latency, mut received) = (histogram(), 0);
            while received < script.each {
                let Ok(Ok(payload)) = timeout(PATIENCE, receiver.recv()).await else { break };
                let due = payload.first_chunk::<8>().map_or(0, |stamp| u64::from_be_bytes(*stamp));
                latency.saturating_record(micros(epoch.elapsed()).saturating_sub(due).max(1));
                received += 1;
            }
            (latency, received, receiver)
        });
    }
    let mut sending = JoinSet::new();
    for (number, sender) in senders.into_iter().enumerate() {
        sending.spawn(send(sender, number, script, epoch, start.clone()));
    }
    start.wait().await;
    let began = Instant::now();
    let bar = progress(count, "receivers done");
    let (mut latency, mut received, mut receivers) = (histogram(), 0u64, Vec::new());
    while let Some(done) = receiving.join_next().await {
        let Ok((one, got, end)) = done else { continue };
        latency.add(&one).map_err(|error| Failure(error.to_string()))?;
        received += got;
        receivers.push(end);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let took = began.elapsed();
    let mut senders = Vec::new();
    // A sender that failed shows as losses at its receiver; one that hangs ends with the run.
    while let Ok(Some(done)) = timeout(PATIENCE, sending.join_next()).await {
        if let Ok(Ok(sender)) = done {
            senders.push(sender);
        }
    }
    Ok(Pumped { latency, received, took, senders, receivers })
}

async fn send(
    mut sender: End,
    number: usize,
    script: Script,
    epoch: Instant,
    start: Arc<Barrier>,
) -> Result<End, Failure> {
    start.wait().await;
    // Senders start spread over one gap: a relay never sees them in step.
    let first = tokio::time::Instant::now() + script.gap.mul_f64(number as f64 * 0.618 % 1.0);
    let mut due = interval_at(first, script.gap);
    let mut payload = vec![0x5A; script.size];
    for _ in 0..script.each {
        let at = due.tick().await.into_std();
        payload[..8].copy_from_slice(&micros(at - epoch).to_be_bytes());
        sender.send(&payload).await?;
    }
    Ok(sender)
}

/// What both sides of a measurement have spent so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// The process under load, where it can be read.
    loaded: Option<Cost>,
    /// This process.
    ends: Option<Cost>,
}

impl Spent {
    pub(crate) fn read(target: &Target) -> Self {
        Self { loaded: target.cost(), ends: Cost::own() }
    }

    /// Adds what was spent since `before` on `messages`.
    pub(crate) fn since(self, before: Self, took: Duration, messages: u64, report: &mut Report) {
        let each = |cpu: f64| cpu * 1e6 / messages.max(1) as f64;
        if let (Some(before), Some(after)) = (before.loaded, self.loaded) {
            let cpu = after.cpu - before.cpu;
            report.add("CPU", cpu / took.as_secs_f64() * 100.0, "% of a core");
            report.add("CPU for each message", each(cpu), "µs");
            report.add("resident", after.resident as f64, "KiB");
        }
        if let (Some(before), Some(after)) = (before.ends, self.ends) {
            report.add("CPU of the ends, each message", each(after.cpu - before.cpu), "µs");
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How long a receiver waits for the next message before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
