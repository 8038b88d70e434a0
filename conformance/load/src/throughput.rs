//! As much as goes through: a fixed number of messages of each session is on the way at any time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Failure,
    flow::Spent,
    pair::pairs,
    report::Report,
    scenario::{STAMP, histogram},
    target::Target,
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) sessions: usize,
    /// Payload of a message in bytes.
    pub(crate) size: usize,
    /// Messages of a session on the way.
    pub(crate) in_flight: usize,
    pub(crate) lasting: Duration,
}

/// Closed loop: a message that arrived lets the next one go.
pub(crate) async fn throughput(target: &Target, settings: Settings) -> Result<Report, Failure> {
    let Settings { sessions, in_flight, lasting, .. } = settings;
    let size = settings.size.max(STAMP);
    let pairs = pairs(target, sessions).await?;
    let (before, began) = (Spent::read(target), Instant::now());
    let mut running = JoinSet::new();
    for (mut sender, mut receiver) in pairs {
        let room = Arc::new(Semaphore::new(in_flight.max(1)));
        let gate = room.clone();
        let sending = async move {
            let mut payload = vec![0x5A; size];
            // Closed when the time is over.
            while let Ok(permit) = gate.acquire().await {
                permit.forget();
                let now = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                payload[..8].copy_from_slice(&now.to_be_bytes());
                sender.send(&payload).await?;
            }
            Ok::<_, Failure>(sender)
        };
        let receiving = async move {
            let (mut latency, mut received) = (histogram(), 0u64);
            while began.elapsed() < lasting {
                let Ok(Ok(payload)) = timeout(PATIENCE, receiver.recv()).await else { break };
                let sent = payload.first_chunk::<8>().map_or(0, |stamp| u64::from_be_bytes(*stamp));
                let now = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                latency.saturating_record(now.saturating_sub(sent).max(1));
                received += 1;
                room.add_permits(1);
            }
            room.close();
            // Kept open until the sender has said its last.
            (latency, received, receiver)
        };
        // Each end in a task of its own, as in two programs. A sender that stands still when the time is over is let go
        // after a moment.
        let sending = tokio::spawn(timeout(lasting + PATIENCE, sending));
        running.spawn(async move { (receiving.await, sending.await) });
    }
    sleep(lasting).await;
    let (after, took) = (Spent::read(target), began.elapsed());
    let (mut latency, mut received, mut stopped) = (histogram(), 0u64, 0u64);
    while let Some(done) = running.join_next().await {
        let Ok(((one, got, _), sent)) = done else { continue };
        latency.add(&one).map_err(|error| Failure(error.to_string()))?;
        received += got;
        stopped += u64::from(!matches!(sent, Ok(Ok(Ok(_)))));
    }
    let asked = format!(
        "throughput: {sessions} sessions, {in_flight} messages of {size} B in flight each, for {lasting:?}"
    );
    let mut report = Report::new(target.name, asked);
    report.add("messages a second", received as f64 / took.as_secs_f64(), "");
    report.add("payload", received as f64 * size as f64 / took.as_secs_f64() / 1e6, "MB/s");
    report.add("sessions that broke", stopped as f64, "");
    report.latency(&latency);
    after.since(before, took, received, &mut report);
    Ok(report)
}

const PATIENCE: Duration = Duration::from_secs(5);
