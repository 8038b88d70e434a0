//! Two ends of a negotiated, sealed session: what an application has, over one path that it does not leave.

use bytes::Bytes;
use negotiator::{FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received, Session};

use crate::Failure;

/// The path a session is kept to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// WebRTC, directly.
    Direct,
    /// The relay.
    Relay,
}

impl Path {
    /// The column of its figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "webrtc",
            Self::Relay => "session",
        }
    }
}

/// One end.
#[derive(Debug)]
pub(crate) struct Negotiated {
    session: Session,
    /// Kept as long as its session.
    _host: Option<Host>,
}

impl Negotiated {
    pub(crate) async fn send(&self, payload: Bytes) -> Result<(), Failure> {
        self.session.send(payload).await.map_err(|error| Failure(error.to_string()))
    }

    /// Ends the session for both ends.
    pub(crate) async fn close(&self) {
        self.session.close().await;
    }

    pub(crate) async fn recv(&self) -> Result<Bytes, Failure> {
        match self.session.recv().await {
            Ok(Received::Message(payload)) => Ok(payload),
            Ok(other) => Err(Failure(format!("nobody sent {other:?}"))),
            Err(end) => Err(Failure(end.to_string())),
        }
    }
}

/// Shares and joins; the host's end is the sender.
pub(crate) async fn connect(control_plane: &str, path: Path) -> Result<[Negotiated; 2], Failure> {
    let mut network = NetworkConfig::default();
    network.webrtc.loopback = true;
    network.mode = match path {
        Path::Direct => FallbackMode::DirectOnly,
        Path::Relay => FallbackMode::RelayOnly,
    };
    let mut config = HostConfig::new(control_plane);
    config.network = network.clone();
    let host = Host::share(config).await.map_err(|error| Failure(error.to_string()))?;
    let joining = Negotiator::new(host.link().clone(), network).connect();
    let (joined, hosted) = tokio::join!(joining, host.accept());
    let joined = joined.map_err(|error| Failure(error.to_string()))?;
    let hosted = hosted.ok_or_else(|| Failure("the host was closed".to_owned()))?;
    Ok([Negotiated { session: hosted, _host: Some(host) }, Negotiated { session: joined, _host: None }])
}
