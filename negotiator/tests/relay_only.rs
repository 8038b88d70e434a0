//! A build with the relay alone connects a session.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Received};
use tokio::time::timeout;

fn network() -> NetworkConfig {
    let mut config = NetworkConfig::default();
    if cfg!(feature = "webrtc") {
        config.mode = negotiator::FallbackMode::RelayOnly;
    }
    config
}

#[tokio::test]
async fn the_relay_alone_carries_a_session() {
    let dev = Dev::start(DevConfig::default()).await.unwrap();
    let mut shared = HostConfig::new(dev.public_url());
    shared.network = network();
    let host = Host::share(shared).await.unwrap();
    let joining = Negotiator::new(host.link().clone(), network());
    let (viewer, hosted) = tokio::join!(joining.connect(), host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    assert_eq!(viewer.status().path.unwrap().as_str(), "ws-fallback", "{}", viewer.explain());
    for (from, to) in [(&viewer, &hosted), (&hosted, &viewer)] {
        from.send("hello".into()).await.unwrap();
        let heard = timeout(Duration::from_secs(20), to.recv()).await.unwrap().unwrap();
        assert_eq!(heard, Received::Message("hello".into()));
    }
    assert!(dev.total_relay_connections() > 0);
    drop((viewer, hosted));
    host.close().await;
    dev.shutdown().await;
}
