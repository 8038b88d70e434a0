//! An upgrade that was answered, and not by a WebSocket.

use std::{error::Error, fmt};

use transport_core::{ConnectErrorKind, Text};

use crate::{carrier::kind_of, dial::Fault};

/// The relay, or something before it, answered the upgrade with another HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeRefused {
    /// The HTTP status.
    pub status: u16,
    /// The relay's own reason; `None` when somebody else answers.
    pub reason: Option<Text>,
}

impl UpgradeRefused {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        kind_of(self.status)
    }

    /// A relay that heard the request says no to the client, unless it says that this is no upgrade.
    pub(crate) fn fault(&self) -> Fault {
        let said_by_relay = self.reason.is_some() && !self.lost_its_upgrade();
        Fault::of_answer(self.status, said_by_relay, self.reason.as_deref())
    }

    fn lost_its_upgrade(&self) -> bool {
        self.reason.as_deref().is_some_and(|reason| ["not_websocket", "subprotocol"].contains(&reason))
    }
}

impl fmt::Display for UpgradeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason } = self;
        match reason {
            _ if self.lost_its_upgrade() => {
                write!(f, "a proxy before the relay removed the WebSocket upgrade (HTTP {status})")
            }
            Some(reason) => write!(f, "the relay refused the upgrade: {reason} (HTTP {status})"),
            None => write!(f, "the upgrade was answered with HTTP {status}, and not by the relay"),
        }
    }
}

impl Error for UpgradeRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_who_is_at_fault() {
        use ConnectErrorKind::{Incompatible, Rejected, Unready};
        for (status, kind) in [(403, Rejected), (404, Incompatible), (426, Incompatible), (503, Unready)] {
            assert_eq!(UpgradeRefused { status, reason: None }.kind(), kind, "{status}");
        }
    }

    #[test]
    fn a_refusal_of_the_relay_is_told_from_one_on_the_way() {
        let upgrade =
            |reason: Option<&'static str>| UpgradeRefused { status: 426, reason: reason.map(Text::new) };
        for (reason, fault) in [
            (None, Fault::Way),
            (Some("not_websocket"), Fault::Way),
            (Some("subprotocol"), Fault::Way),
            (Some("rate_limited"), Fault::Final),
            (Some("draining"), Fault::Moment),
        ] {
            assert_eq!(upgrade(reason).fault(), fault, "{reason:?}");
        }
        // A gateway behind which nobody is there at the moment, and one that lets no upgrade through.
        for (status, fault) in
            [(502, Fault::Moment), (503, Fault::Moment), (403, Fault::Way), (501, Fault::Way)]
        {
            assert_eq!(UpgradeRefused { status, reason: None }.fault(), fault, "{status}");
        }
        assert!(upgrade(Some("not_websocket")).to_string().contains("proxy"));
    }
}
