//! The scenarios. Messages carry the time they were due, so a sender that falls behind is not flattering.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Failure,
    flow::{Script, flow},
    pair::{crowd, pairs, prepare},
    report::Report,
    target::Target,
};

/// Connections that say one thing and then nothing.
pub(crate) async fn idle(target: &Target, connections: usize, watch: Duration) -> Result<Report, Failure> {
    let empty = target.cost();
    let mut ends = pairs(target, connections / 2).await?;
    for (sender, receiver) in &mut ends {
        sender.send(&[7; 4_096]).await?;
        receiver.recv().await?;
    }
    sleep(SETTLE).await;
    let before = target.cost();
    // Receivers answer what the relay asks of them meanwhile.
    let mut answering = JoinSet::new();
    for (sender, receiver) in ends {
        for mut end in [sender, receiver] {
            answering.spawn(async move { while end.recv().await.is_ok() {} });
        }
    }
    sleep(watch).await;
    let after = target.cost();
    let mut report = Report::new(target.name, format!("idle: {connections} connections for {watch:?}"));
    if let (Some(empty), Some(before), Some(after)) = (empty, before, after) {
        let grown = before.resident.saturating_sub(empty.resident) as f64;
        report.add("resident each", grown / connections as f64, "KiB");
        report.add("CPU while idle", (after.cpu - before.cpu) / watch.as_secs_f64() * 100.0, "% of a core");
    }
    report.add("still connected", answering.len() as f64, "");
    Ok(report)
}

/// Sessions at a fixed rate, open loop.
pub(crate) async fn stream(
    target: &Target,
    sessions: usize,
    size: usize,
    rate: usize,
    lasting: Duration,
) -> Result<Report, Failure> {
    let size = size.max(STAMP);
    let each = (rate as f64 * lasting.as_secs_f64() / size as f64) as u64;
    let gap = Duration::from_secs_f64(size as f64 / rate as f64);
    let pairs = pairs(target, sessions).await?;
    let (senders, receivers) = pairs.into_iter().unzip();
    let settings =
        format!("stream: {sessions} sessions × {rate} B/s in messages of {size} B for {lasting:?}");
    flow(target, settings, senders, receivers, Script { size, each, gap }).await
}

/// One message to many.
pub(crate) async fn fanout(
    target: &Target,
    viewers: usize,
    size: usize,
    messages: usize,
    lasting: Duration,
) -> Result<Report, Failure> {
    let size = size.max(STAMP);
    let each = messages as u64 * lasting.as_secs();
    let gap = Duration::from_secs(1) / u32::try_from(messages.max(1)).unwrap_or(u32::MAX);
    let (senders, receivers) = crowd(target, viewers).await?;
    let settings = format!("fan-out: {messages} messages/s of {size} B to {viewers} viewers for {lasting:?}");
    flow(target, settings, senders, receivers, Script { size, each, gap }).await
}

/// Connect, authenticate, close, so many pairs at once: after an outage everybody comes at once. Sessions are
/// registered and tokens minted before.
pub(crate) async fn churn(target: &Target, connections: usize, at_once: usize) -> Result<Report, Failure> {
    let pairs = connections as u64 / 2;
    let mut prepared = Vec::new();
    let bar = progress(pairs, "preparing");
    for number in 0..u128::from(pairs) {
        prepared.push(prepare(target, number).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    sleep(SETTLE).await;
    let before = target.cost();
    let mut latency = histogram();
    let bar = progress(pairs, "pairs");
    let began = Instant::now();
    let entering = prepared.into_iter().map(|pair| async {
        let started = Instant::now();
        pair.enter().await.map(|()| started.elapsed())
    });
    let mut entering = stream::iter(entering).buffer_unordered(at_once.max(1));
    while let Some(took) = entering.next().await {
        latency.saturating_record(u64::try_from(took?.as_micros()).unwrap_or(u64::MAX));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let took = began.elapsed();
    sleep(SETTLE).await;
    let mut report = Report::new(
        target.name,
        format!(
            "churn: {connections} connections, {at_once} pairs at once: connected, authenticated, closed"
        ),
    );
    report.add("connections a second", connections as f64 / took.as_secs_f64(), "");
    report.latency(&latency);
    if let (Some(before), Some(after)) = (before, target.cost()) {
        report.add("CPU for each", (after.cpu - before.cpu) * 1e3 / connections as f64, "ms");
    }
    Ok(report)
}

pub(crate) fn histogram() -> Histogram<u64> {
    // 1 µs to 60 s at three digits: these bounds are legal.
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("legal bounds")
}

pub(crate) fn progress(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(what)
}

/// Bytes at the start of a payload that say when it was due, in microseconds.
pub(crate) const STAMP: usize = 16;
/// Time for buffers to be let go before memory is read.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
