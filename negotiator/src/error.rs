//! What an application is told when something cannot be done. Every text says what to do next.

use std::{fmt, io};

use bytes::Bytes;
use transport_core::{
    CloseCode, Closed, Text,
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
    /// The host took back the link that this side came with.
    #[error("the host revoked the link you joined with: ask for a new one")]
    LinkRevoked,
    /// The host removed this side from the session.
    #[error("the host removed you from the session")]
    Removed,
    /// The host had no seat left when the session became usable, or no longer lets its link in.
    #[error("the host did not let you in: {why}")]
    TurnedAway {
        /// Why.
        why: ByeReason,
    },
}

impl SessionEnd {
    /// Reads the peer's close. That of whoever is shown out has the word for why as its reason.
    pub(crate) fn by_peer(code: CloseCode, reason: Text) -> Self {
        let word = ByeReason::ALL.into_iter().find(|word| word.code() == reason.as_str());
        match word {
            Some(word) if code == CloseCode::REMOVED => Self::by_word(word),
            _ => Self::Closed(Closed::peer(code, reason)),
        }
    }

    /// Reads the peer's goodbye.
    pub(crate) fn by_word(word: ByeReason) -> Self {
        match word {
            ByeReason::LinkRevoked => Self::LinkRevoked,
            ByeReason::Removed => Self::Removed,
            why @ (ByeReason::Full
            | ByeReason::LinkExpired
            | ByeReason::LinkUsedUp
            | ByeReason::Refused
            | ByeReason::Unanswered) => Self::TurnedAway { why },
            word => Self::Closed(Closed::peer(CloseCode::GOING_AWAY, word.code())),
        }
    }
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
///
/// # Examples
///
/// Its text says to a person what to do; a program looks at what it is:
///
/// ```
/// use negotiator::JoinError;
///
/// fn try_again(error: &JoinError) -> bool {
///     matches!(error, JoinError::HostAbsent | JoinError::Full | JoinError::NoPath { .. })
/// }
/// ```
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
    /// The host took this link back, or it never was one of its links.
    #[error("the host revoked this link, or it is not whole: copy it again, or ask for a new one")]
    LinkRevoked,
    /// As many people as the link is for have come.
    #[error("this link was used up by others: ask the host for a new one")]
    LinkUsedUp,
    /// The person who shares looked at the request and said no.
    #[error("the host did not approve")]
    NotApproved,
    /// The operating system has no random numbers.
    #[error(transparent)]
    NoEntropy(#[from] transport_core::secure::NoEntropy),
    /// The host is of a version that takes no viewer back under its key.
    #[error("the host takes no viewer back: join as a new one")]
    NotTakenBack,
    /// The host removed this viewer before.
    #[error("the host removed you from the session")]
    Removed,
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
    /// The runtime of a blocking host could not start.
    #[error("the runtime cannot start")]
    Runtime(#[source] io::Error),
    /// The control plane cannot be reached or refused.
    #[error("the control plane was not told about the session")]
    Signaling(#[from] SignalingError),
    /// As many links are in force as a session may have.
    #[error("a session has at most 64 links: revoke one first")]
    TooManyLinks,
}

impl JoinError {
    /// What it means that the host is there and does not let this side in.
    pub(crate) fn turned_away(reason: ByeReason) -> Self {
        match reason {
            ByeReason::Full => Self::Full,
            ByeReason::LinkExpired => Self::LinkExpired,
            ByeReason::LinkRevoked => Self::LinkRevoked,
            ByeReason::LinkUsedUp => Self::LinkUsedUp,
            ByeReason::Refused => Self::NotApproved,
            ByeReason::Removed => Self::Removed,
            why => Self::HostRefused { why },
        }
    }

    /// What it means that the session ended before it was usable, if the host ended it.
    pub(crate) fn from_end(end: &SessionEnd) -> Option<Self> {
        match end {
            SessionEnd::LinkRevoked => Some(Self::LinkRevoked),
            SessionEnd::Removed => Some(Self::Removed),
            SessionEnd::TurnedAway { why } => Some(Self::turned_away(*why)),
            _ => None,
        }
    }

    /// What it means that the room did not let this side in, or showed it out.
    pub(crate) fn shown_out(error: SignalingError) -> Self {
        match word_of(&error) {
            Some(word) => Self::turned_away(word),
            None => Self::Signaling(error),
        }
    }
}

/// The host's reason behind a refusal of the room, where the host has decided it.
pub(crate) fn word_of(error: &SignalingError) -> Option<ByeReason> {
    let SignalingError::Refused { label, .. } = error else { return None };
    match label.as_ref() {
        "link_expired" => Some(ByeReason::LinkExpired),
        "link_revoked" | "link_unknown" => Some(ByeReason::LinkRevoked),
        "peer_removed" => Some(ByeReason::Removed),
        _ => None,
    }
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
