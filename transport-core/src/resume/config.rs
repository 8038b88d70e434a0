//! How a resume machine behaves.

use std::num::NonZeroUsize;

use super::MAX_MESSAGE;
use crate::{fragment::JoinLimits, time::Duration};

/// How a [`Resume`](super::Resume) behaves.
///
/// # Defaults
///
/// 1 MiB, 1 MiB and the weight of its segments, 10 min, 200 ms, 1 s, 10 s: see `docs/defaults.md`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResumeConfig {
    /// Weight of unacknowledged segments at which `try_send` refuses. Raising it lets more wait
    /// through an outage, and costs memory on this side.
    pub outbox_bytes: NonZeroUsize,
    /// Weight the peer may send ahead of what the application consumed. At least the longest
    /// message; raising it costs memory on this side.
    pub window_bytes: NonZeroUsize,
    /// How long the session lives with no generation attached.
    pub resume_window: Duration,
    /// The longest an ack waits for something to ride on. Lowering it costs frames.
    pub ack_delay: Duration,
    /// Time between pings while bytes are pending: how soon a dead path shows.
    pub ping_busy: Duration,
    /// Time between pings otherwise, ± a fifth.
    pub ping_idle: Duration,
    /// What incomplete datagrams may hold.
    pub join: JoinLimits,
}

impl Default for ResumeConfig {
    fn default() -> Self {
        Self {
            outbox_bytes: MAX_MESSAGE,
            window_bytes: MAX_MESSAGE,
            resume_window: Duration::from_secs(600),
            ack_delay: Duration::from_millis(200),
            ping_busy: Duration::from_secs(1),
            ping_idle: Duration::from_secs(10),
            join: JoinLimits::default(),
        }
    }
}
