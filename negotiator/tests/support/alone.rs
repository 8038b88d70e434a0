//! A session over the one transport that a build has.

use std::time::Duration;

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Received};
use tokio::time::timeout;

/// Shares and joins under `network`, says hello both ways over `transport`, and returns how many connections the relay saw.
pub(crate) async fn carries_a_session(network: NetworkConfig, transport: &str) -> u64 {
    let dev = Dev::start(DevConfig::default()).await.unwrap();
    let mut shared = HostConfig::new(dev.public_url());
    shared.network = network.clone();
    let host = Host::share(shared).await.unwrap();
    let joining = Negotiator::new(host.link().clone(), network);
    let (viewer, hosted) = tokio::join!(joining.connect(), host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    assert_eq!(viewer.status().path.unwrap().as_str(), transport, "{}", viewer.explain());
    for (from, to) in [(&viewer, &hosted), (&hosted, &viewer)] {
        from.send("hello".into()).await.unwrap();
        let heard = timeout(Duration::from_secs(20), to.recv()).await.unwrap().unwrap();
        assert_eq!(heard, Received::Message("hello".into()));
    }
    let relayed = dev.total_relay_connections();
    drop((viewer, hosted));
    host.close().await;
    dev.shutdown().await;
    relayed
}
