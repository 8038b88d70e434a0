//! Why a link ended, and whether coming back makes sense.

use std::fmt;

pub use beach_terms::{CloseCode, RetryClass, Text};

/// The end of a transport: who ended it, with which code, and why in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("closed by {initiator}: {code}{}{detail}", if detail.is_empty() { "" } else { ", " })]
pub struct Closed {
    /// Who ended it.
    pub initiator: Initiator,
    /// The code, from RFC 6455 §7.4 and `docs/wire.md`.
    pub code: CloseCode,
    /// For a person; never a secret, never parsed. Safe to show, whoever wrote it.
    pub detail: Text,
}

impl Closed {
    /// Describes an end that this side chose.
    pub fn local(code: CloseCode, detail: impl Into<Text>) -> Self {
        Self { initiator: Initiator::Local, code, detail: detail.into() }
    }

    /// Describes an end that the other side announced.
    pub fn peer(code: CloseCode, detail: impl Into<Text>) -> Self {
        Self { initiator: Initiator::Peer, code, detail: detail.into() }
    }

    /// Describes a path that died without a word.
    pub fn network(detail: impl Into<Text>) -> Self {
        Self { initiator: Initiator::Network, code: CloseCode::CONNECTION_LOST, detail: detail.into() }
    }
}

/// Who ended a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// This side.
    Local,
    /// Nobody said anything; the path failed.
    Network,
    /// The other side, or a relay on its behalf.
    Peer,
}

impl fmt::Display for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "this side",
            Self::Network => "the network",
            Self::Peer => "the peer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_for_a_person() {
        let closed = Closed::peer(CloseCode::DRAIN, "back in 3 s");
        assert_eq!(closed.to_string(), "closed by the peer: 4001 drain, back in 3 s");
        assert_eq!(Closed::local(CloseCode::NORMAL, "").to_string(), "closed by this side: 1000 normal");
    }
}
