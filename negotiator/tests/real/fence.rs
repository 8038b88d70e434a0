//! A firewall on one machine: UDP to some addresses and to nothing else.

use std::{io, net::SocketAddr};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use transport_webrtc::wire::{UdpConn, UdpWire};

/// Drops every datagram to and from an address that is not let through.
#[derive(Debug, Clone)]
pub struct Fence(Vec<SocketAddr>);

impl Fence {
    /// Lets UDP through to `servers`.
    pub fn around(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(servers.into_iter().collect())
    }
}

#[async_trait]
impl UdpWire for Fence {
    async fn bind(&self, local: SocketAddr) -> io::Result<Box<dyn UdpConn>> {
        Ok(Box::new(Fenced { socket: UdpSocket::bind(local).await?, servers: self.0.clone() }))
    }
}

struct Fenced {
    socket: UdpSocket,
    servers: Vec<SocketAddr>,
}

#[async_trait]
impl UdpConn for Fenced {
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        if self.servers.contains(&to) { self.socket.send_to(datagram, to).await } else { Ok(datagram.len()) }
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            let received = self.socket.recv_from(buffer).await?;
            if self.servers.contains(&received.1) {
                return Ok(received);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
