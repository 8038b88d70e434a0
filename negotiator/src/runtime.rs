//! Tasks, timers and clocks: the one place of this crate that asks the runtime for them.
//!
//! Natively they are Tokio's own, so a paused clock moves all of them. In a browser they are `n0-future`'s, with the
//! same names, over `setTimeout` and the event loop. The reasons: `docs/adr/0014-one-seam-for-time-and-tasks.md`.
//!
//! There is one `Instant` here, the core's: what the core asks to be woken at is what a timer takes. Functions are
//! wrapped, not re-exported, because a lint that bans Tokio's would see through a re-export.
#![expect(clippy::disallowed_methods, reason = "the seam itself")]

use futures::FutureExt;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use n0_future::{task, time};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use tokio::{task, time};

pub(crate) use transport_core::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use self::{
    task::{AbortHandle, JoinHandle, JoinSet},
    time::MissedTickBehavior,
};
/// The time by the runtime's clock, which a test may have paused.
pub(crate) fn now() -> Instant {
    time::Instant::now().into()
}

/// The time by the wall's clock: for what others read, and to notice that the machine has slept.
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Starts a task. It goes on when its handle is dropped.
pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    task::spawn(task)
}

/// Waits for `duration`.
pub(crate) fn sleep(duration: Duration) -> time::Sleep {
    time::sleep(duration)
}

/// Waits until `at`.
pub(crate) fn sleep_until(at: Instant) -> time::Sleep {
    time::sleep_until(at.into())
}

/// Gives `future` at most `duration`.
pub(crate) fn timeout<F: IntoFuture>(duration: Duration, future: F) -> time::Timeout<F::IntoFuture> {
    time::timeout(duration, future)
}

/// Ticks each `period`, the first time at once.
pub(crate) fn interval(period: Duration) -> time::Interval {
    time::interval(period)
}

/// Lets go of the tasks of a set that have ended, without waiting for one.
pub(crate) fn reap<T: 'static>(tasks: &mut JoinSet<T>) {
    while let Some(Some(_)) = tasks.join_next().now_or_never() {}
}
