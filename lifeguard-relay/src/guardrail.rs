//! The budget of activations: what an hour's counters mean, and what follows from it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use beach_lifeguard_client::api::GuardrailHint;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    kill_switch::{KillSwitch, Verb},
    rules::Budget,
    store::{Bucket, Counted, Counts, PATIENCE, Store},
    telemetry::metrics::Metrics,
};

/// How much of its budget a cohort has used in one hour.
#[derive(Debug, Clone, Copy, PartialEq)]
struct BudgetUse {
    /// Activations as a share of sessions, 0 to 1.
    ratio: f64,
    /// Over the soft threshold: tag, alert, go on.
    soft_breach: bool,
    /// Over the hard one: pause the cohort.
    spike: bool,
}

impl BudgetUse {
    /// Judges an hour. Activations of sessions that were registered before it began can outnumber the
    /// sessions of the hour; the share is 1 at most.
    fn of(counts: Counts, soft: f64, hard: Option<f64>) -> Self {
        let sessions = counts.sessions.max(counts.activations).max(1);
        let ratio = counts.activations as f64 / sessions as f64;
        let meaningful = counts.sessions >= MEANINGFUL;
        Self {
            ratio,
            soft_breach: meaningful && ratio > soft,
            spike: meaningful && hard.is_some_and(|hard| ratio >= hard),
        }
    }
}

/// Counts activations and acts on what the counters say.
#[derive(Debug)]
pub(crate) struct Guardrail {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    kill_switch: KillSwitch,
    /// The worst share of the hour, for the gauge.
    worst: Mutex<Option<(Bucket, f64)>>,
    alerted: Mutex<Option<Instant>>,
    /// The hour in which each cohort was paused: whoever resumes it means it, until the next hour.
    paused: Mutex<HashMap<String, Bucket>>,
}

impl Guardrail {
    pub(crate) fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, kill_switch: KillSwitch) -> Self {
        Self {
            store,
            metrics,
            kill_switch,
            worst: Mutex::default(),
            alerted: Mutex::default(),
            paused: Mutex::default(),
        }
    }

    /// Adds to this hour's bucket. A store that does not answer costs the figure, never the exit.
    pub(crate) async fn count(&self, cohort: &str, what: Counted) -> Counts {
        let bucket = Bucket::of(OffsetDateTime::now_utc());
        match timeout(PATIENCE, self.store.count(cohort, &bucket, what)).await {
            Ok(Ok(counts)) => counts,
            Ok(Err(_)) | Err(_) => {
                self.metrics.store_failed("guardrail");
                Counts::default()
            }
        }
    }

    /// Says how close a cohort is to its budget, and acts when it is far beyond.
    pub(crate) async fn judge(&self, budget: Budget, cohort: &str, counts: Counts) -> GuardrailHint {
        let Budget { threshold, pause_at } = budget;
        let BudgetUse { ratio, soft_breach, spike } = BudgetUse::of(counts, threshold, pause_at);
        let bucket = Bucket::of(OffsetDateTime::now_utc());
        self.metrics.guardrail_ratio(self.worst(&bucket, ratio));
        if soft_breach && self.may_alert(Instant::now()) {
            tracing::warn!(cohort, ratio, threshold, "guardrail_soft_breach");
        }
        if spike && !self.kill_switch.pauses_minting(cohort) && self.may_pause(cohort, bucket) {
            let share = ratio * 100.0;
            let why = format!("activations are {share:.1} % of this hour's sessions");
            pause(&self.kill_switch, &self.metrics, Some(cohort), "spike", &why).await;
        }
        GuardrailHint { ratio, threshold, soft_breach }
    }

    fn worst(&self, bucket: &Bucket, ratio: f64) -> f64 {
        let mut worst = self.worst.lock();
        match &mut *worst {
            Some((hour, share)) if hour == bucket => *share = share.max(ratio),
            other => *other = Some((bucket.clone(), ratio)),
        }
        worst.as_ref().map_or(ratio, |(_, share)| *share)
    }

    /// One line a minute says as much as one for every token.
    fn may_alert(&self, now: Instant) -> bool {
        let mut alerted = self.alerted.lock();
        let due = alerted.is_none_or(|at| now - at >= ALERT_EVERY);
        if due {
            *alerted = Some(now);
        }
        due
    }

    fn may_pause(&self, cohort: &str, bucket: Bucket) -> bool {
        let before = self.paused.lock().insert(cohort.to_owned(), bucket.clone());
        before.is_none_or(|hour| hour != bucket)
    }
}

/// Pauses everybody once nobody has read the metrics for `patience`: what is not watched is not open.
pub(crate) async fn watch_telemetry(
    kill_switch: KillSwitch,
    metrics: Arc<Metrics>,
    patience: Duration,
    stop: CancellationToken,
) {
    let mut tick = interval((patience / 10).max(Duration::from_secs(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut paused = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let missing = metrics.unread_for() >= patience;
        // Once for each silence: whoever resumes it meanwhile means it.
        if missing && !paused && !kill_switch.pauses_minting("") {
            let why = format!("nobody has read /metrics for {} s", patience.as_secs());
            pause(&kill_switch, &metrics, None, "telemetry_missing", &why).await;
        }
        paused = missing;
    }
}

async fn pause(
    kill_switch: &KillSwitch,
    metrics: &Metrics,
    cohort: Option<&str>,
    cause: &'static str,
    why: &str,
) {
    metrics.auto_paused(cause);
    if kill_switch.set(cohort, Some(Verb::PauseMinting), "guardrail", why).await.is_err() {
        // It stands here, and is told to the others when the store answers.
        metrics.store_failed("switch");
    }
}

/// Sessions in an hour below which a share says nothing.
const MEANINGFUL: u64 = 200;

const ALERT_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(activations: u64, sessions: u64) -> Counts {
        Counts { activations, sessions }
    }

    #[test]
    fn exactly_the_threshold_is_no_breach_and_one_more_is() {
        let of = |activations| BudgetUse::of(counts(activations, 1_000), 0.005, Some(0.05));
        assert_eq!((of(5).soft_breach, of(6).soft_breach), (false, true));
        assert_eq!((of(49).spike, of(50).spike), (false, true));
        assert!(!BudgetUse::of(counts(1_000, 1_000), 0.005, None).spike, "nobody asked for it");
    }

    #[test]
    fn a_quiet_hour_proves_nothing() {
        assert!(!BudgetUse::of(counts(199, 199), 0.005, Some(0.05)).soft_breach);
        assert!(BudgetUse::of(counts(2, 200), 0.005, None).soft_breach);
        assert_eq!(BudgetUse::of(counts(0, 0), 0.005, None).ratio, 0.0);
        assert_eq!(BudgetUse::of(counts(7, 3), 0.005, None).ratio, 1.0, "sessions of the hour before");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_pauses_once_and_a_reader_ends_it() {
        let (switch, metrics, stop) =
            (KillSwitch::local(), Arc::new(Metrics::new()), CancellationToken::new());
        let patience = Duration::from_secs(60);
        tokio::spawn(watch_telemetry(switch.clone(), metrics.clone(), patience, stop.clone()));
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(!switch.pauses_minting(""));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(switch.pauses_minting(""));
        switch.set(None, None, "op", "I am looking").await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!switch.pauses_minting(""), "the operator's word stands for this silence");
        metrics.render();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!switch.pauses_minting(""));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(switch.pauses_minting(""), "and silence again is a new one");
        assert_eq!(metrics.read("beach_fallback_auto_pauses", &["telemetry_missing"]), 2);
        stop.cancel();
    }
}
