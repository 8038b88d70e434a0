//! Tasks, timers and clocks: the one place of this crate that asks the runtime for them.
//!
//! Natively they are Tokio's own, in a browser `n0-future`'s. The reasons for the seam:
//! `docs/adr/0014-one-seam-for-time-and-tasks.md`. Functions are wrapped, not re-exported, because a lint that bans
//! Tokio's would see through a re-export.
#![expect(clippy::disallowed_methods, reason = "the seam itself")]

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use n0_future::{task, time};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use tokio::{task, time};

pub(crate) use self::task::JoinSet;
pub(crate) use transport_core::time::{Duration, Instant, SystemTime};

/// The time by the runtime's clock, which a test may have paused.
pub(crate) fn now() -> Instant {
    time::Instant::now().into()
}

/// The time by the wall's clock, for what others read.
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Gives `future` at most `duration`.
pub(crate) fn timeout<F: IntoFuture>(duration: Duration, future: F) -> time::Timeout<F::IntoFuture> {
    time::timeout(duration, future)
}

/// Gives `future` until `at`.
pub(crate) fn timeout_at<F: IntoFuture>(at: Instant, future: F) -> time::Timeout<F::IntoFuture> {
    time::timeout(at.saturating_duration_since(now()), future)
}

/// Waits until `at`.
pub(crate) async fn sleep_until(at: Instant) {
    time::sleep_until(at.into()).await;
}
