//! A connection, plain or TLS.

use std::{
    io,
    net::UdpSocket,
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

    /// Says whether this machine no longer has the address that the connection was opened from: nothing will ever come
    /// on it again. Costs four system calls and sends nothing; what the system does not tell counts as no.
    pub fn is_stranded(&self) -> bool {
        let Ok(address) = self.socket().local_addr() else { return false };
        // Only a socket with an address of this machine can be bound to it.
        let bound = UdpSocket::bind((address.ip(), 0));
        bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The other answer takes a machine that loses an address: the field laboratory's `viewer_moves`.
    #[tokio::test]
    async fn a_connection_of_an_address_that_is_still_here_is_not_stranded() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(!Stream(Layers::Plain(stream)).is_stranded());
    }
}
