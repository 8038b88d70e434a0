//! By what a member of a session proves to be one.

use beach_lifeguard_client::{
    membership::{Member, MembershipProof, Purpose, Verifier},
    token::Role,
};
use transport_core::{PeerId, SessionId};
use uuid::Uuid;

use crate::runtime::wall_clock;

/// Who asks, and the key that proves it.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The session.
    pub session: SessionId,
    /// This endpoint.
    pub local: PeerId,
    /// Host or viewer.
    pub role: Role,
    /// Derived from the session's secret; opens nothing.
    pub verifier: Verifier,
}

impl Credentials {
    /// Proves membership once, for one purpose, now.
    pub fn prove(&self, purpose: Purpose) -> MembershipProof {
        let member = Member { peer_id: Uuid::from_bytes(*self.local.as_bytes()), role: self.role };
        self.verifier.prove(purpose, self.session_uuid(), member, wall_clock(), rand::random())
    }

    /// Returns the session as it travels.
    pub fn session_uuid(&self) -> Uuid {
        Uuid::from_bytes(*self.session.as_bytes())
    }
}
