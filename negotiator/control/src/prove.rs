//! Proofs that are made now.

use beach_lifeguard_client::membership::{Credentials, MembershipProof, Purpose};

use crate::runtime::{SystemTime, wall_clock};

/// Proves who an endpoint is and which link it holds once, for one purpose, now.
pub fn prove(credentials: &Credentials, purpose: Purpose) -> MembershipProof {
    // In a browser the clock's type is not the standard library's.
    let since = wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    credentials.prove(purpose, std::time::UNIX_EPOCH + since, rand::random())
}
