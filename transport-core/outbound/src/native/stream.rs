//! A connection, plain or TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// A connection, plain or TLS, direct or through a proxy. Without Nagle's delay.
#[derive(Debug)]
pub struct Stream(pub(crate) Layers);

/// The larger two are boxed: one allocation for a connection, and [`Stream`] stays small.
#[derive(Debug)]
pub(crate) enum Layers {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS to a server through a proxy that itself speaks TLS.
    Nested(Box<TlsStream<Box<TlsStream<TcpStream>>>>),
}

impl Stream {
    /// Returns the TCP connection underneath, for socket options.
    pub fn socket(&self) -> &TcpStream {
        match &self.0 {
            Layers::Plain(stream) => stream,
            Layers::Tls(stream) => stream.get_ref().0,
            Layers::Nested(stream) => stream.get_ref().0.get_ref().0,
        }
    }
}

macro_rules! forward {
    ($self:ident, $call:ident($($argument:expr),*)) => {
        match &mut $self.get_mut().0 {
            Layers::Plain(stream) => Pin::new(stream).$call($($argument),*),
            Layers::Tls(stream) => Pin::new(&mut **stream).$call($($argument),*),
            Layers::Nested(stream) => Pin::new(&mut **stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Layers::Plain(stream) => stream.is_write_vectored(),
            Layers::Tls(stream) => stream.is_write_vectored(),
            Layers::Nested(stream) => stream.is_write_vectored(),
        }
    }
}
