//! A build with WebRTC alone connects a session.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/alone.rs"]
mod alone;

use negotiator::NetworkConfig;

#[tokio::test]
async fn webrtc_alone_carries_a_session() {
    let mut network = NetworkConfig::default();
    network.webrtc.loopback = true;
    assert_eq!(alone::carries_a_session(network, "webrtc").await, 0);
}
