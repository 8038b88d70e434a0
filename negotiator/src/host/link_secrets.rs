//! Which links open what: handshakes those in force, envelopes all that are remembered.

use std::sync::Arc;

use transport_core::{
    PeerId,
    secure::{Access, LinkId, LinkSecret, LinkSecrets},
    signaling::ByeReason,
};

use super::host_state::HostState;
use crate::endpoint::Doorkeeper;

/// Handshakes open by links in force alone, and only to guests.
#[derive(Debug)]
pub(super) struct LinksInForce(pub(super) Arc<HostState>);

impl LinkSecrets for LinksInForce {
    fn secret(&self, link: LinkId) -> Option<LinkSecret> {
        self.0.secret_in_force(link)
    }
}

impl Doorkeeper for LinksInForce {
    fn admit(&self, peer: PeerId, link: LinkId, asked: Access) -> Result<Access, ByeReason> {
        self.0.admit(peer, link, asked)
    }
}

/// Envelopes open by every link that is remembered, so that a holder of a revoked one hears why.
#[derive(Debug)]
pub(super) struct LinksRemembered(pub(super) Arc<HostState>);

impl LinkSecrets for LinksRemembered {
    fn secret(&self, link: LinkId) -> Option<LinkSecret> {
        self.0.secret_remembered(link)
    }
}
