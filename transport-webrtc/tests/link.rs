//! A live link: both lanes, back-pressure, the end and how each side hears of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use support::{Link, Peers, eventually, impaired, plain};
use tokio::time::timeout;
use transport_core::{Carriage, CloseCode, Initiator, Lane, Refusal, Transport, TransportExt};
use transport_webrtc::impair::ImpairedUdp;

#[tokio::test]
async fn opens_within_a_second_and_carries_both_lanes_both_ways() {
    let peers = Peers::new();
    let start = Instant::now();
    let (a, b) = peers.connect(plain(), plain()).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for (from, to) in [(&a, &b), (&b, &a)] {
        assert_eq!(from.profile().datagram.carriage, Carriage::Native);
        assert_eq!(from.profile().path, "udp, direct");
        for lane in Lane::ALL {
            for size in [1, 1200, 16_383] {
                from.send(lane, Bytes::from(vec![size as u8; size])).await.unwrap();
                let inbound = timeout(Duration::from_secs(5), to.recv()).await.unwrap().unwrap();
                assert_eq!((inbound.lane, inbound.payload.len()), (lane, size));
            }
            let refused = from.try_send(lane, vec![0; 16_384].into()).unwrap_err();
            assert!(matches!(refused.why, Refusal::TooLarge { .. }));
            assert_eq!(from.try_send(lane, Bytes::new()).unwrap_err().why, Refusal::Empty);
        }
    }
    assert!(eventually(Duration::from_secs(3), || a.stats().rtt.is_some() && b.stats().rtt.is_some()).await);
    println!("rtt {:?}", a.stats().rtt);
}

#[tokio::test]
async fn the_reliable_lane_is_complete_and_in_order_under_load() {
    let peers = Peers::new();
    let (a, b) = peers.connect(plain(), plain()).await;
    let sending = async {
        for number in 0..1000u32 {
            let size = 4 + (number as usize * 37) % 9000;
            let mut message = vec![0; size];
            message[..4].copy_from_slice(&number.to_be_bytes());
            a.send(Lane::Reliable, message.into()).await.unwrap();
        }
    };
    let receiving = async {
        for number in 0..1000u32 {
            let inbound = b.recv().await.unwrap();
            assert_eq!(inbound.payload[..4], number.to_be_bytes());
            assert_eq!(inbound.payload.len(), 4 + (number as usize * 37) % 9000);
        }
    };
    timeout(Duration::from_secs(60), async { tokio::join!(sending, receiving) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_measured_beside_bulk_does_not_get_between_its_messages() {
    let peers = Peers::new();
    let (mut near, mut far) = (plain(), plain());
    (near.ping_interval, far.ping_interval) = (Duration::from_millis(1), Duration::from_millis(1));
    let (a, b) = peers.connect(near, far).await;
    let (a, b) = (&a, &b);
    // Both ways at once, so that each side pings and answers beside its own bulk.
    let both = [(a, b), (b, a)].map(|(from, to)| async move {
        let sending = async {
            for number in 0..MESSAGES {
                from.send(Lane::Reliable, number.to_be_bytes().repeat(50).into()).await.unwrap();
            }
        };
        let receiving = async {
            for number in 0..MESSAGES {
                let inbound = timeout(Duration::from_secs(10), to.recv()).await;
                let inbound = inbound.unwrap_or_else(|_| panic!("message {number} never came")).unwrap();
                assert_eq!(inbound.payload[..4], number.to_be_bytes());
            }
        };
        tokio::join!(sending, receiving);
    });
    futures::future::join_all(both).await;

    const MESSAGES: u32 = 30_000;
}

#[tokio::test]
async fn loss_really_loses_on_the_datagram_lane_in_both_directions() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(5));
    let (a, b) = peers.connect(impaired(&udp), plain()).await;
    // Both directions must have seen the other's acknowledgement of the channel first.
    for (from, to) in [(&a, &b), (&b, &a)] {
        from.try_send(Lane::Datagram, Bytes::from_static(b"first")).unwrap();
        timeout(Duration::from_secs(5), to.recv()).await.unwrap().unwrap();
    }
    udp.set_loss(0.3);
    for (from, to) in [(&a, &b), (&b, &a)] {
        let arrived = arrivals(from, to, 300).await;
        println!("30 % loss: {} of 300 arrived", arrived.len());
        assert!((120..280).contains(&arrived.len()), "{}", arrived.len());
    }
}

/// Sends numbered datagrams at a pace the path can carry, and returns which arrived.
async fn arrivals(from: &Link, to: &Link, count: u32) -> HashSet<u32> {
    let sending = async {
        for number in 0..count {
            from.try_send(Lane::Datagram, number.to_be_bytes().to_vec().into()).unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let mut arrived = HashSet::new();
    let receiving = async {
        // The pause after the last arrival outlasts SCTP's retransmission timer of a second.
        while let Ok(inbound) = timeout(Duration::from_millis(2500), to.recv()).await {
            let number = u32::from_be_bytes(inbound.unwrap().payload[..].try_into().unwrap());
            assert!(arrived.insert(number), "{number} twice");
        }
    };
    tokio::join!(sending, receiving);
    arrived
}

#[tokio::test]
async fn measuring_a_path_beside_bulk_costs_few_packets() {
    let (peers, udp) = (Peers::new(), ImpairedUdp::seeded(7));
    let (mut near, mut far) = (impaired(&udp), plain());
    (near.ping_interval, far.ping_interval) = (Duration::from_millis(100), Duration::from_millis(100));
    let (a, b) = peers.connect(near, far).await;
    udp.set_delay(Duration::from_millis(100));
    let before = udp.passed();
    for _ in 0..MESSAGES {
        a.send(Lane::Reliable, vec![7; 1_162].into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    for _ in 0..MESSAGES {
        b.recv().await.unwrap();
    }
    let packets = udp.passed() - before;
    println!("{packets} packets for {MESSAGES} messages");
    // One each, an acknowledgement for two, and what ICE and the pings say; pings as datagrams would make it seven times as many.
    assert!(packets < 3 * MESSAGES, "{packets} packets for {MESSAGES} messages");

    const MESSAGES: u64 = 120;
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_the_sender_back_and_loses_nothing() {
    let peers = Peers::new();
    let (a, b) = peers.connect(plain(), plain()).await;
    let message = |number: u32| {
        let mut message = vec![0; 16_000];
        message[..4].copy_from_slice(&number.to_be_bytes());
        Bytes::from(message)
    };
    let mut sent = 0;
    while timeout(Duration::from_secs(2), a.send(Lane::Reliable, message(sent))).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "no back-pressure after {sent} messages");
    }
    println!("held back after {} KiB", sent * 16_000 / 1024);
    assert_eq!(a.try_send(Lane::Reliable, message(sent)).unwrap_err().why, Refusal::Full);
    // A send that was cancelled above was not accepted.
    for number in 0..sent {
        let inbound = timeout(Duration::from_secs(10), b.recv()).await.unwrap().unwrap();
        assert_eq!(inbound.payload[..4], number.to_be_bytes());
    }
    timeout(Duration::from_secs(10), a.send(Lane::Reliable, message(sent))).await.unwrap().unwrap();
    assert_eq!(timeout(Duration::from_secs(10), b.recv()).await.unwrap().unwrap().payload, message(sent));
}

#[tokio::test]
async fn a_close_flushes_first_and_tells_code_and_reason() {
    let peers = Peers::new();
    let (a, b) = peers.connect(plain(), plain()).await;
    for number in 0..20u8 {
        b.try_send(Lane::Reliable, vec![number; 5000].into()).unwrap();
    }
    b.close(CloseCode::DRAIN, "back in 3 s");
    b.close(CloseCode::NORMAL, "too late");
    for number in 0..20u8 {
        assert_eq!(a.recv().await.unwrap().payload[0], number);
    }
    for _ in 0..2 {
        let closed = a.recv().await.unwrap_err();
        assert_eq!((closed.initiator, closed.code), (Initiator::Peer, CloseCode::DRAIN));
        assert_eq!(closed.detail, "back in 3 s");
    }
    assert_eq!(b.closed().await.initiator, Initiator::Local);
    let refused = a.try_send(Lane::Reliable, Bytes::from_static(b"x")).unwrap_err();
    assert!(matches!(refused.why, Refusal::Closed(closed) if closed.code == CloseCode::DRAIN));
}

#[tokio::test]
async fn dropping_the_last_handle_says_going_away() {
    let peers = Peers::new();
    let (a, b) = peers.connect(plain(), plain()).await;
    drop(a);
    let closed = timeout(Duration::from_secs(2), b.closed()).await.unwrap();
    assert_eq!((closed.initiator, closed.code), (Initiator::Peer, CloseCode::GOING_AWAY));
}

#[tokio::test]
async fn without_a_channel_of_its_own_the_datagram_lane_is_declared_emulated() {
    let peers = Peers::new();
    let mut config = plain();
    config.datagram_channel = false;
    let (a, b) = peers.connect(plain(), config).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        assert_eq!(from.profile().datagram.carriage, Carriage::Emulated);
        for lane in Lane::ALL {
            from.try_send(lane, Bytes::from_static(b"x")).unwrap();
            assert_eq!(timeout(Duration::from_secs(5), to.recv()).await.unwrap().unwrap().lane, lane);
        }
    }
}
