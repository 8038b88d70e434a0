//! What a peer connection tells, whichever stack it is.

use std::sync::Arc;

use crate::channel::Raw;

/// What a peer connection tells.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// A local candidate, as an RFC 8839 line.
    Candidate(String),
    /// No more local candidates.
    Gathered,
    Ice(IceState),
    /// DTLS is up.
    Secured,
    /// DTLS failed.
    Insecure,
    /// A data channel is open on this side.
    Opened {
        label: String,
        raw: Arc<Raw>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IceState {
    /// Looking for a path; after a restart, again.
    Checking,
    Connected,
    Disconnected,
    Failed,
}
