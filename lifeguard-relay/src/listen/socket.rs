//! One type for every stream a peer may be connected by.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::coop::unconstrained,
};
use tokio_rustls::server::TlsStream;

use super::{
    connections::OpenConnection,
    foreign::{Duplex, Foreign},
};

/// A stream, with or without TLS, of our listener or of another's. One type for all, so that an upgraded
/// connection can be taken back out of `hyper` by its type; it stays counted, whoever upgrades it.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// `None` when another listener took it in.
    _open: Option<OpenConnection>,
}

#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    /// Boxed: a TLS session is an order of magnitude larger than a descriptor.
    Tls(Box<TlsStream<TcpStream>>),
    /// Of a type that only another service knows.
    Foreign(Box<Foreign>),
}

impl Socket {
    pub(super) fn new(stream: Stream, open: OpenConnection) -> Self {
        Self { stream, _open: Some(open) }
    }

    /// A TCP stream that a listener of ours without TLS took in.
    pub(crate) fn plain(stream: TcpStream, open: OpenConnection) -> Self {
        Self::new(Stream::Plain(stream), open)
    }

    /// A TCP stream that another listener took in.
    pub(crate) fn of_another_listener(stream: TcpStream) -> Self {
        // Nagle would hold keystrokes back for an ACK. Failing means the socket is gone; the next read says so.
        let _ = stream.set_nodelay(true);
        Self { stream: Stream::Plain(stream), _open: None }
    }

    /// A stream of any type, which stays inside `hyper`.
    pub(crate) fn through_hyper(upgraded: Upgraded) -> Self {
        Self::of_another_carrier(TokioIo::new(upgraded))
    }

    /// A stream of bytes that is no connection: whoever carries them counts its connections.
    pub(crate) fn of_another_carrier(stream: impl Duplex + 'static) -> Self {
        Self { stream: Stream::Foreign(Box::new(Foreign::new(Box::new(stream)))), _open: None }
    }

    /// Reads at most `bytes`; 0 is the end.
    pub(crate) fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        Pin::new(self).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    /// Writes what the kernel takes at once, whichever task asks; none is woken for it later. Whoever is told
    /// `WouldBlock` leaves the rest to the task that owns the socket.
    ///
    /// # Errors
    ///
    /// Those of the socket, and `WouldBlock`.
    pub(crate) fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.try_write(bytes),
            Stream::Tls(stream) => now(|cx| Pin::new(stream.as_mut()).poll_write(cx, bytes)),
            Stream::Foreign(stream) => now(|cx| stream.poll_accept(cx, bytes)),
        }
    }

    /// As [`write_now`](Self::write_now), from several places.
    ///
    /// # Errors
    ///
    /// Those of the socket, and `WouldBlock`.
    pub(crate) fn write_vectored_now(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.try_write_vectored(bytes),
            Stream::Tls(stream) => now(|cx| Pin::new(stream.as_mut()).poll_write_vectored(cx, bytes)),
            Stream::Foreign(stream) => {
                let first = bytes.iter().find(|bytes| !bytes.is_empty()).map_or(&[][..], |bytes| bytes);
                now(|cx| stream.poll_accept(cx, first))
            }
        }
    }

    /// Hands on what TLS has sealed and the kernel has not taken.
    ///
    /// # Errors
    ///
    /// Those of the socket, and `WouldBlock`.
    pub(crate) fn flush_now(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(stream) => now(|cx| Pin::new(stream.as_mut()).poll_flush(cx)),
            Stream::Foreign(stream) => now(|cx| Pin::new(stream.as_mut()).poll_flush(cx)),
        }
    }

    /// Waits until writing is worth another attempt.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.poll_write_ready(cx),
            Stream::Tls(stream) => stream.get_ref().0.poll_write_ready(cx),
            // Everything it was given, gone: that is as much as it can say.
            Stream::Foreign(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }
}

/// Asks once. Not charged to the budget of the task that happens to ask: a sender to a thousand viewers would
/// exhaust it, and mistake that for a full socket.
fn now<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
    let once = pin!(unconstrained(poll_fn(|cx| poll(cx))));
    match once.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $body:expr) => {
        match &mut $self.get_mut().stream {
            Stream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $body
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $body
            }
            Stream::Foreign($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $body
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Foreign(stream) => stream.is_write_vectored(),
        }
    }
}
