//! The HTTP carrier: what a WebSocket carries, over one answer and many requests.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod client;
#[path = "../relay_support/mod.rs"]
mod relay_support;

use std::time::{Duration, Instant};

use beach_lifeguard_client::{
    Header, Kind, Lane, PeerAddr, Role,
    control::Control,
    stream::{CarrierId, MAX_UPLOAD_BYTES},
    websocket::Opcode,
};
use client::{Stream, data, frame};
use lifeguard_relay::{
    kill_switch::Verb,
    relay::{Rate, RelayConfig},
};
use relay_support::{Client, Heard, Rig, config, hello, roomy};
use reqwest::StatusCode;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

const UPLOADS: &str = "beach_lifeguard_stream_uploads";

/// A host on a WebSocket and a viewer on the carrier.
async fn pair(rig: &Rig) -> (Client, Stream) {
    let session = Uuid::new_v4();
    let host = rig.join(session, Role::Host).await;
    (host, Stream::join(rig, &rig.hello(session, Role::Viewer)).await)
}

async fn changed(change: impl FnOnce(&mut RelayConfig)) -> Rig {
    let mut config = config();
    change(&mut config);
    Rig::with(config, roomy()).await
}

/// Waits until `is` holds.
async fn until(is: impl Fn() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < Duration::from_secs(5), "it never holds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn frames_pass_between_the_two_carriers_and_are_counted_as_sockets() {
    let rig = Rig::start().await;
    let (mut host, mut viewer) = pair(&rig).await;
    viewer.say(data(host.address(), b"keys")).await;
    assert_eq!(host.data().await, (viewer.address(), "keys".into()));
    host.send(viewer.address(), Lane::Reliable, b"screen").await;
    assert_eq!(viewer.data().await, (host.address(), "screen".into()));
    viewer.say(frame(Opcode::Binary, &Header::relay(Kind::Heartbeat).frame(&[]))).await;
    assert!(matches!(viewer.hear().await, Heard::Frame(Header { kind: Kind::Heartbeat, .. }, _)));
    assert_eq!((rig.relay.live_sockets(), rig.relay.snapshot().active_connections), (2, 2));
    for carrier in ["http", "websocket"] {
        assert_eq!(rig.metrics.read("beach_lifeguard_carriers_active", &[carrier]), 1, "{carrier}");
    }
    assert_eq!(rig.connections.strangers(), 0, "whoever was admitted makes room for strangers");
}

#[tokio::test]
async fn an_upload_counts_once_however_often_it_comes_and_never_before_its_turn() {
    let rig = Rig::start().await;
    let (mut host, mut viewer) = pair(&rig).await;
    let to = host.address();
    assert_eq!(viewer.upload(2, data(to, b"two")).await, StatusCode::CONFLICT);
    for n in 1..=50u64 {
        let bytes = data(to, &n.to_be_bytes());
        for _ in 0..(n % 3) + 1 {
            assert_eq!(viewer.upload(n, bytes.clone()).await, StatusCode::NO_CONTENT);
        }
        // A proxy may repeat an old one at any time.
        assert_eq!(viewer.upload(n / 2, data(to, b"old")).await, StatusCode::NO_CONTENT);
    }
    viewer.number = 51;
    viewer.say(data(to, b"end")).await;
    for n in 1..=50u64 {
        assert_eq!(&host.data().await.1[..], n.to_be_bytes());
    }
    assert_eq!(&host.data().await.1[..], b"end");
    let counted = |outcome| rig.metrics.read(UPLOADS, &[outcome]);
    assert_eq!((counted("taken"), counted("out_of_order"), counted("repeated")), (51, 1, 51 + 50));
}

#[tokio::test]
async fn a_frame_may_begin_in_one_upload_and_end_in_another() {
    let rig = Rig::start().await;
    let (mut host, mut viewer) = pair(&rig).await;
    let bytes = [data(host.address(), &[7; 1_000]), data(host.address(), b"second")].concat();
    for part in bytes.chunks(300) {
        viewer.say(part.to_vec()).await;
    }
    assert_eq!(host.data().await.1, vec![7; 1_000]);
    assert_eq!(&host.data().await.1[..], b"second");
}

#[tokio::test]
async fn a_refused_hello_is_told_as_on_a_websocket() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let good = rig.hello(session, Role::Viewer);
    let forged = hello(session, good.peer_id, Role::Viewer, {
        let mut token = good.token.expose().to_owned();
        token.replace_range(token.len() - 4.., "AAAA");
        beach_lifeguard_client::FallbackToken::new(token)
    });
    let cases = [forged.encode(), "{}".to_owned(), "x".repeat(9_000), good.encode().replace(":2,", ":9,")];
    for words in cases {
        let mut stream = Stream::open(&rig, frame(Opcode::Text, words.as_bytes())).await.unwrap();
        let told = stream.closed().await;
        assert_eq!(told, rig.turned_away(Message::text(words)).await);
    }
    let mut silent =
        Stream::open(&changed(|config| config.hello_deadline = Duration::from_millis(50)).await, Vec::new())
            .await
            .unwrap();
    assert_eq!(silent.closed().await, (4000, "timeout".to_owned()));
}

#[tokio::test]
async fn when_the_answer_is_given_up_the_peer_is_gone_at_once_and_so_is_its_id() {
    let rig = Rig::start().await;
    let (mut host, viewer) = pair(&rig).await;
    let (id, address) = (viewer.id, viewer.address());
    drop(viewer);
    let since = Instant::now();
    while host.notice().await != (Control::PeerLeft { peer: address }) {}
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    let (_other_host, other) = pair(&rig).await;
    assert_eq!(other.upload_to(id, 1, Vec::new()).await, StatusCode::NOT_FOUND);
    until(|| rig.relay.live_sockets() == 3).await;
}

#[tokio::test]
async fn ids_are_guessed_at_the_rate_of_new_connections_only() {
    let rig = changed(|config| config.limits.address_connections = Rate { per_second: 1, burst: 5 }).await;
    let (mut host, mut viewer) = pair(&rig).await;
    let mut answers = Vec::new();
    for n in 0..6u8 {
        answers.push(viewer.upload_to(CarrierId::from_bytes([n; 16]), 1, Vec::new()).await.as_u16());
    }
    // Two of five went for the pair itself.
    assert_eq!(answers, [404, 404, 404, 429, 429, 429]);
    let counted = |outcome| rig.metrics.read(UPLOADS, &[outcome]);
    assert_eq!((counted("unknown_stream"), counted("rate_limited")), (3, 3));
    viewer.say(data(host.address(), b"unaffected")).await;
    assert_eq!(&host.data().await.1[..], b"unaffected");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_a_bad_frame_ends_the_carrier() {
    let rig = Rig::start().await;
    let (mut host, mut viewer) = pair(&rig).await;
    assert_eq!(viewer.upload(1, vec![0; MAX_UPLOAD_BYTES + 1]).await, StatusCode::PAYLOAD_TOO_LARGE);
    let bytes = data(host.address(), b"still here");
    assert_eq!(viewer.upload(1, bytes).await, StatusCode::NO_CONTENT);
    assert_eq!(&host.data().await.1[..], b"still here");
    viewer.number = 2;
    viewer.say(data(host.address(), &[0; 66_000])).await;
    assert_eq!(viewer.closed().await, (1009, "frame_too_large".to_owned()));
    let (_host, mut unmasked) = pair(&rig).await;
    unmasked.say(vec![0x82, 0x01, 0x00]).await;
    assert_eq!(unmasked.closed().await, (1002, "protocol_error".to_owned()));
    let (_host, mut text) = pair(&rig).await;
    text.say(frame(Opcode::Text, b"hello?")).await;
    assert_eq!(text.closed().await, (4501, "unexpected_frame".to_owned()));
}

#[tokio::test]
async fn whoever_ends_a_socket_ends_a_carrier() {
    let rig = Rig::start().await;
    // By its host.
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let words = rig.hello(session, Role::Viewer);
    let mut evicted = Stream::join(&rig, &words).await;
    host.say(Message::binary(Control::Evict { peer_id: words.peer_id }.frame())).await;
    assert_eq!(evicted.closed().await, (4508, "removed".to_owned()));
    // By its own successor, on the other carrier.
    let words = rig.hello(session, Role::Viewer);
    let mut older = Stream::join(&rig, &words).await;
    let token = rig.token(session, words.peer_id, Role::Viewer, |_| {});
    let _newer = rig.join_with(&hello(session, words.peer_id, Role::Viewer, token)).await;
    assert_eq!(older.closed().await, (4003, "superseded".to_owned()));
    // By the kill switch.
    let mut stopped = Stream::join(&rig, &rig.hello(session, Role::Viewer)).await;
    rig.kill_switch.set(None, Some(Verb::Stop), "op", "incident").await.unwrap();
    assert_eq!(stopped.closed().await, (4503, "stopped".to_owned()));
}

#[tokio::test]
async fn a_drain_is_told_and_then_nobody_is_let_in() {
    let rig = Rig::start().await;
    let (_host, mut viewer) = pair(&rig).await;
    let relay = rig.relay.clone();
    let drained = tokio::spawn(async move { relay.drain(beach_lifeguard_client::CloseCode::RESTART).await });
    loop {
        match viewer.hear().await {
            Heard::Control(Control::Drain { .. }) => break,
            Heard::Control(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let refused = Stream::open(&rig, Vec::new()).await.err().unwrap();
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.1.contains("\"draining\""), "{}", refused.1);
    assert_eq!(viewer.closed().await, (4012, "draining".to_owned()));
    assert!(drained.await.unwrap() >= 1);
}

#[tokio::test]
async fn the_silent_are_asked_and_the_idle_recycled() {
    let rig = changed(|config| {
        config.patience.heartbeat = Duration::from_secs(1);
        config.patience.missed = 1;
    })
    .await;
    let (mut host, mut viewer) = pair(&rig).await;
    let (opcode, _) = loop {
        let record = viewer.record().await.unwrap();
        if record.0 != Opcode::Binary {
            break record;
        }
    };
    assert_eq!(opcode, Opcode::Ping);
    // It does not answer.
    assert_eq!(viewer.closed().await, (4000, "heartbeat_lost".to_owned()));
    host.notice().await;
    let rig = changed(|config| {
        config.patience.heartbeat = Duration::ZERO;
        config.patience.idle = Duration::from_secs(1);
    })
    .await;
    let (_host, mut idle) = pair(&rig).await;
    assert_eq!(idle.closed().await, (4002, "idle_timeout".to_owned()));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_the_others_lose_nothing() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut frozen = Stream::join(&rig, &rig.hello(session, Role::Viewer)).await;
    let mut reader = Stream::join(&rig, &rig.hello(session, Role::Viewer)).await;
    let reading = tokio::spawn(async move {
        for n in 0..1_500u32 {
            assert_eq!(reader.data().await.1[..4], n.to_be_bytes());
        }
        reader
    });
    let mut payload = vec![0; 8_192];
    for n in 0..1_500u32 {
        payload[..4].copy_from_slice(&n.to_be_bytes());
        host.send(PeerAddr::EVERYONE, Lane::Reliable, &payload).await;
        if n % 10 == 9 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let _reader = reading.await.unwrap();
    until(|| rig.metrics.read("beach_lifeguard_slow_consumers", &[]) == 1).await;
    while frozen.record().await.is_some() {}
    until(|| rig.relay.live_sockets() == 2).await;
}

#[tokio::test]
async fn a_sender_that_is_held_gets_its_answers_late_and_loses_nothing() {
    let rig = changed(|config| {
        config.limits.connection_bytes = Rate { per_second: 200_000, burst: 20_000 };
    })
    .await;
    let (mut host, mut viewer) = pair(&rig).await;
    let since = Instant::now();
    for n in 0..10u8 {
        viewer.say(data(host.address(), &[n; 20_000])).await;
    }
    assert!(since.elapsed() > Duration::from_millis(500), "{:?}", since.elapsed());
    for n in 0..10u8 {
        assert_eq!(host.data().await.1, vec![n; 20_000]);
    }
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let off = changed(|config| config.http_carrier = false).await;
    let refused = Stream::open(&off, Vec::new()).await.err().unwrap();
    assert_eq!(refused.0, StatusCode::GONE);
    assert!(refused.1.contains("\"stream_off\""), "{}", refused.1);
}

#[tokio::test]
async fn pages_open_a_stream_and_read_its_answer_exactly_where_they_may_open_a_websocket() {
    let ours = "https://beach.example";
    let rig = changed(|config| config.allowed_origins = vec![ours.to_owned()]).await;
    let url = format!("http://{}/v2/stream", rig.address);
    let own = format!("http://{}", rig.address);
    let http = reqwest::Client::new();
    for (origin, status, told) in [
        (ours, StatusCode::OK, Some(ours)),
        // Its own page needs no word: for a browser that is one origin.
        (&own, StatusCode::OK, None),
        ("https://evil.test", StatusCode::FORBIDDEN, None),
        ("null", StatusCode::FORBIDDEN, None),
    ] {
        let answer = http.post(&url).header("origin", origin).send().await.unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        let allowed = answer.headers().get("access-control-allow-origin");
        assert_eq!(allowed.map(|origin| origin.to_str().unwrap()), told, "{origin}");
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }
    // An upload is known by the carrier's id, and its answer is read by the same pages.
    let upload =
        http.post(format!("{url}/{}/1", "0".repeat(32))).header("origin", ours).send().await.unwrap();
    assert_eq!(upload.status(), StatusCode::NOT_FOUND);
    assert_eq!(upload.headers()["access-control-allow-origin"], ours);
    let asked = http.request(reqwest::Method::OPTIONS, &url).header("origin", ours);
    let asked = asked.header("access-control-request-method", "POST").send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    assert_eq!(asked.headers()["access-control-allow-origin"], ours);
}
