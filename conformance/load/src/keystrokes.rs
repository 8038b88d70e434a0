//! What a person feels: the time from a key to its echo, while the host writes as much as goes through.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{
    Failure,
    process::Cost,
    report::Report,
    scenario::{STAMP, histogram},
    session::{Negotiated, connect},
    target::{Target, Way},
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Payload of a message of output in bytes.
    pub(crate) size: usize,
    /// Keys a second.
    pub(crate) keys: u32,
    pub(crate) lasting: Duration,
}

/// One session: keys from the viewer, echoes and output from the host, on the reliable lane.
pub(crate) async fn keystrokes(target: &Target, settings: Settings) -> Result<Report, Failure> {
    let Way::Session { control_plane, path } = &target.way else {
        return Err(Failure("keystrokes need a session".to_owned()));
    };
    let Settings { keys, lasting, .. } = settings;
    let size = settings.size.max(STAMP);
    let [host, viewer] = connect(control_plane, *path).await?;
    let (before, ends, began) = (target.cost(), Cost::own(), Instant::now());
    let output = Bytes::from(vec![OUTPUT; size]);
    let flood = async {
        while began.elapsed() < lasting {
            host.send(output.clone()).await?;
        }
        Ok::<_, Failure>(())
    };
    let echo = async {
        // Until the session ends, which the others notice too.
        while let Ok(key) = host.recv().await {
            host.send(key).await?;
        }
        Ok::<_, Failure>(())
    };
    let typing = type_keys(&viewer, keys, lasting, began);
    let reading = async {
        let (mut latency, mut written) = (histogram(), 0u64);
        while let Ok(payload) = timeout(PATIENCE, viewer.recv()).await {
            let payload = payload?;
            if payload.len() == size {
                written += 1;
                continue;
            }
            let typed = payload.first_chunk::<8>().map_or(0, |stamp| u64::from_be_bytes(*stamp));
            latency.saturating_record(micros(began.elapsed()).saturating_sub(typed).max(1));
        }
        Ok::<_, Failure>((latency, written))
    };
    let typing_and_reading = async {
        let done = tokio::try_join!(flood, typing, reading)?;
        host.close().await;
        Ok(done)
    };
    let (((), typed, (latency, written)), ()) = tokio::try_join!(typing_and_reading, echo)?;
    let took = lasting.as_secs_f64();
    let mut report = Report::new(
        target.name,
        format!(
            "keystrokes: {keys} keys/s under as much output of {size} B as goes through, for {lasting:?}"
        ),
    );
    report.add("keys", typed as f64, "");
    report.add("keys without an echo", (typed - latency.len()) as f64, "");
    report.latency(&latency);
    report.add("output", written as f64 * size as f64 / took / 1e6, "MB/s");
    if let (Some(before), Some(after)) = (before, target.cost()) {
        report.add("CPU", (after.cpu - before.cpu) / took * 100.0, "% of a core");
    }
    if let (Some(before), Some(after)) = (ends, Cost::own()) {
        report.add("CPU of the ends", (after.cpu - before.cpu) / took * 100.0, "% of a core");
    }
    Ok(report)
}

/// At a fixed pace; a key carries the time it was due.
async fn type_keys(
    viewer: &Negotiated,
    keys: u32,
    lasting: Duration,
    began: Instant,
) -> Result<u64, Failure> {
    let mut due = interval(Duration::from_secs(1) / keys.max(1));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut typed = 0;
    while began.elapsed() < lasting {
        let at = due.tick().await.into_std();
        let stamp = micros(at.saturating_duration_since(began)).to_be_bytes();
        viewer.send(Bytes::copy_from_slice(&stamp)).await?;
        typed += 1;
    }
    Ok(typed)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What output is made of.
const OUTPUT: u8 = b'.';
/// Nothing for so long: all has arrived.
const PATIENCE: Duration = Duration::from_secs(2);
