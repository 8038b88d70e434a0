//! Tasks, timers and clocks for what a machine and a browser share of this crate.
//!
//! Natively they are Tokio's own, so a paused clock moves all of them. In a browser they are `n0-future`'s, with the
//! same names, over `setTimeout` and the event loop. The reasons: `docs/adr/0014-one-seam-for-time-and-tasks.md`.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use n0_future::{task, time};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use tokio::{task, time};

pub(crate) use transport_core::time::{Duration, Instant};

pub(crate) use self::{
    task::JoinSet,
    time::{Interval, MissedTickBehavior},
};

/// The time by the runtime's clock, which a test may have paused.
pub(crate) fn now() -> Instant {
    time::Instant::now().into()
}

/// Starts a task. It goes on when nobody waits for it.
pub(crate) fn spawn<F>(task: F)
where
    F: Future<Output: Send> + Send + 'static,
{
    drop(task::spawn(task));
}

/// Starts a task, unless this thread has no runtime: then nothing happens.
pub(crate) fn spawn_if_running<F>(task: F)
where
    F: Future<Output: Send> + Send + 'static,
{
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    if tokio::runtime::Handle::try_current().is_err() {
        return;
    }
    spawn(task);
}

/// Waits until `at`.
pub(crate) fn sleep_until(at: Instant) -> time::Sleep {
    time::sleep_until(at.into())
}

/// Gives `future` at most `duration`.
pub(crate) fn timeout<F: IntoFuture>(duration: Duration, future: F) -> time::Timeout<F::IntoFuture> {
    time::timeout(duration, future)
}

/// Gives `future` until `at`.
pub(crate) fn timeout_at<F: IntoFuture>(at: Instant, future: F) -> time::Timeout<F::IntoFuture> {
    timeout(at.saturating_duration_since(now()), future)
}

/// Ticks each `period`, the first time at once.
pub(crate) fn interval(period: Duration) -> time::Interval {
    time::interval(period)
}
