//! A transport of one's own as a rung of the ladder, beside WebRTC and the relay: the TCP transport that
//! `docs/adding-a-transport.md` walks through. `cargo run -p beach-negotiator --example own_rung`.
#![allow(clippy::disallowed_methods, reason = "an example is an owner, which brings the runtime")]

#[path = "../../conformance/examples/tcp_transport.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod tcp_transport;

use std::{
    error::Error,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Received, Way};
use tcp_transport::TcpConnector;
use transport_webrtc::wire::{UdpConn, UdpWire};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run().await?);
    Ok(())
}

/// A machine on which no UDP socket can be had.
#[derive(Debug)]
struct NoUdp;

#[async_trait]
impl UdpWire for NoUdp {
    async fn bind(&self, _: SocketAddr) -> io::Result<Box<dyn UdpConn>> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Says hello over it, and returns which path carried it.
pub async fn run() -> Result<String, Box<dyn Error>> {
    let service = Dev::start(DevConfig::default()).await?;
    let mut network = NetworkConfig::default();
    // WebRTC fails at once here, and the rung behind it is ours. Both sides offer it.
    network.webrtc.udp = Some(Arc::new(NoUdp));
    network.extra_ways.push(Way::direct(Arc::new(TcpConnector::new(Ipv4Addr::LOCALHOST.into()))));
    let mut config = HostConfig::new(service.public_url());
    config.network = network.clone();

    let host = Host::share(config).await?;
    let joining = Negotiator::new(host.link().clone(), network).connect();
    let (viewer, hosted) = tokio::join!(joining, host.accept());
    let (viewer, hosted) = (viewer?, hosted.ok_or("the host ended first")?);
    viewer.send("hello".into()).await?;
    assert_eq!(hosted.recv().await?, Received::Message("hello".into()));
    let path = viewer.status().path.map(|path| path.to_string());

    viewer.close().await;
    host.close().await;
    service.shutdown().await;
    Ok(path.unwrap_or_default())
}
