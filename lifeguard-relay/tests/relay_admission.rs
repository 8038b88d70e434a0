//! Who is let in, and how each refusal is told.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::time::Duration;

use beach_lifeguard_client::{Access, Claims, CloseCode, FallbackToken, Header, Kind, Role};
use relay_support::{Client, Heard, Rig, hello, unix_now};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

/// The close that follows a hello whose token says something else than usual.
async fn close_for(rig: &Rig, change: impl FnOnce(&mut Claims)) -> (u16, String) {
    let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
    let token = rig.token(session, peer, Role::Viewer, change);
    rig.turned_away(Message::text(hello(session, peer, Role::Viewer, token).encode())).await
}

#[tokio::test]
async fn each_fault_of_a_token_is_named() {
    let rig = Rig::start().await;
    let bad = |label: &str| (CloseCode::BAD_TOKEN.get(), label.to_owned());
    assert_eq!(close_for(&rig, |c| c.aud = "beach".into()).await, bad("wrong_audience"));
    assert_eq!(close_for(&rig, |c| c.iss = "https://evil.test".into()).await, bad("wrong_issuer"));
    assert_eq!(close_for(&rig, |c| c.exp = unix_now() - 60).await, bad("token_expired"));
    assert_eq!(close_for(&rig, |c| c.exp = c.iat + 3_600).await, bad("token_lives_too_long"));
    assert_eq!(close_for(&rig, |c| c.nbf = unix_now() + 60).await, bad("token_not_yet_valid"));
    assert_eq!(close_for(&rig, |c| c.session_id = Uuid::new_v4()).await, bad("session_mismatch"));
    assert_eq!(close_for(&rig, |c| c.sub = Uuid::new_v4()).await, bad("peer_mismatch"));
    assert_eq!(
        close_for(&rig, |c| c.feature_bits.fallback_authorized = false).await,
        bad("missing_entitlement")
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_token_admits_once() {
    let rig = Rig::start().await;
    let hello = rig.hello(Uuid::new_v4(), Role::Host);
    let _host = rig.join_with(&hello).await;
    let again = rig.turned_away(Message::text(hello.encode())).await;
    assert_eq!(again, (CloseCode::BAD_TOKEN.get(), "token_spent".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn nobody_gets_more_than_its_token_says() {
    let rig = Rig::start().await;
    let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
    let viewer = rig.token(session, peer, Role::Viewer, |_| {});
    let as_host = rig.turned_away(Message::text(hello(session, peer, Role::Host, viewer).encode())).await;
    assert_eq!(as_host, (CloseCode::ROLE.get(), "role_mismatch".to_owned()));
    let read_only = rig.token(session, peer, Role::Viewer, |c| c.access = Access::ReadOnly);
    let writing =
        rig.turned_away(Message::text(hello(session, peer, Role::Viewer, read_only).encode())).await;
    assert_eq!(writing, (CloseCode::ROLE.get(), "role_mismatch".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn an_unreadable_hello_is_told_from_another_version() {
    let rig = Rig::start().await;
    let close = |code: CloseCode, label: &str| (code.get(), label.to_owned());
    for nonsense in ["", "{", "[]", "null", r#"{"protocol_version":2}"#, r#"{"protocol_version":"2"}"#] {
        assert_eq!(
            rig.turned_away(Message::text(nonsense)).await,
            close(CloseCode::BAD_FRAME, "invalid_payload"),
            "{nonsense}"
        );
    }
    let later = rig.turned_away(Message::text(r#"{"protocol_version":3,"new":true}"#)).await;
    assert_eq!(later, close(CloseCode::UNSUPPORTED, "unsupported_version"));
    let binary = rig.turned_away(Message::binary(Header::relay(Kind::Heartbeat).frame(&[]))).await;
    assert_eq!(binary, close(CloseCode::BAD_FRAME, "unexpected_frame"));
    let large = rig.turned_away(Message::text("x".repeat(9_000))).await;
    assert_eq!(large, close(CloseCode::TOO_BIG, "hello_too_large"));
    let huge = rig.turned_away(Message::text("x".repeat(70_000))).await;
    assert_eq!(huge, close(CloseCode::TOO_BIG, "hello_too_large"));
    let garbage = FallbackToken::new("not.a.token");
    let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
    let forged = rig.turned_away(Message::text(hello(session, peer, Role::Host, garbage).encode())).await;
    assert_eq!(forged.0, CloseCode::BAD_TOKEN.get());
    rig.stop().await;
}

#[tokio::test]
async fn silence_after_the_upgrade_has_a_deadline() {
    let mut config = relay_support::config();
    config.hello_deadline = Duration::from_millis(200);
    let rig = Rig::with(config, relay_support::roomy()).await;
    let mut silent = rig.knock().await;
    assert_eq!(silent.closed().await, (CloseCode::CONNECTION_LOST.get(), "timeout".to_owned()));
    // Pings are not a hello.
    let mut pinging = rig.knock().await;
    pinging.say(Message::Ping("hi".into())).await;
    assert_eq!(pinging.closed().await.1, "timeout");
    rig.stop().await;
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_ends_its_sender_only() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let good = Header::relay(Kind::Heartbeat).encode();
    let altered = |at: usize, byte: u8| {
        let mut frame = good;
        frame[at] = byte;
        Message::binary(frame.to_vec())
    };
    let cases = [
        (Message::binary(vec![]), CloseCode::BAD_FRAME, "bad_frame"),
        (Message::binary(good[..11].to_vec()), CloseCode::BAD_FRAME, "bad_frame"),
        (altered(0, 1), CloseCode::BAD_FRAME, "bad_frame"),
        (altered(2, 2), CloseCode::BAD_FRAME, "bad_frame"),
        (altered(1, 0), CloseCode::BAD_FRAME, "unexpected_frame"),
        (altered(1, 9), CloseCode::BAD_FRAME, "unexpected_frame"),
        (Message::binary([&good[..], b"payload"].concat()), CloseCode::BAD_FRAME, "unexpected_frame"),
        (Message::text("hello again"), CloseCode::BAD_FRAME, "unexpected_frame"),
        (Message::binary(vec![2; 65_537]), CloseCode::TOO_BIG, "frame_too_large"),
    ];
    for (message, code, label) in cases {
        let mut rude = rig.join(session, Role::Viewer).await;
        rude.say(message).await;
        assert_eq!(rude.closed().await, (code.get(), label.to_owned()));
    }
    host.say(Message::binary(good.to_vec())).await;
    while !matches!(host.hear().await, Heard::Frame(h, _) if h.kind == Kind::Heartbeat) {}
    rig.stop().await;
}

#[tokio::test]
async fn only_a_proper_upgrade_becomes_a_socket() {
    let mut config = relay_support::config();
    config.allowed_origins = vec!["https://beach.sh".to_owned()];
    let rig = Rig::with(config, relay_support::roomy()).await;
    let ours = ("sec-websocket-protocol", "beach-lifeguard.v2");
    let connect = async |headers: &[(&'static str, &str)]| {
        Client::connect(rig.address, "/v2/ws", headers).await.map(|_| ()).map_err(|status| status.as_u16())
    };
    assert_eq!(connect(&[ours]).await, Ok(()));
    assert!(connect(&[("sec-websocket-protocol", "chat, beach-lifeguard.v2")]).await.is_ok());
    assert_eq!(connect(&[]).await, Err(400));
    assert_eq!(connect(&[ours, ("origin", "https://beach.sh")]).await, Ok(()));
    for origin in ["null", "https://evil.test", "https://beach.sh.evil.test", "https://beach.sh:444"] {
        assert_eq!(connect(&[ours, ("origin", origin)]).await, Err(403), "{origin}");
    }
    let plain = http(&rig, "GET /v2/ws HTTP/1.1\r\nhost: relay\r\n\r\n").await;
    assert!(plain.starts_with("HTTP/1.1 426 "), "{plain}");
    let posted = http(&rig, "POST /v2/ws HTTP/1.1\r\nhost: relay\r\ncontent-length: 0\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    let health = http(&rig, "GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with(r#"{"status":"ok"}"#), "{health}");
    let metrics = http(&rig, "GET /metrics HTTP/1.1\r\nhost: relay\r\n\r\n").await;
    assert!(metrics.starts_with("HTTP/1.1 404 "), "the public port has no metrics: {metrics}");
    rig.stop().await;
}

async fn http(rig: &Rig, request: &str) -> String {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let mut filled = 0;
    // The connection stays open for another request; the answer is complete when its body is.
    while !String::from_utf8_lossy(&answer[..filled]).contains("\r\n\r\n")
        || (answer[..filled].starts_with(b"HTTP/1.1 200") && !answer[..filled].ends_with(b"}"))
    {
        let read = stream.read(&mut answer[filled..]).await.unwrap();
        if read == 0 {
            break;
        }
        filled += read;
    }
    String::from_utf8_lossy(&answer[..filled]).into_owned()
}
