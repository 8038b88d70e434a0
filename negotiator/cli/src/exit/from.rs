//! What failures of the library and of the terminal mean to a person.

use negotiator::{BadJoinLink, ByeReason, JoinError, SessionEnd, ShareError};
use transport_core::{
    secure::BadJoinFragment,
    signaling::{Obstacle, SignalingError},
};

use super::Failure;
use crate::{host::pty::PtyError, meeting};

impl From<BadJoinLink> for Failure {
    fn from(bad: BadJoinLink) -> Self {
        match bad {
            BadJoinLink::Fragment(BadJoinFragment::Expired) => Self::Expired,
            bad => Self::Link(bad),
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Full => Self::Declined("the session is full, try again later".to_owned()),
            JoinError::HostAbsent => Self::HostAbsent,
            JoinError::HostRefused { why: why @ ByeReason::Unanswered } => {
                Self::ShownOut(format!("{why}: ask them, and join again"))
            }
            JoinError::HostRefused { why } => Self::Declined(why.to_string()),
            JoinError::Link(bad) => bad.into(),
            JoinError::LinkExpired => Self::Expired,
            error @ (JoinError::LinkRevoked | JoinError::LinkUsedUp) => Self::LinkGone(error.to_string()),
            error @ (JoinError::NotApproved | JoinError::Removed) => Self::ShownOut(error.to_string()),
            JoinError::NoPath { explanation } if explanation.refusal() == Some(PAUSED) => Self::Paused,
            JoinError::NoPath { explanation } => Self::NoPath(explanation.to_string()),
            JoinError::Misconfigured(what) => Self::Usage(what),
            JoinError::SecretMismatch => Self::Secret,
            JoinError::Signaling(error) => error.into(),
            error @ JoinError::Version { .. } => Self::Version(error.to_string()),
            error => Self::Unreachable(chain(&error)),
        }
    }
}

impl From<SessionEnd> for Failure {
    fn from(end: SessionEnd) -> Self {
        match end {
            end @ SessionEnd::LinkRevoked => Self::LinkGone(end.to_string()),
            end @ (SessionEnd::Removed | SessionEnd::TurnedAway { .. }) => Self::ShownOut(end.to_string()),
            end => Self::SessionLost(end),
        }
    }
}

impl From<ShareError> for Failure {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Address(BadJoinLink::NoTls) => {
                Self::Usage("--pin names a certificate: --control-plane begins with https:// then".to_owned())
            }
            ShareError::Address(_) => {
                Self::Usage("--control-plane begins with http:// or https:// and a host".to_owned())
            }
            ShareError::Misconfigured(what) => Self::Usage(what),
            error @ ShareError::TooManyLinks => Self::Usage(error.to_string()),
            ShareError::Signaling(error) => error.into(),
            error => Self::Unreachable(chain(&error)),
        }
    }
}

impl From<SignalingError> for Failure {
    fn from(error: SignalingError) -> Self {
        match error {
            SignalingError::Refused { label, detail } => match label.as_ref() {
                // A clock that is off is refused as a wrong secret is; the detail knows which it was.
                "membership_invalid" if detail.is_empty() => Self::Secret,
                "unknown_session" => Self::UnknownSession,
                PAUSED => Self::Paused,
                // Nothing of the control plane was reached: what answered is in between.
                UPGRADE_REMOVED => Self::Unreachable(detail),
                label if detail.is_empty() => Self::Refused(format!("{label}; ask its operator")),
                label => Self::Refused(format!("{label}: {detail}")),
            },
            SignalingError::Unreachable { detail, obstacle } => {
                let words = meeting::in_words(&detail, obstacle);
                match obstacle {
                    Obstacle::OtherCertificate => Self::OtherCertificate(words),
                    Obstacle::Untrusted => Self::Untrusted(words),
                    _ => Self::Unreachable(words),
                }
            }
            error => Self::Unreachable(chain(&error)),
        }
    }
}

impl From<PtyError> for Failure {
    fn from(error: PtyError) -> Self {
        Self::Command(error)
    }
}

/// An error and its sources on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What the control plane says while its operator keeps the relay closed.
const PAUSED: &str = "fallback_paused";

/// What the library says when a WebSocket was asked for and a proxy removed the question.
const UPGRADE_REMOVED: &str = "upgrade_removed";
