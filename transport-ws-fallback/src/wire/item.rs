//! What comes from the relay.

use std::io;

use beach_lifeguard_client::websocket::Violation;
use bytes::Bytes;

/// What was read. Payloads are slices of the memory they were read into, unless a message came in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Binary(Bytes),
    /// Valid UTF-8.
    Text(Bytes),
    /// Its payload, which the pong gives back.
    Ping(Bytes),
    Pong,
    /// The server's goodbye. Nothing comes behind it.
    Close(Option<Goodbye>),
}

/// What a server said when it closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goodbye {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// Nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("the relay hung up")]
    HungUp,
    #[error("the relay socket failed: {0}")]
    Io(#[from] io::Error),
    #[error("the relay sent {0}")]
    Violation(#[from] Violation),
}
