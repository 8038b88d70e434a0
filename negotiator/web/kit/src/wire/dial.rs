//! A dial and how it fails, as words.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use transport_core::{ConnectError, ConnectErrorKind, TransportId};

/// One dial: a `Target`, and by which connector.
#[derive(Debug, Serialize, Deserialize)]
pub struct Dial {
    /// Where the relay is and as whom to enter; `None` dials WebRTC.
    pub relay: Option<RelayMember>,
    /// The session's 16 bytes.
    pub session: [u8; 16],
    /// Those of this endpoint.
    pub local: [u8; 16],
    /// Those of the other one.
    pub peer: [u8; 16],
    /// The number of the attempt.
    pub generation: u32,
    /// Whether this endpoint offers.
    pub offers: bool,
    /// Whether the dial has a channel to the other connector.
    pub has_channel: bool,
}

/// A member of a session made for a test, with everything that lets it in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RelayMember {
    /// `http://…`
    pub control_plane: String,
    /// `ws://…`
    pub relay: String,
    /// How often the socket shows life, in milliseconds.
    pub heartbeat_ms: u64,
    /// Reliable bytes of the link that may wait.
    pub reliable_bytes: NonZeroUsize,
    /// Whether the relay is reached over HTTP instead of a WebSocket.
    pub over_http: bool,
    /// The seed of the member's key.
    pub seed: [u8; 32],
    /// At a viewer, the host's public key and the secret of the link.
    pub link: Option<([u8; 32], [u8; 16])>,
}

/// A [`ConnectError`]. Its causes are one line, as [`ConnectError::chain`] writes them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failed {
    transport: String,
    stage: String,
    kind: Kind,
    refusal: Option<String>,
    cause: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(remote = "ConnectErrorKind")]
enum KindOf {
    Incompatible,
    Misuse,
    Rejected,
    TimedOut,
    Unreachable,
    Unready,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Kind(#[serde(with = "KindOf")] ConnectErrorKind);

impl From<&ConnectError> for Failed {
    fn from(error: &ConnectError) -> Self {
        let cause = error.source.is_some().then(|| {
            let (chain, own) = (error.chain(), error.to_string());
            chain.strip_prefix(&format!("{own}: ")).unwrap_or(&chain).to_owned()
        });
        Self {
            transport: error.transport.to_string(),
            stage: error.stage.to_owned(),
            kind: Kind(error.kind),
            refusal: error.refusal.map(str::to_owned),
            cause,
        }
    }
}

impl From<Failed> for ConnectError {
    fn from(failed: Failed) -> Self {
        let transport = TransportId::parse(failed.transport)
            .unwrap_or_else(|_| TransportId::from_static("unreadable-name"));
        // An error names its stage for as long as the program runs; a test fails a handful of times.
        let mut error = ConnectError::new(transport, failed.stage.leak(), failed.kind.0);
        error.refusal = failed.refusal.map(|label| &*label.leak());
        error.source = failed.cause.map(Into::into);
        error
    }
}
