//! What an application is told when something cannot be done. Every text says what to do next.

use std::{fmt, io};

use bytes::Bytes;
use transport_core::{
    Closed,
    resume::Expiry,
    signaling::{ByeReason, SignalingError},
};

use crate::{explain::Explanation, link::BadJoinLink};

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionEnd {
    /// One side closed it. Everything sent before was delivered.
    #[error("the session was {0}")]
    Closed(Closed),
    /// It could not be resumed in time, or the peer came back without its state.
    #[error("the session could not be resumed ({}); {unacknowledged} bytes were not acknowledged", why.label())]
    Expired {
        /// Why.
        why: Expiry,
        /// Payload bytes that were accepted and never acknowledged.
        unacknowledged: usize,
    },
    /// Messages are gone that can never be had again.
    #[error("messages {from} to {to} are lost: the other side no longer has them")]
    Gap {
        /// The first number that is missing.
        from: u64,
        /// The first number that is not.
        to: u64,
    },
}

/// Why a message was not accepted. Nothing of it was sent. `Debug` shows how long the message is, never what it says.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is over.
    #[error("the session is over")]
    Ended {
        /// The message, untouched.
        payload: Bytes,
    },
    /// Only [`Session::try_send`](crate::Session::try_send): the session holds as much as it may.
    #[error("the session holds as much as it may: wait")]
    Full {
        /// The message, untouched.
        payload: Bytes,
    },
    /// The message is empty, or larger than 1 MiB (datagrams: 64 KiB).
    #[error("a message has between 1 byte and 1 MiB, a datagram at most 64 KiB")]
    Size {
        /// The message, untouched.
        payload: Bytes,
    },
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, payload) = match self {
            Self::Ended { payload } => ("Ended", payload),
            Self::Full { payload } => ("Full", payload),
            Self::Size { payload } => ("Size", payload),
        };
        f.debug_struct(name).field("payload_bytes", &payload.len()).finish()
    }
}

/// Why a session could not be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The host is there, and takes no more viewers.
    #[error("the session is full: ask the host to let somebody go, or try again later")]
    Full,
    /// The host did not answer within the time allowed.
    #[error("the host does not answer: is it still sharing?")]
    HostAbsent,
    /// The host is there, and does not let this viewer in.
    #[error("the host refused: {why}")]
    HostRefused {
        /// Why.
        why: ByeReason,
    },
    /// The link is damaged or expired.
    #[error(transparent)]
    Link(#[from] BadJoinLink),
    /// The host is there, and its link lets nobody new in any more.
    #[error("this link has expired: ask the host for a new one")]
    LinkExpired,
    /// No path came up in time. Says what was tried.
    #[error("no path to the host: {explanation}")]
    NoPath {
        /// What was tried, with the reasons.
        explanation: Box<Explanation>,
    },
    /// The configuration names something that cannot be.
    #[error("the configuration is wrong: {0}")]
    Misconfigured(String),
    /// The runtime could not start.
    #[error("the runtime cannot start")]
    Runtime(#[source] io::Error),
    /// Somebody answered who does not know the secret.
    #[error("the link's secret does not fit the session: ask the host for its link again")]
    SecretMismatch,
    /// The signaling service refused or cannot be reached.
    #[error("cannot meet the host")]
    Signaling(#[from] SignalingError),
    /// The host speaks another version.
    #[error(
        "the host speaks version {theirs} of the session protocol, this program version {ours}: update the older one"
    )]
    Version {
        /// This side's.
        ours: u16,
        /// The host's.
        theirs: u16,
    },
}

/// Why a session could not be shared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The control plane's address cannot be used.
    #[error(transparent)]
    Address(#[from] BadJoinLink),
    /// The configuration names something that cannot be.
    #[error("the configuration is wrong: {0}")]
    Misconfigured(String),
    /// The operating system has no random numbers.
    #[error(transparent)]
    NoEntropy(#[from] transport_core::secure::NoEntropy),
    /// The control plane cannot be reached or refused.
    #[error("cannot register the session")]
    Signaling(#[from] SignalingError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_not_accepted_is_not_in_the_error_s_text() {
        let error = SendError::Full { payload: "hunter2".into() };
        assert_eq!(format!("{error:?}"), "Full { payload_bytes: 7 }");
        assert!(!error.to_string().contains("hunter2"));
    }
}
