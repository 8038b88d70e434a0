//! Slow viewers, fast senders, silent peers, and the goodbye.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use beach_lifeguard_client::{
    CloseCode, Header, Kind, Lane, PeerAddr, Role, control::Control, token::Access,
};
use relay_support::{Client, Heard, Rig};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

/// A viewer whose kernel takes next to nothing for it.
async fn narrow_viewer(rig: &Rig, session: Uuid) -> Client {
    let mut client = Client::connect_narrow(rig.address).await;
    client.say(Message::text(rig.hello(session, Role::Viewer).encode())).await;
    client.welcome().await;
    client
}

#[tokio::test]
async fn a_frozen_viewer_is_cut_and_the_others_lose_nothing() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut reader = rig.join(session, Role::Viewer).await;
    let mut frozen = narrow_viewer(&rig, session).await;

    // As the session layer does, never more than 160 KiB unacknowledged towards the one who reads.
    let window = Arc::new(Semaphore::new(20));
    let reading = tokio::spawn({
        let window = window.clone();
        async move {
            for n in 0..2_000u32 {
                let (_, payload) = reader.data().await;
                assert_eq!(payload[..4], n.to_be_bytes());
                window.add_permits(1);
            }
            reader
        }
    });
    let started = Instant::now();
    let mut most_waiting = 0;
    for n in 0..2_000u32 {
        window.acquire().await.unwrap().forget();
        if n % 4 == 0 {
            most_waiting = most_waiting.max(rig.relay.snapshot().queued_bytes);
        }
        let mut payload = n.to_be_bytes().to_vec();
        payload.resize(8_192, 0);
        host.send(PeerAddr::EVERYONE, Lane::Reliable, &payload).await;
    }
    let reader = reading.await.unwrap();
    // All that ever waited, for the frozen one and for the one who reads.
    assert!(most_waiting <= 528 * 1024 + 20 * 8_300, "{most_waiting}");
    // 16 MB went past it: far over any budget and any kernel buffer.
    assert!(wait_for(|| rig.relay.snapshot().active_connections == 2).await, "it was not cut");
    assert!(started.elapsed() < Duration::from_secs(7));
    // What it had been sent is in order, and the end is announced.
    let mut next = 0u32;
    let ended = loop {
        match frozen.hear().await {
            Heard::Frame(_, payload) => {
                assert_eq!(payload[..4], next.to_be_bytes());
                next += 1;
            }
            Heard::Control(_) => {}
            end => break end,
        }
    };
    assert!(matches!(&ended, Heard::Ended) || matches!(&ended, Heard::Closed(4008, _)), "{ended:?}");
    drop(reader);
    rig.stop().await;
}

#[tokio::test]
async fn a_viewer_that_takes_nothing_is_cut_by_the_write_deadline() {
    let mut config = relay_support::config();
    config.patience.write_deadline = Duration::from_secs(1);
    // A budget it never reaches: only time can tell.
    config.reliable_budget = 64 << 20;
    let rig = Rig::with(config, relay_support::roomy()).await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let frozen = narrow_viewer(&rig, session).await;
    for _ in 0..1_000 {
        host.send(frozen.address(), Lane::Reliable, &[0; 16_384]).await;
    }
    assert!(wait_for(|| rig.relay.snapshot().active_connections == 1).await);
    rig.stop().await;
}

#[tokio::test]
async fn datagrams_for_a_frozen_viewer_make_room_and_cut_nobody() {
    let mut config = relay_support::config();
    config.patience.write_deadline = Duration::from_secs(60);
    let rig = Rig::with(config, relay_support::roomy()).await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut slow = narrow_viewer(&rig, session).await;
    for n in 0..4_000u32 {
        host.send(slow.address(), Lane::Datagram, &[n.to_be_bytes().as_slice(), &[0; 4_000]].concat()).await;
    }
    host.send(slow.address(), Lane::Reliable, b"end").await;
    // An echo says that everything before it was routed.
    host.say(Message::binary(Header::relay(Kind::Heartbeat).frame(&[]))).await;
    while !matches!(host.hear().await, Heard::Frame(h, _) if h.kind == Kind::Heartbeat) {}
    assert!(rig.relay.snapshot().queued_bytes <= 528 * 1024 + 65_536);
    let mut last = None;
    let mut got = 0;
    loop {
        let (_, payload) = slow.data().await;
        if payload == "end" {
            break;
        }
        let n = u32::from_be_bytes(payload[..4].try_into().unwrap());
        assert!(last.is_none_or(|last| n > last), "reordered");
        (last, got) = (Some(n), got + 1);
    }
    assert!(got < 4_000, "the kernel took 16 MB");
    rig.stop().await;
}

#[tokio::test]
async fn a_fast_sender_is_told_and_held_and_loses_nothing() {
    let mut config = relay_support::config();
    config.limits.connection_bytes = lifeguard_relay::relay::Rate { per_second: 500_000, burst: 100_000 };
    let rig = Rig::with(config, relay_support::roomy()).await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut viewer = rig.join(session, Role::Viewer).await;
    host.notice().await;
    let to = viewer.address();
    let sending = tokio::spawn(async move {
        for n in 0..60u8 {
            host.send(to, Lane::Reliable, &[n; 10_000]).await;
        }
        host
    });
    let started = Instant::now();
    for n in 0..60u8 {
        assert_eq!(viewer.data().await.1, vec![n; 10_000]);
    }
    // 600 kB at 500 kB/s after a burst of 100 kB.
    assert!(started.elapsed() > Duration::from_millis(700), "{:?}", started.elapsed());
    let mut host = sending.await.unwrap();
    assert!(matches!(host.notice().await, Control::RateLimited { .. }));
    rig.stop().await;
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays_and_one_that_does_not_goes() {
    let mut config = relay_support::config();
    config.patience.heartbeat = Duration::from_millis(500);
    config.patience.missed = 2;
    let rig = Rig::with(config, relay_support::roomy()).await;
    let session = Uuid::new_v4();
    // The library answers pings whenever it is polled.
    let mut polled = rig.join(session, Role::Host).await;
    let silent = rig.join(session, Role::Viewer).await;
    let Control::PeerJoined(joined) = polled.notice().await else { panic!() };
    assert_eq!(polled.notice().await, Control::PeerLeft { peer: joined.peer });
    assert!(tokio::time::timeout(Duration::from_secs(3), polled.hear_patiently()).await.is_err());
    drop(silent);
    rig.stop().await;
}

/// `VIEWER_SECONDS=600` is the long form, at the defaults: heartbeats every 15 s, 120 s without any activity
/// are the end. The short form has 1 s and 4 s.
#[tokio::test]
async fn a_read_only_viewer_that_only_answers_heartbeats_stays_for_good() {
    let long: Option<u64> = std::env::var("VIEWER_SECONDS").ok().map(|text| text.parse().unwrap());
    let mut config = relay_support::config();
    if long.is_none() {
        config.patience.heartbeat = Duration::from_secs(1);
        config.patience.idle = Duration::from_secs(4);
    }
    let watch = Duration::from_secs(long.unwrap_or(9));
    let rig = Rig::with(config, relay_support::roomy()).await;
    let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
    let token = rig.token(session, peer, Role::Viewer, |claims| claims.access = Access::ReadOnly);
    let mut hello = relay_support::hello(session, peer, Role::Viewer, token);
    hello.access = Access::ReadOnly;
    let mut viewer = rig.join_with(&hello).await;
    let heard = tokio::time::timeout(watch, viewer.hear_patiently()).await;
    assert!(heard.is_err(), "{heard:?}");
    // It still hears what is said.
    let mut host = rig.join(session, Role::Host).await;
    host.send(viewer.address(), Lane::Reliable, b"still here?").await;
    assert_eq!(viewer.data().await.1, "still here?");
    println!("a read-only viewer was there for {watch:?} and said nothing");
    rig.stop().await;
}

#[tokio::test]
async fn a_drain_tells_everybody_refuses_newcomers_and_leaves_nobody() {
    let mut config = relay_support::config();
    config.drain.grace = Duration::from_secs(1);
    config.drain.spread = Duration::from_millis(100);
    let rig = Rig::with(config, relay_support::roomy()).await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut viewer = rig.join(session, Role::Viewer).await;
    host.notice().await;

    let draining = tokio::spawn({
        let relay = rig.relay.clone();
        async move { relay.drain(CloseCode::DRAIN).await }
    });
    assert!(matches!(host.notice().await, Control::Drain { after, .. } if after == Duration::from_secs(1)));
    assert!(matches!(viewer.notice().await, Control::Drain { .. }));
    let refused =
        Client::connect(rig.address, "/v2/ws", &[("sec-websocket-protocol", "beach-lifeguard.v2")]).await;
    assert_eq!(refused.err().map(|status| status.as_u16()), Some(503));
    // Live traffic goes on until the close.
    host.send(viewer.address(), Lane::Reliable, b"last words").await;
    assert_eq!(viewer.data().await.1, "last words");
    drop(viewer);
    assert_eq!(host.closed().await, (CloseCode::DRAIN.get(), "draining".to_owned()));
    assert_eq!(draining.await.unwrap(), 1, "one left by itself, one was closed");
    assert_eq!(rig.relay.live_sockets(), 0);
    rig.relay.resume();
    let _back = rig.join(session, Role::Host).await;
    rig.stop().await;
}

async fn wait_for(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(7);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}
