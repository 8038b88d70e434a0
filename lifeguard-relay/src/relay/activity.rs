//! When bytes last moved on a socket: the one place that says so.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;

use super::idle::Tick;

/// The relay's monotonic clock, counting from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Tick {
        // 2^64 milliseconds are half a billion years.
        self.0.elapsed().as_millis() as Tick
    }
}

/// Ticks of the last read and the last write. Statistics, so relaxed: a sweep may see them a
/// moment late.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Clock,
    read: AtomicU64,
    written: AtomicU64,
}

impl Activity {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let now = clock.now();
        Arc::new(Self { clock, read: now.into(), written: now.into() })
    }

    pub(crate) fn read(&self) -> Tick {
        self.read.load(Relaxed)
    }

    pub(crate) fn written(&self) -> Tick {
        self.written.load(Relaxed)
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    pub(crate) fn note_read(&self) {
        self.read.store(self.now(), Relaxed);
    }

    pub(crate) fn note_written(&self) {
        self.written.store(self.now(), Relaxed);
    }
}
