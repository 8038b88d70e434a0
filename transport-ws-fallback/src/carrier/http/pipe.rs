//! HTTP in the form of a stream of bytes: reads the relay's answer, writes uploads.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{exchange::Incoming, upload::Uploader};

/// Both directions. Dropped, both end, and the relay takes the client for gone.
pub(crate) struct Pipe {
    down: Down,
    up: Up,
}

impl Pipe {
    pub(super) fn new(down: Down, uploader: Uploader) -> Self {
        Self { down, up: Up::Idle(Box::new(uploader)) }
    }
}

/// The relay's streaming answer.
pub(super) struct Down {
    body: Incoming,
    /// Came, and was not read yet.
    piece: Bytes,
}

/// One upload at a time: what is written meanwhile waits with whoever writes, where it can still be changed.
enum Up {
    Broken,
    Busy(Pin<Box<dyn Future<Output = io::Result<Box<Uploader>>> + Send>>),
    Idle(Box<Uploader>),
}

impl Down {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, piece: Bytes::new() }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(self.body.poll_next(cx)) {
                None => break,
                Some(piece) => self.piece = piece?,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Down {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_piece(cx))?;
        let read = buffer.remaining().min(self.piece.len());
        buffer.put_slice(&self.piece[..read]);
        self.piece.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl Up {
    /// Waits until the upload under way was answered.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Busy(upload) = self {
            *self = match ready!(upload.as_mut().poll(cx)) {
                Ok(uploader) => Self::Idle(uploader),
                Err(error) => {
                    *self = Self::Broken;
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.down).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.up.poll_idle(cx))?;
        let Up::Idle(uploader) = std::mem::replace(&mut self.up, Up::Broken) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let taken = bytes.len().min(uploader.size());
        let body = Bytes::copy_from_slice(&bytes[..taken]);
        self.up = Up::Busy(Box::pin(uploader.send(body)));
        Poll::Ready(Ok(taken))
    }

    /// Waits for the relay's answer: that is how it holds a sender back.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.up.poll_idle(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
