//! What an answer of the room, or of whatever stands before it, means: come back, or stay away. Sans-IO.

use std::borrow::Cow;

use beach_lifeguard_client::reason::Reason;
use beach_outbound::OutboundError;
use transport_core::{
    CloseCode, RetryClass,
    signaling::{Obstacle, SignalingError},
};

use crate::{
    clock::Skew,
    error::{ControlError, Refusal},
};

/// Why a visit ended.
#[derive(Debug)]
pub(super) enum Departure {
    /// Nobody listens to us any more.
    Dropped,
    /// Come back later.
    Lost(Absence),
    /// Do not come back.
    Refused(SignalingError),
}

/// Why the room is away.
#[derive(Debug)]
pub(super) struct Absence {
    pub(super) detail: String,
    pub(super) obstacle: Obstacle,
}

impl<T: Into<String>> From<T> for Absence {
    fn from(detail: T) -> Self {
        Self { detail: detail.into(), obstacle: Obstacle::Unknown }
    }
}

/// Reads why no connection came about.
pub(super) fn from_outbound(error: &OutboundError) -> Departure {
    let obstacle = match error {
        error if error.is_login_page() => Obstacle::LoginPage,
        error if error.is_not_pinned() => Obstacle::OtherCertificate,
        error if error.is_untrusted() => Obstacle::Untrusted,
        _ => Obstacle::Unknown,
    };
    Departure::Lost(Absence { detail: error.to_string(), obstacle })
}

/// Reads the close that the room sent.
pub(super) fn from_close(code: u16, reason: &str, skew: Option<Skew>) -> Departure {
    match CloseCode::from_wire(code) {
        // The room that closes normally restarts or drains; only refusals are final.
        Some(code) if code.retry_class() == RetryClass::Stay && code.get() >= 4000 => {
            let reason = Reason::of_label(reason);
            let label = reason.map_or(code.label(), Reason::label);
            let is_proof = reason == Some(Reason::MembershipInvalid);
            refused(label, skew.filter(|_| is_proof).map_or(String::new(), |skew| skew.to_string()))
        }
        Some(code) => Departure::Lost(format!("the room closed: {code}").into()),
        None => Departure::Lost("the room closed".into()),
    }
}

/// Reads why a session was not registered.
pub(super) fn from_control(error: ControlError) -> Departure {
    if let ControlError::Unreachable { source, .. } = &error {
        return from_outbound(source);
    }
    if error.is_passing() {
        return Departure::Lost(error.to_string().into());
    }
    let skew = match &error {
        ControlError::Refused { refusal: Refusal { skew, .. }, .. } => *skew,
        _ => None,
    };
    match error.reason() {
        Some(reason) => refused(reason.label(), skew.map_or(String::new(), |skew| skew.to_string())),
        None => refused("refused", error.to_string()),
    }
}

pub(super) fn refused(label: impl Into<Cow<'static, str>>, detail: String) -> Departure {
    Departure::Refused(SignalingError::Refused { label: label.into(), detail })
}

/// What the control plane calls a session that nobody registered.
pub(super) const UNKNOWN: &str = Reason::UnknownSession.label();

/// What is said of a proxy that speaks no WebSocket.
pub(super) const UPGRADE_REMOVED: &str = "upgrade_removed";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_where_it_explains_the_refusal() {
        let skew = Some(Skew { by: Duration::from_secs(3_600), ahead: true });
        let Departure::Refused(error) = from_close(4500, "membership_invalid", skew) else { panic!() };
        assert_eq!(
            error.to_string(),
            "the signaling service refused: membership_invalid: \
             this machine's clock is 60 minutes ahead of the server's; set it right"
        );
        let Departure::Refused(error) = from_close(4500, "unknown_session", skew) else { panic!() };
        assert_eq!(error, SignalingError::refused("unknown_session"));
        let Departure::Refused(error) = from_close(4503, "<b>", None) else { panic!() };
        assert_eq!(error, SignalingError::refused("paused"));
    }
}
