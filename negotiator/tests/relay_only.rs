//! A build with the relay alone connects a session.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/alone.rs"]
mod alone;

use negotiator::NetworkConfig;

#[tokio::test]
async fn the_relay_alone_carries_a_session() {
    let mut network = NetworkConfig::default();
    if cfg!(feature = "webrtc") {
        network.mode = negotiator::FallbackMode::RelayOnly;
    }
    assert!(alone::carries_a_session(network, "ws-fallback").await > 0);
}
