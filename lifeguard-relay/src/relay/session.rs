//! What the peers of a session share.

use std::sync::atomic::AtomicU64;

use super::limits::{Meter, Rate};

/// Beside the roster: the session's rate, and what went through it.
#[derive(Debug)]
pub(crate) struct SessionShared {
    pub(crate) meter: Meter,
    /// Copies delivered to peers.
    pub(crate) forwarded: AtomicU64,
}

impl SessionShared {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { meter: Meter::new(rate), forwarded: AtomicU64::new(0) }
    }
}
