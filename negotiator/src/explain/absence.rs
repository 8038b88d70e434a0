//! How a transport's last dial or link ended, and what that says of who is missing.

use serde::Serialize;
use transport_core::{Closed, ConnectError, ConnectErrorKind};

/// How the last dial or link of a transport ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastError {
    pub(crate) text: String,
    pub(crate) refusal: Option<&'static str>,
    pub(crate) absent: Option<Absence>,
}

/// Who is missing while a session has no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Absence {
    /// The relay answers, and the other side does not come there: it sleeps, or has no network.
    Peer,
    /// The relay cannot be reached from here.
    Relay,
}

impl Absence {
    /// Says it to a person, of the other side called `peer`, which was last heard so long ago.
    pub fn text(self, peer: &str, last_heard: Option<&str>) -> String {
        match (self, last_heard) {
            (Self::Peer, Some(ago)) => format!("{peer} is silent since {ago}; the relay answers"),
            (Self::Peer, None) => format!("{peer} is silent; the relay answers"),
            (Self::Relay, _) => "the relay cannot be reached".to_owned(),
        }
    }
}

impl LastError {
    /// A dial failed.
    pub(crate) fn of(error: &ConnectError) -> Self {
        let absent = match error.kind {
            _ if error.stage == ConnectError::PEER => Some(Absence::Peer),
            ConnectErrorKind::TimedOut | ConnectErrorKind::Unreachable | ConnectErrorKind::Unready => {
                Some(Absence::Relay)
            }
            // Whoever refuses is there, and what is not configured says nothing.
            _ => None,
        };
        Self { text: error.chain(), refusal: error.refusal, absent }
    }

    /// A dial was given up at a relay to which the other side did not come.
    pub(crate) fn nobody_came() -> Self {
        let text = "the other side has not opened the link".to_owned();
        Self { text, refusal: None, absent: Some(Absence::Peer) }
    }

    /// A link ended.
    pub(crate) fn ended(closed: &Closed) -> Self {
        Self { text: closed.to_string(), refusal: None, absent: None }
    }
}

#[cfg(test)]
mod tests {
    use transport_core::TransportId;

    use super::*;

    #[test]
    fn a_dial_that_nobody_came_to_blames_the_other_side_and_a_refusal_nobody() {
        let absent = |stage, kind| {
            LastError::of(&ConnectError::new(TransportId::from_static("ws-fallback"), stage, kind)).absent
        };
        use ConnectErrorKind::{Incompatible, Misuse, Rejected, TimedOut, Unreachable, Unready};
        assert_eq!(absent(ConnectError::PEER, TimedOut), Some(Absence::Peer));
        assert_eq!(absent(ConnectError::PEER, Unreachable), Some(Absence::Peer));
        assert_eq!(absent("dial", Unreachable), Some(Absence::Relay));
        assert_eq!(absent("upgrade", Unready), Some(Absence::Relay));
        assert_eq!(absent("token", TimedOut), Some(Absence::Relay));
        for kind in [Incompatible, Misuse, Rejected] {
            assert_eq!(absent("upgrade", kind), None);
        }
        assert_eq!(LastError::nobody_came().absent, Some(Absence::Peer));
    }
}
