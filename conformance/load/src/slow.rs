//! Viewers that stop reading: what the others notice, what the relay keeps for them, and what they are told.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::{
    Failure,
    flow::{Script, pump},
    pair::{End, crowd},
    report::Report,
    scenario::STAMP,
    target::{Target, Way},
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Viewers that read.
    pub(crate) fast: usize,
    /// Viewers that stop reading in the second half.
    pub(crate) slow: usize,
    /// Payload of a message in bytes.
    pub(crate) size: usize,
    /// Messages a second.
    pub(crate) messages: usize,
    /// Each half.
    pub(crate) lasting: Duration,
}

/// The same fan-out twice: everybody reads, then the slow do not.
pub(crate) async fn slow(target: &Target, settings: Settings) -> Result<Report, Failure> {
    if !matches!(target.way, Way::Relay(_)) {
        return Err(Failure("a forwarder has no viewers that could be slow beside others".to_owned()));
    }
    let Settings { fast, slow, messages, lasting, .. } = settings;
    let each = messages as u64 * lasting.as_secs();
    let gap = Duration::from_secs(1) / u32::try_from(messages.max(1)).unwrap_or(u32::MAX);
    let script = Script { size: settings.size.max(STAMP), each, gap };
    let (senders, viewers) = crowd(target, fast + slow).await?;
    let before = pump(senders, viewers, script).await?;
    let resident = target.cost();
    let mut reading = before.receivers;
    let stopped = reading.split_off(fast.min(reading.len()));
    let during = pump(before.senders, reading, script).await?;
    let grown = target.cost();

    let (mut told, mut missing) = (0u64, 0u64);
    for viewer in stopped {
        match rest(viewer).await {
            Rest::Ended => told += 1,
            Rest::Silent(got) => missing += each.saturating_sub(got),
        }
    }
    let asked = format!(
        "slow viewers: {slow} of {} stop reading; {messages} messages/s of {} B for {lasting:?}",
        fast + slow,
        script.size
    );
    let (calm, beside) = (before.latency.value_at_quantile(0.95), during.latency.value_at_quantile(0.95));
    let mut report = Report::new(target.name, asked);
    report.add("p95 while all read", calm as f64 / 1e3, "ms");
    report.add("p95 beside the slow", beside as f64 / 1e3, "ms");
    report.add("ratio of the two", beside as f64 / calm.max(1) as f64, "");
    report.add("lost by those that read", (each * fast as u64 - during.received) as f64, "messages");
    report.add("slow viewers told so", told as f64, "");
    report.add("lost in silence", missing as f64, "messages");
    if let (Some(resident), Some(grown)) = (resident, grown) {
        report.add("resident grew by", grown.resident as f64 - resident.resident as f64, "KiB");
    }
    Ok(report)
}

enum Rest {
    /// The connection ended: the viewer knows that it misses something.
    Ended,
    /// It still stands and has this many messages.
    Silent(u64),
}

/// Reads what a viewer finds when it comes back.
async fn rest(mut viewer: End) -> Rest {
    let (mut got, deadline) = (0, Instant::now() + COMEBACK);
    loop {
        match timeout_at(deadline, viewer.recv()).await {
            Ok(Ok(_)) => got += 1,
            Ok(Err(_)) => return Rest::Ended,
            Err(_) => return Rest::Silent(got),
        }
    }
}

/// How long a viewer reads when it comes back.
const COMEBACK: Duration = Duration::from_secs(2);
