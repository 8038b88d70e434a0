//! Traffic with comings and goings for long, and whether memory grows.

use std::time::{Duration, Instant};

use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    Failure,
    pair::{End, Guests, pair},
    report::Report,
    scenario::{STAMP, progress},
    target::Target,
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Sessions that talk all the time.
    pub(crate) sessions: usize,
    /// Payload of a message in bytes.
    pub(crate) size: usize,
    /// Messages of each session a second.
    pub(crate) messages: u32,
    /// Sessions a second that come, say one thing and go.
    pub(crate) churn: u32,
    /// Between two readings of the memory.
    pub(crate) every: Duration,
    pub(crate) lasting: Duration,
}

/// Talks, churns, and reads the resident memory at intervals. The slope leaves out the first quarter, in
/// which buffers find their size.
pub(crate) async fn soak(target: &Target, settings: Settings) -> Result<Report, Failure> {
    let Settings { sessions, messages, churn, every, lasting, .. } = settings;
    let size = settings.size.max(STAMP);
    let mut talking = JoinSet::new();
    for number in 0..sessions as u128 {
        let (sender, receiver) = pair(target, number).await?;
        talking.spawn(talk(sender, receiver, size, messages, lasting));
    }
    let guests = Guests::expect(target).await?;
    let began = Instant::now();
    let mut readings = Vec::new();
    let mut look = tokio::time::interval(every);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut come = tokio::time::interval(Duration::from_secs(1) / churn.max(1));
    come.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut came, bar) = (0u64, progress(lasting.as_secs(), "soaking, s"));
    while began.elapsed() < lasting {
        tokio::select! {
            _ = look.tick() => {
                let hours = began.elapsed().as_secs_f64() / 3_600.0;
                readings.extend(target.cost().map(|cost| (hours, cost.resident as f64)));
                bar.set_position(began.elapsed().as_secs());
            }
            _ = come.tick(), if churn > 0 => {
                let (mut sender, mut receiver) = guests.next(came).await?;
                sender.send(&[7; 64]).await?;
                receiver.recv().await?;
                came += 1;
            }
        }
    }
    bar.finish_and_clear();
    let (mut delivered, mut broken) = (0u64, 0u64);
    while let Some(done) = talking.join_next().await {
        match done {
            Ok(Ok(count)) => delivered += count,
            _ => broken += 1,
        }
    }
    let asked = format!(
        "soak: {sessions} sessions × {messages} messages/s of {size} B, {churn} guests/s, for {lasting:?}"
    );
    let mut report = Report::new(target.name, asked);
    report.add("delivered", delivered as f64, "messages");
    report.add("sessions that broke", broken as f64, "");
    report.add("guests", came as f64, "");
    if let (Some(first), Some(last)) = (readings.first(), readings.last()) {
        report.add("resident at first", first.1, "KiB");
        report.add("resident at last", last.1, "KiB");
    }
    let settled = readings.split_off(readings.len() / 4);
    if let Some(slope) = Slope::of(&settled) {
        report.add("slope", slope.each_hour, "KiB/h");
        report.add("slope, low end", slope.each_hour - slope.margin, "KiB/h");
        report.add("slope, high end", slope.each_hour + slope.margin, "KiB/h");
    }
    Ok(report)
}

async fn talk(
    mut sender: End,
    mut receiver: End,
    size: usize,
    messages: u32,
    lasting: Duration,
) -> Result<u64, Failure> {
    let (payload, began) = (vec![0x5A; size], Instant::now());
    let mut due = tokio::time::interval(Duration::from_secs(1) / messages.max(1));
    let mut delivered = 0;
    while began.elapsed() < lasting {
        due.tick().await;
        sender.send(&payload).await?;
        receiver.recv().await?;
        delivered += 1;
    }
    Ok(delivered)
}

/// A line through readings.
#[derive(Debug, PartialEq)]
struct Slope {
    each_hour: f64,
    /// Half of the 95 % interval.
    margin: f64,
}

impl Slope {
    /// Least squares; `None` for fewer than four readings, which say nothing about a slope.
    fn of(readings: &[(f64, f64)]) -> Option<Self> {
        let count = readings.len() as f64;
        if readings.len() < 4 {
            return None;
        }
        let (x, y) = readings.iter().fold((0.0, 0.0), |(x, y), r| (x + r.0 / count, y + r.1 / count));
        let spread: f64 = readings.iter().map(|r| (r.0 - x).powi(2)).sum();
        let each_hour = readings.iter().map(|r| (r.0 - x) * (r.1 - y)).sum::<f64>() / spread;
        let off: f64 = readings.iter().map(|r| (r.1 - y - each_hour * (r.0 - x)).powi(2)).sum();
        // Student's t at 97.5 %, within 3 % for four readings and more of freedom.
        let free = count - 2.0;
        let t = 1.96 + 2.4 / free + 3.0 / free.powi(3);
        Some(Self { each_hour, margin: t * (off / free / spread).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_no_margin_and_noise_has_one() {
        let line: Vec<_> = (0..10).map(|at| (f64::from(at), 5.0 + 3.0 * f64::from(at))).collect();
        let slope = Slope::of(&line).unwrap();
        assert!((slope.each_hour - 3.0).abs() < 1e-9 && slope.margin < 1e-6, "{slope:?}");
        let noise: Vec<_> = (0..10).map(|at| (f64::from(at), f64::from(at % 2))).collect();
        let slope = Slope::of(&noise).unwrap();
        assert!(slope.each_hour.abs() < slope.margin, "flat within its interval: {slope:?}");
        assert_eq!(Slope::of(&line[..3]), None);
    }
}
