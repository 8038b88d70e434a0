//! A firewall on one machine: UDP to some addresses and to nothing else.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use transport_webrtc::wire::{UdpConn, UdpWire};

/// Drops every datagram to and from an address that is not let through, until it is opened.
#[derive(Debug, Clone)]
pub struct Fence {
    servers: Vec<SocketAddr>,
    open: Arc<AtomicBool>,
}

impl Fence {
    /// Lets UDP through to `servers`.
    pub fn around(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { servers: servers.into_iter().collect(), open: Arc::default() }
    }

    /// Lets everything through from here on.
    pub fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    fn lets_through(&self, address: &SocketAddr) -> bool {
        self.open.load(Ordering::Relaxed) || self.servers.contains(address)
    }
}

#[async_trait]
impl UdpWire for Fence {
    async fn bind(&self, local: SocketAddr) -> io::Result<Box<dyn UdpConn>> {
        Ok(Box::new(Fenced { socket: UdpSocket::bind(local).await?, fence: self.clone() }))
    }
}

struct Fenced {
    socket: UdpSocket,
    fence: Fence,
}

#[async_trait]
impl UdpConn for Fenced {
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        if self.fence.lets_through(&to) {
            self.socket.send_to(datagram, to).await
        } else {
            Ok(datagram.len())
        }
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            let received = self.socket.recv_from(buffer).await?;
            if self.fence.lets_through(&received.1) {
                return Ok(received);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
