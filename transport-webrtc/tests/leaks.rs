//! Nothing stays behind: no task and no socket, however a link or a dial ends.
//!
//! Sockets are counted for the whole process, and every runtime holds one; so these tests have a binary of their own
//! and take turns before their runtimes start.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use support::{
    Peers,
    coturn::{Coturn, Reach},
    eventually, impaired, plain, tasks, through,
};
use tokio::{runtime::Builder, time::timeout};
use transport_webrtc::impair::ImpairedUdp;

static ALONE: Mutex<()> = Mutex::new(());

/// Runs `test` while no other test of this binary has a runtime.
fn alone(test: impl Future<Output = ()>) {
    // A test that failed has said so itself.
    let _turn = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// What was open before.
struct Before {
    tasks: usize,
    sockets: usize,
}

impl Before {
    fn now() -> Self {
        Self { tasks: tasks(), sockets: sockets() }
    }

    async fn is_restored(&self) {
        // Gathering and a handshake that nobody answers run out first.
        let patience = Duration::from_secs(40);
        assert!(
            eventually(patience, || tasks() <= self.tasks).await,
            "{} tasks, {} before",
            tasks(),
            self.tasks
        );
        let settled = eventually(patience, || sockets() <= self.sockets).await;
        assert!(settled, "{} sockets, {} before", sockets(), self.sockets);
    }
}

/// Sockets this process has open.
fn sockets() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn a_link_whose_path_was_cut() {
    alone(async {
        let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(1));
        let before = Before::now();
        let (a, b) = peers.connect(impaired(&udp), plain()).await;
        udp.cut();
        timeout(Duration::from_secs(30), async { tokio::join!(a.closed(), b.closed()) })
            .await
            .expect("noticed");
        drop((a, b));
        before.is_restored().await;
    });
}

#[test]
fn a_link_through_turn_on_every_carrier() {
    alone(async {
        let before = Before::now();
        let coturn = Coturn::start(Reach::Everything);
        for server in [coturn.udp(), coturn.tcp(), coturn.tls()] {
            let peers = Peers::new();
            let config = through(server, &coturn);
            drop(peers.connect(config.clone(), config).await);
        }
        before.is_restored().await;
    });
}

#[test]
fn a_dropped_dial() {
    alone(async {
        let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(1));
        let before = Before::now();
        udp.cut();
        let mut generation = 1;
        for millis in [0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 300, 700] {
            for config in [impaired(&udp), plain()] {
                generation += 1;
                let _ = timeout(Duration::from_millis(millis), peers.dial(generation, config, plain())).await;
            }
        }
        before.is_restored().await;
        assert_eq!(udp.open_sockets(), 0);
    });
}

#[test]
fn a_dropped_dial_through_turn() {
    alone(async {
        let coturn = Coturn::start(Reach::Everything);
        let peers = Peers::new();
        let before = Before::now();
        let mut generation = 0;
        for millis in [1, 3, 6, 10, 15, 25, 40, 80] {
            for server in [coturn.udp(), coturn.tcp(), coturn.tls()] {
                generation += 1;
                let config = through(server, &coturn);
                let dial = peers.dial(generation, config.clone(), config);
                let _ = timeout(Duration::from_millis(millis), dial).await;
            }
        }
        before.is_restored().await;
    });
}
