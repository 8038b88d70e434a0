//! The path dies beneath ICE, without a word to anybody.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{Link, Peers, eventually, impaired, plain, tasks};
use tokio::time::{sleep, timeout};
use transport_core::{CloseCode, Initiator, Lane, Transport, TransportExt};
use transport_webrtc::{IceRestart, impair::ImpairedUdp};

#[tokio::test]
async fn a_cut_ends_the_link_on_both_sides_within_six_seconds_and_leaves_nothing() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(1));
    let tasks_before = tasks();
    let (a, b) = peers.connect(impaired(&udp), plain()).await;
    // Sending goes on succeeding for a while; that must not hide the loss.
    for _ in 0..4 {
        a.send(Lane::Reliable, Bytes::from_static(b"before")).await.unwrap();
        sleep(Duration::from_millis(250)).await;
    }
    udp.cut();
    let start = Instant::now();
    a.try_send(Lane::Reliable, Bytes::from_static(b"after")).unwrap();
    let (ours, theirs) = timeout(Duration::from_secs(6), async { tokio::join!(a.closed(), b.closed()) })
        .await
        .expect("detected within six seconds");
    println!("detected after {:?}", start.elapsed());
    for closed in [ours, theirs] {
        assert_eq!((closed.initiator, closed.code), (Initiator::Network, CloseCode::CONNECTION_LOST));
    }
    // What arrived before is still there, then the end.
    for _ in 0..4 {
        assert_eq!(b.recv().await.unwrap().payload, "before");
    }
    assert_eq!(b.recv().await.unwrap_err().initiator, Initiator::Network);
    drop((a, b));
    assert!(eventually(Duration::from_secs(20), || tasks() <= tasks_before).await, "{} tasks stay", tasks());
    assert_eq!(udp.open_sockets(), 0);
}

#[tokio::test]
async fn a_short_cut_is_survived_and_nothing_is_lost() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(1));
    let (a, b) = peers.connect(impaired(&udp), plain()).await;
    let before = peers.envelopes();
    survive(&a, &b, &udp, Duration::from_millis(3500)).await;
    // Nobody moved: the offerer asks each second, the answerer says so, and no more happens.
    assert!((2..=6).contains(&(peers.envelopes() - before)), "{}", peers.envelopes() - before);
}

#[tokio::test]
async fn a_restart_of_ice_finds_the_path_again_and_nothing_is_lost() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(1));
    let mut config = impaired(&udp);
    config.ice_restart = IceRestart::Always;
    let (a, b) = peers.connect(config, plain()).await;
    // Longer than ICE takes to notice, shorter than the new path's checks go on.
    let before = peers.envelopes();
    survive(&a, &b, &udp, Duration::from_millis(2900)).await;
    // Question, answer, offer, answer, and candidates of both.
    assert!(peers.envelopes() - before > 6, "{}", peers.envelopes() - before);
}

/// Cuts for `cut` with data pending on both sides, and expects all of it afterwards.
async fn survive(a: &Link, b: &Link, udp: &ImpairedUdp, cut: Duration) {
    udp.cut();
    for number in 0..10u8 {
        a.try_send(Lane::Reliable, vec![number].into()).unwrap();
        b.try_send(Lane::Reliable, vec![number].into()).unwrap();
    }
    sleep(cut).await;
    udp.restore();
    let start = Instant::now();
    for number in 0..10u8 {
        for end in [a, b] {
            let inbound = timeout(Duration::from_secs(15), end.recv()).await.unwrap();
            assert_eq!(inbound.unwrap_or_else(|closed| panic!("{closed}")).payload[..], [number]);
        }
    }
    println!("flows again after {:?}", start.elapsed());
}

#[tokio::test]
async fn without_signaling_a_short_cut_heals_by_itself() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(1));
    let (a, b) = peers.connect(impaired(&udp), plain()).await;
    peers.room.set_silent(true);
    udp.cut();
    a.try_send(Lane::Reliable, Bytes::from_static(b"x")).unwrap();
    sleep(Duration::from_millis(3500)).await;
    udp.restore();
    let inbound = timeout(Duration::from_secs(15), b.recv()).await.unwrap();
    assert_eq!(inbound.unwrap_or_else(|closed| panic!("{closed}")).payload, "x");
}

#[tokio::test]
async fn loss_and_round_trip_time_are_measured() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(9));
    let mut config = impaired(&udp);
    config.ping_interval = Duration::from_millis(50);
    let (a, _b) = peers.connect(config, plain()).await;
    udp.set_delay(Duration::from_millis(40));
    udp.set_loss(0.2);
    let settled = || {
        let stats = a.stats();
        let rtt = stats.rtt.is_some_and(|rtt| (75..160).contains(&rtt.as_millis()));
        rtt && stats.loss.is_some_and(|loss| (0.05..0.45).contains(&loss))
    };
    assert!(eventually(Duration::from_secs(20), settled).await, "{:?}", a.stats());
    println!("at 80 ms and 20 %: {:?} {:?}", a.stats().rtt, a.stats().loss);
}
