//! Whether there is a socket at all.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::{config::WebRtcConfig, error::Failure};

/// Returns why there is no socket when that is for want of file descriptors. The WebRTC library keeps the reasons of
/// failed sockets to itself, so one is asked for here: a limit of this process must not read as a network without UDP.
pub(crate) async fn exhausted(config: &WebRtcConfig) -> Option<Failure> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let error = match &config.udp {
        Some(wire) => wire.bind(any).await.err(),
        None => UdpSocket::bind(any).await.err(),
    }?;
    Some(Failure::no_socket(error)).filter(Failure::is_exhausted)
}
