//! The control plane dies. Sessions go on: what carries them may die too.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it should be"
)]

mod real;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Received, Session};
use real::{PATIENCE, RELAY, on, through, wire};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
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

/// Numbers one way, fifty a second, none of which may be lost, doubled or out of order.
struct Flow {
    stop: Arc<AtomicBool>,
    sent: JoinHandle<u64>,
    received: JoinHandle<u64>,
}

impl Flow {
    fn start(from: &Session, to: &Session) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = tokio::spawn({
            let (from, stop) = (from.clone(), stop.clone());
            async move {
                let mut number = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    from.send(number.to_be_bytes().to_vec().into()).await.unwrap();
                    number += 1;
                    sleep(Duration::from_millis(20)).await;
                }
                from.finish();
                number
            }
        });
        let to = to.clone();
        let received = tokio::spawn(async move {
            let mut next = 0u64;
            loop {
                match to.recv().await.unwrap() {
                    Received::Message(message) => assert_eq!(message[..], next.to_be_bytes()),
                    Received::Finished => return next,
                    other => panic!("{other:?}"),
                }
                next += 1;
            }
        });
        Self { stop, sent, received }
    }

    /// Stops, and returns how many arrived: all of them.
    async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, received) = (self.sent.await.unwrap(), timeout(PATIENCE, self.received).await);
        let received = received.expect("everything arrives").unwrap();
        assert_eq!(sent, received);
        received
    }
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
