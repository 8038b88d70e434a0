//! Tasks, timers and clocks: the one place of this crate that asks the runtime for them.
//!
//! The crate needs sockets, so there is no browser's half here. The reasons for the seam:
//! `docs/adr/0014-one-seam-for-time-and-tasks.md`. Functions are wrapped, not re-exported, because a lint that bans
//! Tokio's would see through a re-export.
#![expect(clippy::disallowed_methods, reason = "the seam itself")]

use tokio::time;

pub(crate) use tokio::task::JoinSet;
pub(crate) use transport_core::time::{Duration, Instant};

/// The time by the runtime's clock, which a test may have paused.
pub(crate) fn now() -> Instant {
    time::Instant::now().into()
}

/// The time by the wall's clock, for what others read.
pub(crate) fn wall_clock() -> transport_core::time::SystemTime {
    transport_core::time::SystemTime::now()
}

/// Gives `future` at most `duration`.
pub(crate) fn timeout<F: IntoFuture>(duration: Duration, future: F) -> time::Timeout<F::IntoFuture> {
    time::timeout(duration, future)
}

/// Gives `future` until `at`.
pub(crate) fn timeout_at<F: IntoFuture>(at: Instant, future: F) -> time::Timeout<F::IntoFuture> {
    time::timeout_at(at.into(), future)
}

/// Waits until `at`.
pub(crate) async fn sleep_until(at: Instant) {
    time::sleep_until(at.into()).await;
}
