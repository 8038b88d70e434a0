//! A local UDP port behind which a TURN server listens on TCP or TLS.
//!
//! The WebRTC library speaks TURN over UDP only. On a network that lets no UDP through, TURN over a
//! stream still works: the library talks to this port on loopback, and each of its sockets gets a
//! stream to the server. With a [`UdpWire`] configured, TURN over UDP goes through here as well, so
//! that the wire sees it.

mod framing;

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use beach_outbound::Outbound;
use tokio::{
    net::{UdpSocket, lookup_host},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use crate::{
    config::{IceUrl, Upstream},
    wire::UdpWire,
};

/// A running shim; dropping it closes its port and its streams.
#[derive(Debug)]
pub(crate) struct TurnShim {
    local: SocketAddr,
    _task: JoinSet<()>,
}

impl TurnShim {
    /// Opens a port for the server at `url`. Nothing is sent there until the library uses it.
    pub(crate) async fn open(
        url: IceUrl,
        outbound: Outbound,
        wire: Option<Arc<dyn UdpWire>>,
    ) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let local = socket.local_addr()?;
        let server = Arc::new(Server { url, outbound, wire });
        let mut task = JoinSet::new();
        task.spawn(serve(socket, server));
        Ok(Self { local, _task: task })
    }

    /// Returns the URL that the library is given in place of the server's.
    pub(crate) fn url(&self) -> String {
        format!("turn:{}?transport=udp", self.local)
    }
}

struct Server {
    url: IceUrl,
    outbound: Outbound,
    wire: Option<Arc<dyn UdpWire>>,
}

/// One of the library's sockets and the way its datagrams take.
struct Flow {
    client: SocketAddr,
    datagrams: mpsc::Sender<Vec<u8>>,
    task: tokio::task::AbortHandle,
}

async fn serve(socket: Arc<UdpSocket>, server: Arc<Server>) {
    let (mut flows, mut tasks) = (VecDeque::<Flow>::new(), JoinSet::new());
    let mut buffer = vec![0; framing::MAX_MESSAGE];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, client)) = received else { continue };
                flows.retain(|flow| !flow.datagrams.is_closed());
                if !flows.iter().any(|flow| flow.client == client) {
                    if flows.len() == MAX_FLOWS && let Some(oldest) = flows.pop_front() {
                        oldest.task.abort();
                    }
                    let (datagrams, inbox) = mpsc::channel(QUEUE);
                    let task = tasks.spawn(carry(server.clone(), socket.clone(), client, inbox));
                    flows.push_back(Flow { client, datagrams, task });
                }
                if let Some(flow) = flows.iter().find(|flow| flow.client == client) {
                    // Full: the stream is slower than the library; a datagram may be lost.
                    let _ = flow.datagrams.try_send(buffer[..length].to_vec());
                }
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn carry(
    server: Arc<Server>,
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    mut inbox: mpsc::Receiver<Vec<u8>>,
) {
    let done = match (server.url.upstream, &server.wire) {
        (Upstream::Udp, Some(wire)) => over_udp(&server, &**wire, &socket, client, &mut inbox).await,
        (Upstream::Udp, None) => Err(io::ErrorKind::Unsupported.into()),
        (Upstream::Tcp, _) => over_stream(&server, &socket, client, &mut inbox).await,
    };
    if let Err(error) = done {
        tracing::debug!(target: "transport_webrtc::turn_shim", %error, "a way to a TURN server ended");
    }
}

async fn over_stream(
    server: &Server,
    socket: &UdpSocket,
    client: SocketAddr,
    inbox: &mut mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let Server { url, outbound, .. } = server;
    let stream = match url.scheme.is_secure() {
        true => outbound.tls(&url.host, url.port).await,
        false => outbound.tcp(&url.host, url.port).await,
    };
    let (mut read, mut write) = tokio::io::split(stream.map_err(io::Error::other)?);
    let outward = async {
        while let Some(datagram) = inbox.recv().await {
            timeout(WRITE, framing::write(&mut write, &datagram)).await??;
        }
        Ok(())
    };
    let inward = async {
        let mut buffer = Vec::new();
        loop {
            let message = framing::read(&mut read, &mut buffer).await?;
            // The library's socket may be gone already.
            let _ = socket.send_to(message, client).await;
        }
    };
    tokio::select! { done = outward => done, done = inward => done }
}

async fn over_udp(
    server: &Server,
    wire: &dyn UdpWire,
    socket: &UdpSocket,
    client: SocketAddr,
    inbox: &mut mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut found = lookup_host((server.url.host.as_str(), server.url.port)).await?;
    let to = found.find(SocketAddr::is_ipv4).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let upstream = wire.bind((Ipv4Addr::UNSPECIFIED, 0).into()).await?;
    let outward = async {
        while let Some(datagram) = inbox.recv().await {
            upstream.send_to(&datagram, to).await?;
        }
        Ok(())
    };
    let inward = async {
        let mut buffer = vec![0; framing::MAX_MESSAGE];
        loop {
            let (length, from) = upstream.recv_from(&mut buffer).await?;
            if from == to {
                let _ = socket.send_to(&buffer[..length], client).await;
            }
        }
    };
    tokio::select! { done = outward => done, done = inward => done }
}

/// Sockets of the library served at once: one for each allocation, and a few of earlier ICE restarts.
const MAX_FLOWS: usize = 4;

/// Datagrams that may wait for one stream.
const QUEUE: usize = 256;

/// Time for one write; a stream that takes nothing this long is dead.
const WRITE: Duration = Duration::from_secs(5);
