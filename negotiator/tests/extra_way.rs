//! A third party's transport that needs signaling, as one more rung of the default ladder: the example that
//! `docs/adding-a-transport.md` walks through, unchanged.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "../../conformance/examples/tcp_transport.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod tcp_transport;

mod real;

use std::{io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use lifeguard_relay::DevConfig;
use negotiator::{ControlPlaneRendezvous, Membership, Negotiator, NetworkConfig, Rendezvous, Way};
use real::{Stage, network, on, through};
use tcp_transport::TcpConnector;
use transport_core::{
    Connector,
    signaling::{Signaling, SignalingError},
};
use transport_webrtc::wire::{UdpConn, UdpWire};

/// A machine on which no UDP socket can be had: WebRTC fails at once.
#[derive(Debug)]
struct NoUdp;

#[async_trait]
impl UdpWire for NoUdp {
    async fn bind(&self, _: SocketAddr) -> io::Result<Box<dyn UdpConn>> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

fn tcp() -> Arc<dyn Connector> {
    Arc::new(TcpConnector::new(std::net::Ipv4Addr::LOCALHOST.into()))
}

#[tokio::test]
async fn a_transport_that_needs_signaling_is_an_extra_way_and_one_connector_serves_every_session() {
    let connector = tcp();
    let with = |mut config: NetworkConfig| {
        config.extra_ways.push(Way::direct(connector.clone()));
        config
    };
    let stage = Stage::set(DevConfig::default(), with(network())).await;
    let mut pairs = Vec::new();
    for _ in 0..2 {
        pairs.push(stage.join(with(through(NoUdp))).await.0);
    }
    for pair in &pairs {
        pair.on(&tcp_transport::ID).await;
        pair.talk().await;
    }
    // One session ends; the other keeps its link, and the connector dials a third.
    pairs.remove(0).viewer.close().await;
    let (third, _) = stage.join(with(through(NoUdp))).await;
    third.on(&tcp_transport::ID).await;
    third.talk().await;
    pairs[0].talk().await;
    assert_eq!(stage.dev.total_relay_connections(), 0, "the fallback slept");
    drop((pairs, third));
    stage.end().await;
}

/// The default rendezvous, with a ladder of the application's own.
#[derive(Debug)]
struct OwnLadder(ControlPlaneRendezvous);

#[async_trait]
impl Rendezvous for OwnLadder {
    fn wrapped(&self) -> Option<&dyn Rendezvous> {
        Some(&self.0)
    }

    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        self.0.enter(membership).await
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        let mut ways = self.0.ways(membership)?;
        ways.retain(|way| way.rung.transport == tcp_transport::ID);
        Ok(ways)
    }
}

#[tokio::test]
async fn the_default_rendezvous_can_be_wrapped() {
    let with = |mut config: NetworkConfig| {
        config.extra_ways.push(Way::direct(tcp()));
        config
    };
    let stage = Stage::set(DevConfig::default(), with(network())).await;
    let config = with(network());
    let rendezvous =
        ControlPlaneRendezvous::new(stage.host.link().control_plane().clone(), config.clone()).unwrap();
    let joining = Negotiator::meeting_at(stage.host.link().clone(), config, Arc::new(OwnLadder(rendezvous)));
    let (viewer, hosted) = tokio::join!(joining.connect(), stage.host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    on(&viewer, &tcp_transport::ID).await;
    viewer.send("hello".into()).await.unwrap();
    assert_eq!(hosted.recv().await.unwrap(), negotiator::Received::Message("hello".into()));
    assert_eq!(viewer.explain().tried.len(), 1);
    drop((viewer, hosted));
    stage.end().await;
}
