//! Proofs that are made now.

use beach_lifeguard_client::membership::{Credentials, MembershipProof, Purpose};

use crate::runtime::wall_clock;

/// Proves who an endpoint is and which link it holds once, for one purpose, now.
pub fn prove(credentials: &Credentials, purpose: Purpose) -> MembershipProof {
    credentials.prove(purpose, wall_clock(), rand::random())
}
