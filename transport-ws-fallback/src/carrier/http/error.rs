//! Why HTTP streaming did not open.

use std::error::Error;

use beach_lifeguard_client::{hello::HelloError, stream::reason};
use beach_outbound::OutboundError;
use transport_core::{ConnectErrorKind, Text};

use crate::{dial::Fault, runtime::Duration};

/// HTTP streaming did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamFailed {
    /// The answer broke off before its first record was whole.
    #[error("the answer to the stream broke off: {0}")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The answer is of another type than a relay's.
    #[error("the answer to the stream is no relay's")]
    Content,
    /// The first record cannot be read.
    #[error("the first record of the stream cannot be read: {0}")]
    Garbled(#[source] Box<dyn Error + Send + Sync>),
    /// The answer began, and its first record did not come.
    #[error("a proxy holds the relay's answer back: its head came, its first record did not within {0:?}")]
    HeldBack(Duration),
    /// A captive portal answers in place of the relay.
    #[error(transparent)]
    Login(OutboundError),
    /// No answer began.
    #[error("no answer to the stream within {0:?}: it is held back or lost")]
    Silent(Duration),
    /// The relay, or something before it, answered with another status.
    #[error("the stream was answered with HTTP {status}{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// The relay's own reason; `None` when somebody else answers.
        reason: Option<Text>,
    },
    /// A browser that could not ask. A machine says at which stage of the dial it failed.
    #[error(transparent)]
    Unreached(OutboundError),
}

impl StreamFailed {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        match self {
            Self::Broken(_) | Self::Login(_) => ConnectErrorKind::Unreachable,
            Self::Content | Self::Garbled(_) => ConnectErrorKind::Incompatible,
            Self::HeldBack(_) | Self::Silent(_) => ConnectErrorKind::TimedOut,
            Self::Status { status, .. } => kind_of(*status),
            Self::Unreached(error) if error.is_timeout() => ConnectErrorKind::TimedOut,
            Self::Unreached(error) if error.is_refused() => ConnectErrorKind::Unready,
            Self::Unreached(_) => ConnectErrorKind::Unreachable,
        }
    }

    /// A relay that heard the request says no to the client, unless it has no such carrier.
    pub(crate) fn fault(&self) -> Fault {
        let Self::Status { status, reason } = self else { return Fault::Way };
        let said_by_relay = reason.as_deref().is_some_and(|reason| reason != reason::OFF);
        Fault::of_answer(*status, said_by_relay, reason.as_deref())
    }

    /// Whether nobody looked at the hello in the request: somebody before the relay answered, or the relay did with a status,
    /// which it says before. A gateway that waited in vain (504) may have passed it on.
    pub(crate) fn is_unheard(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status != 504,
            Self::Content | Self::Login(_) | Self::Unreached(_) => true,
            Self::Broken(_) | Self::Garbled(_) | Self::HeldBack(_) | Self::Silent(_) => false,
        }
    }
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
impl From<hyper::Error> for StreamFailed {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() || error.is_parse_too_large() {
            Self::Garbled(error.into())
        } else {
            Self::Broken(error.into())
        }
    }
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
impl From<hyper::http::Error> for StreamFailed {
    fn from(error: hyper::http::Error) -> Self {
        Self::Garbled(error.into())
    }
}

impl From<HelloError> for StreamFailed {
    fn from(error: HelloError) -> Self {
        Self::Garbled(error.into())
    }
}

pub(crate) fn kind_of(status: u16) -> ConnectErrorKind {
    match status {
        401 | 403 => ConnectErrorKind::Rejected,
        status if is_passing(status) => ConnectErrorKind::Unready,
        // Whatever answers there is no relay of this version.
        _ => ConnectErrorKind::Incompatible,
    }
}

/// Whether another moment may do: full, draining, too many at once.
pub(crate) const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_relay_is_told_from_one_on_the_way() {
        let stream = |reason: Option<&'static str>| StreamFailed::Status {
            status: 410,
            reason: reason.map(Text::new),
        };
        for (reason, fault) in [
            (None, Fault::Way),
            (Some("draining"), Fault::Moment),
            (Some("rate_limited"), Fault::Final),
            (Some("stream_off"), Fault::Way),
        ] {
            assert_eq!(stream(reason).fault(), fault, "{reason:?}");
            assert!(stream(reason).is_unheard(), "{reason:?}");
        }
        let gateway = |status| StreamFailed::Status { status, reason: None };
        assert!(gateway(502).is_unheard() && !gateway(504).is_unheard());
        assert_eq!(gateway(502).fault(), Fault::Moment);
    }
}
