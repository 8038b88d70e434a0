//! The seam beneath ICE: who opens the UDP sockets.

use std::{any::Any, fmt, io, net::SocketAddr};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use webrtc::util::{self, Conn};

/// Opens the UDP sockets of a dial in place of the kernel.
///
/// ICE, DTLS, SCTP and TURN above it cannot tell: what this drops is lost on the network as far as
/// they know.
#[async_trait]
pub trait UdpWire: fmt::Debug + Send + Sync + 'static {
    /// Binds a socket to `local`; port 0 means any free port.
    ///
    /// # Errors
    ///
    /// Any [`io::Error`]: the dial then has no UDP at all.
    async fn bind(&self, local: SocketAddr) -> io::Result<Box<dyn UdpConn>>;
}

/// One UDP socket.
#[async_trait]
pub trait UdpConn: Send + Sync + 'static {
    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// Any [`io::Error`] of the socket. A lost datagram is not one.
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize>;

    /// Receives one datagram into `buffer` and says who sent it.
    ///
    /// # Errors
    ///
    /// Any [`io::Error`] of the socket; it ends the path.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe.
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Returns the address it is bound to.
    ///
    /// # Errors
    ///
    /// Any [`io::Error`] of the socket.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

#[async_trait]
impl UdpConn for UdpSocket {
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.send_to(datagram, to).await
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buffer).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

/// A [`UdpConn`] as ICE's multiplexer wants it.
pub(crate) struct WireConn(pub(crate) Box<dyn UdpConn>);

#[async_trait]
impl Conn for WireConn {
    async fn connect(&self, _addr: SocketAddr) -> util::Result<()> {
        Err(not_connected())
    }

    async fn recv(&self, _buf: &mut [u8]) -> util::Result<usize> {
        Err(not_connected())
    }

    async fn recv_from(&self, buf: &mut [u8]) -> util::Result<(usize, SocketAddr)> {
        Ok(self.0.recv_from(buf).await?)
    }

    async fn send(&self, _buf: &[u8]) -> util::Result<usize> {
        Err(not_connected())
    }

    async fn send_to(&self, buf: &[u8], target: SocketAddr) -> util::Result<usize> {
        Ok(self.0.send_to(buf, target).await?)
    }

    fn local_addr(&self) -> util::Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> util::Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

fn not_connected() -> util::Error {
    io::Error::from(io::ErrorKind::NotConnected).into()
}
