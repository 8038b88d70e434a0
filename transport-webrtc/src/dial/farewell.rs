//! The last word of a dial that does not succeed.

use std::sync::Arc;

use transport_core::signaling::LinkChannel;

use crate::{
    message::{DeclineReason, LinkMessage},
    runtime::{Duration, spawn_if_running, timeout},
};

/// Tells the peer that this side does not go on, unless it is defused.
pub(super) struct Farewell {
    pub(super) link: Option<Arc<LinkChannel>>,
    pub(super) reason: DeclineReason,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            let message = LinkMessage::Decline { reason: self.reason }.encode();
            spawn_if_running(async move { timeout(FAREWELL, link.send(message)).await });
        }
    }
}

/// Time for telling the peer that this side gave up.
const FAREWELL: Duration = Duration::from_secs(1);
