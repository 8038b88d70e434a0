//! When bytes last came from a socket. What went is noted by whoever writes, under the
//! [writer's](super::writer::Writer) lock.

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

/// The tick of the last read. A statistic, so relaxed: a sweep may see it a moment late.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Clock,
    read: AtomicU64,
    /// Of a library that writes by itself.
    #[cfg(feature = "reference-path")]
    written: AtomicU64,
}

impl Activity {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let now = clock.now();
        Arc::new(Self {
            clock,
            read: now.into(),
            #[cfg(feature = "reference-path")]
            written: now.into(),
        })
    }

    pub(crate) fn read(&self) -> Tick {
        self.read.load(Relaxed)
    }

    #[cfg(feature = "reference-path")]
    pub(crate) fn written(&self) -> Tick {
        self.written.load(Relaxed)
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    pub(crate) fn note_read(&self) {
        self.read.store(self.now(), Relaxed);
    }

    #[cfg(feature = "reference-path")]
    pub(crate) fn note_written(&self) {
        self.written.store(self.now(), Relaxed);
    }
}
