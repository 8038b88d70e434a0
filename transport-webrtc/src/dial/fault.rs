//! Whose fault a failed dial is.

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::UdpSocket;
use transport_core::{ConnectErrorKind, signaling::SignalingError};

use crate::{
    config::WebRtcConfig,
    error::{Failure, Stage},
    message::DeclineReason,
};

pub(super) fn declined(stage: Stage, reason: DeclineReason) -> Failure {
    let kind = match reason {
        // Its own dial failed; that says as much about the path as ours failing. A descriptor may be free later.
        DeclineReason::Exhausted | DeclineReason::GaveUp => ConnectErrorKind::Unreachable,
        DeclineReason::Incompatible | DeclineReason::NoUdp => ConnectErrorKind::Incompatible,
        DeclineReason::Other => ConnectErrorKind::Rejected,
    };
    Failure::new(stage, kind, reason)
}

pub(super) fn incompatible(stage: Stage, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::new(stage, ConnectErrorKind::Incompatible, cause)
}

pub(super) fn unreachable(error: SignalingError) -> Failure {
    let kind = match error {
        SignalingError::Refused { .. } => ConnectErrorKind::Rejected,
        _ => ConnectErrorKind::Unreachable,
    };
    Failure::new(Stage::Signaling, kind, error)
}

/// Returns why there is no socket when that is for want of file descriptors. The WebRTC library keeps the reasons of
/// failed sockets to itself, so one is asked for here: a limit of this process must not read as a network without UDP.
pub(super) async fn exhausted(config: &WebRtcConfig) -> Option<Failure> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let error = match &config.udp {
        Some(wire) => wire.bind(any).await.err(),
        None => UdpSocket::bind(any).await.err(),
    }?;
    Some(Failure::no_socket(error)).filter(Failure::is_exhausted)
}
