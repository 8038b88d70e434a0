//! One frozen viewer among twenty: the others must not feel it.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use beach_lifeguard_client::{Lane, PeerAddr, Role};
use relay_support::{Client, Rig};
use tokio::{task::JoinHandle, time::interval};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

const MESSAGES: usize = 900;
const BYTES: usize = 8_000;

/// Reads, and returns how late each message was.
fn watch(mut viewer: Client, epoch: Instant) -> JoinHandle<Vec<Duration>> {
    tokio::spawn(async move {
        let mut late = Vec::with_capacity(MESSAGES);
        for _ in 0..MESSAGES {
            let (_, payload) = viewer.data().await;
            let sent = Duration::from_nanos(u64::from_be_bytes(payload[..8].try_into().unwrap()));
            late.push(epoch.elapsed() - sent);
        }
        late
    })
}

/// The p99 lateness of 19 viewers who read, with or without a twentieth who does not.
async fn p99(frozen: bool) -> Duration {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let epoch = Instant::now();
    let viewers: Vec<_> = futures::future::join_all((0..19).map(|_| rig.join(session, Role::Viewer))).await;
    let watching: Vec<_> = viewers.into_iter().map(|viewer| watch(viewer, epoch)).collect();
    let stuck = if frozen {
        let mut client = Client::connect_narrow(rig.address).await;
        client.say(Message::text(rig.hello(session, Role::Viewer).encode())).await;
        client.welcome().await;
        Some(client)
    } else {
        None
    };
    let most = Arc::new(AtomicUsize::new(0));
    let relay = rig.relay.clone();
    let sampling = tokio::spawn({
        let most = most.clone();
        async move {
            let mut ticks = interval(Duration::from_millis(5));
            loop {
                ticks.tick().await;
                most.fetch_max(relay.snapshot().largest_queue_bytes, Relaxed);
            }
        }
    });
    // 800 kB/s to each viewer, open loop: late is late.
    let mut ticks = interval(Duration::from_millis(10));
    let started = Instant::now();
    let mut cut = None;
    for _ in 0..MESSAGES {
        ticks.tick().await;
        let mut payload = (epoch.elapsed().as_nanos() as u64).to_be_bytes().to_vec();
        payload.resize(BYTES, 0);
        host.send(PeerAddr::EVERYONE, Lane::Reliable, &payload).await;
        if cut.is_none() && rig.relay.snapshot().active_connections == 20 {
            cut = Some(started.elapsed());
        }
    }
    let mut all = Vec::new();
    for viewer in watching {
        all.extend(viewer.await.unwrap());
    }
    sampling.abort();
    assert_eq!(all.len(), 19 * MESSAGES, "a viewer who reads lost something");
    if frozen {
        let cut = cut.expect("it was never cut");
        eprintln!("cut after {cut:?}, at most {} KiB waited for it", most.load(Relaxed) / 1024);
        assert!(cut <= Duration::from_secs(7), "{cut:?}");
        assert!(most.load(Relaxed) <= 528 * 1024, "{}", most.load(Relaxed));
    }
    drop(stuck);
    rig.stop().await;
    all.sort();
    all[all.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nineteen_viewers_do_not_feel_the_twentieth() {
    // At the same time: whatever else this machine does hits both alike.
    let (without, with) = tokio::join!(p99(false), p99(true));
    eprintln!("p99 of the others: {without:?} without, {with:?} with a frozen one");
    // One core's worth of scheduling noise is allowed; a stall of the write deadline's kind is seconds.
    assert!(with <= without * 2 + Duration::from_millis(50), "{without:?} -> {with:?}");
}
