//! One direction of a spliced socket: bytes that were read here are written there, in the same order, untouched.

use std::{
    cell::RefCell,
    io,
    task::{Context, Poll},
};

use tokio::time::Instant;

use crate::listen::Socket;

thread_local! {
    /// What all spliced sockets of a thread read into: one that is idle holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// What was read and not written yet: at most one read. Nothing more is read while anything waits, so a slow reader
/// holds its writer back, through the kernels of both nodes.
#[derive(Debug, Default)]
pub(super) struct Copy {
    waiting: Vec<u8>,
    sent: usize,
    /// TLS may hold sealed bytes that the kernel did not take.
    unflushed: bool,
    blocked_since: Option<Instant>,
}

/// Which of the two ends is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gone {
    /// The one that is read: it said so, and all of it was written.
    Source,
    /// The one that is read, without a word.
    SourceLost,
    /// The one that is written.
    Target,
}

impl Copy {
    /// Copies as long as both ends let it. `see` is shown what was read. Ready when an end is gone.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (&mut Socket, &mut Socket),
        mut see: impl FnMut(&[u8]),
    ) -> Poll<Gone> {
        loop {
            match self.poll_write(cx, to) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Gone::Target),
                Poll::Pending => return Poll::Pending,
            }
            let read = SCRATCH.with_borrow_mut(|scratch| match from.poll_read_into(cx, scratch) {
                Poll::Ready(Ok(read)) => {
                    see(&scratch[..read]);
                    self.take(to, &scratch[..read]);
                    Poll::Ready(Ok(read))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            });
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Gone::Source),
                Poll::Ready(Err(_)) => return Poll::Ready(Gone::SourceLost),
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    /// Writes these bytes behind those that wait.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Since when the target takes nothing although something waits.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// What was not written yet.
    pub(super) fn into_waiting(mut self) -> Vec<u8> {
        self.waiting.split_off(self.sent)
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The common case without a copy: straight from where it was read.
    fn take(&mut self, to: &mut Socket, bytes: &[u8]) {
        let sent = to.write_now(bytes).unwrap_or(0);
        self.unflushed |= sent > 0;
        self.waiting.extend_from_slice(&bytes[sent..]);
    }

    /// Writes what waits. Ready when nothing does.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut Socket) -> Poll<io::Result<()>> {
        loop {
            match self.write(to) {
                Ok(()) => {
                    self.blocked_since = None;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match to.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        self.blocked_since.get_or_insert_with(Instant::now);
                        return Poll::Pending;
                    }
                },
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn write(&mut self, to: &mut Socket) -> io::Result<()> {
        while self.sent < self.waiting.len() {
            match to.write_now(&self.waiting[self.sent..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => {
                    self.sent += sent;
                    self.unflushed = true;
                    self.blocked_since = None;
                }
            }
        }
        if self.sent > 0 {
            (self.waiting, self.sent) = (Vec::new(), 0);
        }
        if self.unflushed {
            to.flush_now()?;
            self.unflushed = false;
        }
        Ok(())
    }
}

/// One frame of the largest size.
const READ_BYTES: usize = 64 * 1024;
