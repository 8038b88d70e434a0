//! By what an endpoint proves who it is and what it may do.

use std::time::SystemTime;

use uuid::Uuid;

use super::{Identity, LinkSecret, MembershipProof, PublicKey, Purpose, Signature, Verifier, unix_seconds};
use crate::token::{Access, Role};

/// The key of an endpoint and, at a viewer, the link it came by. Never printed.
#[derive(Debug, Clone)]
pub struct Credentials {
    session: Uuid,
    identity: Identity,
    /// The link a viewer holds and the access it asks for; `None` for the host.
    link: Option<(LinkSecret, Access)>,
}

impl Credentials {
    /// Those of the host, whose key names the session.
    pub fn host(identity: Identity) -> Self {
        Self { session: session_id(&identity.public()), identity, link: None }
    }

    /// Those of a viewer in the session of `host`, who came by `link` and asks for `access`.
    pub fn viewer(host: PublicKey, identity: Identity, link: LinkSecret, access: Access) -> Self {
        Self { session: session_id(&host), identity, link: Some((link, access)) }
    }

    /// Returns the session, named by its host's key.
    pub fn session_id(&self) -> Uuid {
        self.session
    }

    /// Returns the name of this endpoint.
    pub fn peer_id(&self) -> Uuid {
        Uuid::from_bytes(self.identity.public().peer_id())
    }

    /// Returns the key of this endpoint.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns which side of the session this endpoint is.
    pub fn role(&self) -> Role {
        if self.link.is_some() { Role::Viewer } else { Role::Host }
    }

    /// Returns what this endpoint asks to do.
    pub fn access(&self) -> Access {
        self.link.as_ref().map_or(Access::Full, |(_, access)| *access)
    }

    /// Proves it once, for one purpose: `nonce` is 16 fresh random bytes.
    pub fn prove(&self, purpose: Purpose, now: SystemTime, nonce: [u8; 16]) -> MembershipProof {
        let mut proof = MembershipProof {
            key: self.identity.public(),
            role: self.role(),
            access: self.access(),
            link: self.link.as_ref().map(|(link, _)| link.id()),
            timestamp: unix_seconds(now),
            nonce,
            mac: None,
            signature: Signature([0; 64]),
        };
        let message = proof.message(purpose, self.session);
        proof.mac = self.link.as_ref().map(|(link, _)| Verifier::of(link).authenticate(&message));
        proof.signature = self.identity.sign(&message);
        proof
    }
}

fn session_id(host: &PublicKey) -> Uuid {
    Uuid::from_bytes(host.session_id())
}
