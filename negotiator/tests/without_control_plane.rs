//! The control plane dies. Sessions go on: what carries them may die too.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it should be"
)]

mod real;

use std::time::{Duration, Instant};

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Session};
use real::{PATIENCE, RELAY, flow::Flow, on, through, wire};
use tokio::time::{sleep, timeout};
use transport_webrtc::ID;

/// A relay, and a control plane that can die without it: they share a store, as a deployment's do.
struct Deployment {
    relay: Dev,
    control: Dev,
}

impl Deployment {
    async fn start() -> Self {
        let relay = Dev::start(DevConfig::default()).await.unwrap();
        let mut config = DevConfig::default();
        config.control.relay_url = Some(relay.relay_ws_url());
        let control = relay.start_another(config).await.unwrap();
        Self { relay, control }
    }
}

async fn meet(control: &Dev, mut network: NetworkConfig) -> (Host, Session, Session) {
    network.connect_timeout = PATIENCE;
    let mut shared = HostConfig::new(control.public_url());
    shared.network = network.clone();
    let host = Host::share(shared).await.unwrap();
    let joining = Negotiator::new(host.link().clone(), network).connect();
    let (viewer, hosted) = tokio::join!(joining, timeout(PATIENCE, host.accept()));
    (host, viewer.unwrap(), hosted.unwrap().unwrap())
}

fn spare(relay: &Dev, kind: &str) -> u64 {
    relay.metrics().read("beach_fallback_spare_tokens", &[kind, "used"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_direct_path_dies_moves_to_the_relay_by_its_grants() {
    let Deployment { relay, control } = Deployment::start().await;
    let udp = wire();
    let (host, viewer, hosted) = meet(&control, through(udp.clone())).await;
    on(&viewer, &ID).await;
    let given = async {
        while control.metrics().read("beach_fallback_rescue_grants", &["given"]) < 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, given).await.expect("both sides have a grant");
    assert_eq!(relay.total_relay_connections(), 0, "the fallback sleeps");
    let flows = [Flow::start(&viewer, &hosted), Flow::start(&hosted, &viewer)];
    sleep(Duration::from_secs(1)).await;

    control.shutdown().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((viewer.status().path, relay.total_relay_connections()), (Some(ID), 0));
    udp.cut();
    let cut = Instant::now();
    on(&viewer, &RELAY).await;
    println!("on the relay {:?} after the path died", cut.elapsed());
    on(&hosted, &RELAY).await;
    for flow in flows {
        println!("{} arrived", flow.finish().await);
    }
    assert_eq!(spare(&relay, "rescue"), 2);
    host.close().await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_on_the_relay_outlives_a_restart_of_it_by_its_tickets() {
    let Deployment { relay, control } = Deployment::start().await;
    // It keeps the store and the keys, as Redis and a configuration do; nobody asks it anything.
    let keeper = relay.start_another(DevConfig::default()).await.unwrap();
    let mut network = through(wire());
    network.mode = FallbackMode::RelayOnly;
    let (host, viewer, hosted) = meet(&control, network).await;
    on(&viewer, &RELAY).await;
    let flows = [Flow::start(&viewer, &hosted), Flow::start(&hosted, &viewer)];
    sleep(Duration::from_secs(2)).await;

    control.shutdown().await;
    let mut config = DevConfig::default();
    config.public = relay.public_url().strip_prefix("http://").unwrap().parse().unwrap();
    relay.shutdown().await;
    let away = Instant::now();
    let again = keeper.start_another(config).await.unwrap();
    let back = async {
        while again.live_relay_sockets() < 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, back).await.expect("both sides come back");
    println!("both sides back {:?} after the relay went", away.elapsed());
    for flow in flows {
        println!("{} arrived", flow.finish().await);
    }
    assert!(spare(&again, "rejoin") >= 2 && spare(&again, "rescue") == 0);
    host.close().await;
    again.shutdown().await;
    keeper.shutdown().await;
}
