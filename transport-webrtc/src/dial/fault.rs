//! Whose fault a failed dial is.

use std::error::Error;

use transport_core::{ConnectErrorKind, signaling::SignalingError};

use crate::{
    error::{Failure, Stage},
    message::DeclineReason,
};

pub(super) fn declined(stage: Stage, reason: DeclineReason) -> Failure {
    let kind = match reason {
        // Its own dial failed; that says as much about the path as ours failing. A descriptor may be free later.
        DeclineReason::Exhausted | DeclineReason::GaveUp => ConnectErrorKind::Unreachable,
        DeclineReason::Incompatible | DeclineReason::NoUdp => ConnectErrorKind::Incompatible,
        DeclineReason::Other => ConnectErrorKind::Rejected,
    };
    Failure::new(stage, kind, reason)
}

pub(super) fn incompatible(stage: Stage, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::new(stage, ConnectErrorKind::Incompatible, cause)
}

pub(super) fn unreachable(error: SignalingError) -> Failure {
    let kind = match error {
        SignalingError::Refused { .. } => ConnectErrorKind::Rejected,
        _ => ConnectErrorKind::Unreachable,
    };
    Failure::new(Stage::Signaling, kind, error)
}
