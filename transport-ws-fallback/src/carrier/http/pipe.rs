//! HTTP in the form of a stream of bytes: reads the relay's answer, writes uploads.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use beach_outbound::Stream;
use bytes::{Buf, Bytes};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    client::conn::http1::{Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::upload::Uploader;

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
    pub(super) body: Incoming,
    /// Reads the answer; `None` once it is over.
    pub(super) connection: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    /// Without it the connection would take itself for unused.
    pub(super) _requests: SendRequest<Full<Bytes>>,
    /// Came, and was not read yet.
    pub(super) piece: Bytes,
}

/// One upload at a time: what is written meanwhile waits with whoever writes, where it can still be changed.
enum Up {
    Broken,
    Busy(Pin<Box<dyn Future<Output = io::Result<Box<Uploader>>> + Send>>),
    Idle(Box<Uploader>),
}

impl Down {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            if let Some(connection) = &mut self.connection
                && Pin::new(connection).poll(cx).is_ready()
            {
                // Well or badly: the body knows.
                self.connection = None;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => break,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
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
