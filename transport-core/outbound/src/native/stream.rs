//! A connection, plain or TLS.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
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

    /// Says whether the machine has moved away from this connection: a new one to the same place would begin at another
    /// address. What is on the old one may be lost for ever. Costs five system calls and sends nothing; without any way
    /// to that place the answer is no, since a new connection would not get there either.
    pub fn is_stranded(&self) -> bool {
        let socket = self.socket();
        let (Ok(begins), Ok(leads)) = (socket.local_addr(), socket.peer_addr()) else { return false };
        fresh_start(leads).is_ok_and(|fresh| fresh != begins.ip())
    }
}

/// The address that a connection to `to` would begin at now.
fn fresh_start(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // For UDP this looks a route up and does nothing else.
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
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

/// Elsewhere loopback has one address.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn a_connection_that_would_begin_elsewhere_now_is_stranded() {
        for (begins, stranded) in [("127.0.0.1", false), ("127.0.0.2", true)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((begins.parse::<Ipv4Addr>().unwrap(), 0).into()).unwrap();
            let stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
            assert_eq!(Stream(Layers::Plain(stream)).is_stranded(), stranded, "from {begins}");
        }
    }
}
