//! What goes wrong while dialing: which stage, and who is at fault. No error of the backend leaves the
//! crate except as an opaque cause.

use std::error::Error;

use transport_core::{ConnectError, ConnectErrorKind, TransportId};

/// Why a [`WebRtcConfig`](crate::WebRtcConfig) cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An environment variable cannot be read. Its value may be a secret and is not repeated.
    #[error("cannot read {name}")]
    Environment {
        /// Which.
        name: &'static str,
    },
    /// The labels are empty, equal or too long.
    #[error("labels: two different names of 1 to 128 bytes")]
    Labels,
    /// The chunk is out of range.
    #[error("max_chunk: 1201 to 16384 bytes")]
    MaxChunk,
    /// The interval is zero.
    #[error("ping_interval: longer than zero")]
    PingInterval,
    /// The range is empty or starts at 0.
    #[error("ports: a non-empty range that starts above 0")]
    Ports,
    /// Relayed candidates are required and nothing can relay.
    #[error("policy: relay-only needs a TURN server")]
    RelayWithoutTurn,
    /// A TURN server lacks credentials.
    #[error("ice_servers: TURN needs a user name and a credential")]
    TurnCredentials,
}

/// The stages of a dial, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Signaling,
    Gathering,
    Checks,
    Dtls,
    ChannelOpen,
}

impl Stage {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Signaling => "signaling",
            Self::Gathering => "gathering",
            Self::Checks => "checks",
            Self::Dtls => "dtls",
            Self::ChannelOpen => "channel-open",
        }
    }
}

/// A dial that failed, before it is given the transport's name.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) kind: ConnectErrorKind,
    cause: Box<dyn Error + Send + Sync>,
}

impl Failure {
    pub(crate) fn new(
        stage: Stage,
        kind: ConnectErrorKind,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { stage, kind, cause: cause.into() }
    }

    pub(crate) fn timed_out(stage: Stage) -> Self {
        Self::new(stage, ConnectErrorKind::TimedOut, "the deadline of this stage passed")
    }

    /// A socket that could not be opened: the network has no UDP, or file descriptors ran out.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) fn no_socket(error: std::io::Error) -> Self {
        if error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code)) {
            return Self::new(Stage::Gathering, ConnectErrorKind::Unreachable, Exhausted);
        }
        Self::new(Stage::Gathering, ConnectErrorKind::Incompatible, error)
    }

    /// Says whether it failed for want of file descriptors: another time it may succeed.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.cause.is::<Exhausted>()
    }

    pub(crate) fn into_error(self, transport: TransportId) -> ConnectError {
        ConnectError::new(transport, self.stage.label(), self.kind).because(self.cause)
    }
}

/// This process, or the machine, has no file descriptor left.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no file descriptor is left for a socket: raise the limit (ulimit -n)")]
struct Exhausted;

/// `ENFILE` and `EMFILE`, the same on every Unix. The standard library has no kind for them.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
const OUT_OF_DESCRIPTORS: [i32; 2] = [23, 24];
