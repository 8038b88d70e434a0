//! When bytes last moved on a socket: the one source of "activity".

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

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
pub(crate) struct Pulse {
    clock: Clock,
    read: AtomicU64,
    written: AtomicU64,
}

impl Pulse {
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

/// A socket that notes when bytes move: a message that drips in is activity, and so is any byte the
/// kernel takes from us.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    socket: S,
    pulse: Arc<Pulse>,
}

impl<S> Metered<S> {
    pub(crate) fn new(socket: S, pulse: Arc<Pulse>) -> Self {
        Self { socket, pulse }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.pulse.note_written();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.note_read();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.wrote(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
