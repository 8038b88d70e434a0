//! The shape of Beach's synchronous transport module: the names and signatures that its terminal is written against.

use std::{fmt, time::Duration};

/// A connected link, as Beach's terminal uses one: from many threads, blocking.
pub trait Transport: Send + Sync {
    /// What carries it.
    fn kind(&self) -> TransportKind;
    /// This end.
    fn id(&self) -> TransportId;
    /// The other end.
    fn peer(&self) -> TransportId;
    /// Sends a message under the number it has.
    ///
    /// # Errors
    ///
    /// [`TransportError`].
    fn send(&self, message: TransportMessage) -> Result<(), TransportError>;
    /// Sends text under the next number, and returns that.
    ///
    /// # Errors
    ///
    /// [`TransportError`].
    fn send_text(&self, text: &str) -> Result<u64, TransportError>;
    /// Sends bytes under the next number, and returns that.
    ///
    /// # Errors
    ///
    /// [`TransportError`].
    fn send_bytes(&self, bytes: &[u8]) -> Result<u64, TransportError>;
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`TransportError`].
    fn recv(&self, timeout: Duration) -> Result<TransportMessage, TransportError>;
    /// Takes a message that is there.
    ///
    /// # Errors
    ///
    /// [`TransportError`].
    fn try_recv(&self) -> Result<Option<TransportMessage>, TransportError>;
}

/// What carries a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Another process on this machine.
    Ipc,
    /// WebRTC.
    WebRtc,
    /// A WebSocket.
    WebSocket,
}

/// One end of a link, numbered within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransportId(pub u64);

/// A numbered payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportMessage {
    /// Counted by the sender.
    pub sequence: u64,
    /// Text or bytes.
    pub payload: Payload,
}

/// Text or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Bytes.
    Binary(Vec<u8>),
    /// UTF-8.
    Text(String),
}

/// Why a link did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// It is over.
    ChannelClosed,
    /// It could not be set up.
    Setup(String),
    /// Nothing came in time.
    Timeout,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChannelClosed => f.write_str("the transport is closed"),
            Self::Setup(why) => write!(f, "the transport could not be set up: {why}"),
            Self::Timeout => f.write_str("nothing arrived in time"),
        }
    }
}

impl std::error::Error for TransportError {}
