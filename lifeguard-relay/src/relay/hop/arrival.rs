//! Who came to a node, after everything about the hello was checked.

use std::net::IpAddr;

use beach_lifeguard_client::{Access, Claims, ClientHello, FeatureBits};
use serde::{Deserialize, Serialize};

use crate::telemetry::metrics::Carrier;

/// What the node that seats a peer has to know. Between nodes it travels as JSON; the token is not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::relay) struct Arrival {
    pub(in crate::relay) claims: Claims,
    /// What the peer asked for; the token grants at least that.
    pub(in crate::relay) access: Access,
    pub(in crate::relay) telemetry: bool,
    pub(in crate::relay) client_nonce: [u8; 16],
    /// Where the client is, as far as anybody knows.
    pub(in crate::relay) address: Option<IpAddr>,
    pub(in crate::relay) carrier: Carrier,
}

impl Arrival {
    /// Of a hello and a token that fit each other.
    pub(in crate::relay) fn new(
        hello: &ClientHello,
        claims: Claims,
        address: Option<IpAddr>,
        carrier: Carrier,
    ) -> Self {
        let telemetry = claims.feature_bits.telemetry_enabled && hello.telemetry;
        Self { claims, access: hello.access, telemetry, client_nonce: hello.client_nonce, address, carrier }
    }

    /// What the token allows and the person agreed to.
    pub(in crate::relay) fn feature_bits(&self) -> FeatureBits {
        FeatureBits { telemetry_enabled: self.telemetry, ..self.claims.feature_bits }
    }
}
