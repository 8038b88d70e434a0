//! What the peers of a session share.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::limits::Meter;
use crate::limit::Rate;

/// Beside the roster: the session's rate, and what went through it.
#[derive(Debug)]
pub(crate) struct SessionShared {
    pub(crate) meter: Meter,
    /// Copies delivered to peers.
    pub(crate) forwarded: AtomicU64,
    /// Somebody in it did not agree to per-session figures: there are none, for as long as it lives.
    pub(crate) opted_out: AtomicBool,
}

impl SessionShared {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { meter: Meter::new(rate), forwarded: AtomicU64::new(0), opted_out: AtomicBool::new(false) }
    }
}
