//! Against a server of another library, and against servers that are none.

#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]

use beach_lifeguard_client::websocket::Violation;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role},
    },
};
use url::Url;

use super::*;
use crate::wire::Goodbye;

const MAX: usize = 100_000;

async fn pair(room: usize) -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(room);
    (
        WebSocket::new(ours, BytesMut::new(), MAX),
        WebSocketStream::from_raw_socket(theirs, Role::Server, None).await,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each message goes there and comes back, over a path that takes `room` bytes at once.
    #[test]
    fn another_library_reads_what_we_write_and_the_other_way_round(
        messages in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..3_000)), 1..20),
        room in 1usize..5_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut ws, mut server) = pair(room).await;
            let echo = tokio::spawn(async move {
                while let Some(Ok(message)) = server.next().await {
                    if message.is_binary() || message.is_text() {
                        server.send(message).await.unwrap();
                    }
                }
            });
            let WebSocket { source, sink } = &mut ws;
            for (text, payload) in messages {
                let payload = if text { String::from_utf8_lossy(&payload).into_owned().into() } else { payload };
                let (one, other) = payload.split_at(payload.len() / 2);
                sink.put(if text { Opcode::Text } else { Opcode::Binary }, &[one, other]);
                let (sent, item) = tokio::join!(sink.flush(), source.next());
                sent.unwrap();
                let payload = payload.into();
                assert_eq!(item.unwrap(), if text { Item::Text(payload) } else { Item::Binary(payload) });
            }
            ws.close(Some(1001)).await.unwrap();
            echo.await.unwrap();
        });
    }
}

#[tokio::test]
async fn goodbyes_are_understood_both_ways() {
    let (mut ws, mut server) = pair(1_000).await;
    let reading = tokio::spawn(async move { server.next().await });
    ws.close(Some(1001)).await.unwrap();
    let Some(Ok(Message::Close(Some(heard)))) = reading.await.unwrap() else { panic!("a close frame") };
    assert_eq!(u16::from(heard.code), 1001);

    let (mut ws, mut server) = pair(1_000).await;
    let closing = tokio::spawn(async move {
        server.close(Some(CloseFrame { code: 4001.into(), reason: "drain".into() })).await.unwrap();
        // Whole only when it was answered.
        server.next().await
    });
    let goodbye = Goodbye { code: 4001, reason: "drain".to_owned() };
    assert_eq!(ws.source.next().await.unwrap(), Item::Close(Some(goodbye)));
    ws.close(Some(4001)).await.unwrap();
    assert!(
        matches!(closing.await.unwrap(), Some(Ok(Message::Close(Some(answer)))) if answer.code == 4001.into())
    );
}

#[tokio::test]
async fn a_goodbye_waits_until_the_other_side_has_hung_up() {
    let (mut ws, mut server) = pair(100).await;
    let closing = tokio::spawn(async move { ws.close(Some(1000)).await });
    server.send(Message::Binary(vec![1; 5_000].into())).await.unwrap();
    assert!(matches!(server.next().await, Some(Ok(Message::Close(_)))));
    assert!(!closing.is_finished());
    drop(server);
    closing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_flush_that_was_dropped_is_taken_up_where_it_stopped() {
    let (mut ws, mut server) = pair(7).await;
    ws.sink.put(Opcode::Binary, &[&[9; 50]]);
    for _ in 0..3 {
        assert!(tokio::time::timeout(std::time::Duration::ZERO, ws.sink.flush()).await.is_err());
    }
    ws.sink.put(Opcode::Binary, &[b"next"]);
    let (sent, first) = tokio::join!(ws.sink.flush(), async { [server.next().await, server.next().await] });
    sent.unwrap();
    let first = first.map(|message| message.unwrap().unwrap().into_data());
    assert_eq!(first, [Bytes::from(vec![9; 50]), Bytes::from_static(b"next")]);
}

#[tokio::test]
async fn the_end_of_a_path_is_told_from_a_broken_rule() {
    let (mut ws, server) = pair(1_000).await;
    drop(server);
    assert!(matches!(ws.source.next().await, Err(Lost::HungUp)));
    let (ours, mut theirs) = duplex(1_000);
    let mut ws = WebSocket::new(ours, BytesMut::new(), MAX);
    theirs.write_all(b"\x82\x81\0\0\0\0x").await.unwrap();
    assert!(matches!(ws.source.next().await, Err(Lost::Violation(Violation::Protocol))));
}

/// Upgrades at a server that answers `answer`, with the right key in the place of `{accept}`.
async fn upgraded(answer: &str) -> Result<WebSocket<DuplexStream>, BadUpgrade> {
    let (ours, mut theirs) = duplex(100_000);
    let answer = answer.to_owned();
    let server = tokio::spawn(async move {
        let mut request = BytesMut::new();
        while !request.ends_with(b"\r\n\r\n") {
            theirs.read_buf(&mut request).await.unwrap();
        }
        let request = String::from_utf8(request.to_vec()).unwrap();
        let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        // A client may have gone already.
        let _ = theirs.write_all(answer.replace("{accept}", &accept).as_bytes()).await;
        request
    });
    let url = Url::parse("ws://localhost:81/v2/ws?a=b#c").unwrap();
    let upgraded = upgrade(&url, ours).await;
    let request = server.await.unwrap();
    assert!(request.starts_with("GET /v2/ws?a=b HTTP/1.1\r\nhost: localhost:81\r\n"), "{request}");
    upgraded
}

const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: beach-lifeguard.v2\r\n\r\n";

#[tokio::test]
async fn what_came_right_behind_the_answer_is_not_lost() {
    // The first part of a message; as a string there is no last one.
    let mut ws = upgraded(&format!("{GOOD}\u{1}\u{1}a")).await.unwrap();
    ws.source.reader.room().extend_from_slice(b"\x80\x01b");
    assert_eq!(ws.source.next().await.unwrap(), Item::Text("ab".into()));
}

#[tokio::test]
async fn other_answers_are_no_relay() {
    let broken = |header: &str, value: &str| {
        let lines = GOOD.lines().map(|line| match line.split_once(": ") {
            Some((name, _)) if name == header => format!("{name}: {value}\r\n"),
            _ => format!("{line}\r\n"),
        });
        lines.collect::<String>()
    };
    for (header, value) in [
        ("Connection", "close"),
        ("Upgrade", "h2c"),
        ("Sec-WebSocket-Accept", "c29tZXRoaW5nIGVsc2UgZW50aXJl"),
        ("Sec-WebSocket-Protocol", "chat"),
    ] {
        let error = upgraded(&broken(header, value)).await.err();
        let named = matches!(&error, Some(BadUpgrade::Answer(name)) if name == header);
        assert!(named, "{header}: {error:?}");
    }
    let extended = GOOD.replace("Upgrade: ", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: ");
    assert!(matches!(upgraded(&extended).await.err(), Some(BadUpgrade::Answer(_))));
    for (answer, status) in
        [("HTTP/1.1 403 No\r\n\r\n", 403), ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", 200)]
    {
        let error = upgraded(answer).await.err();
        assert!(matches!(&error, Some(BadUpgrade::Status(got)) if got.status == status), "{error:?}");
    }
    let is_parse =
        |error: Option<BadUpgrade>| matches!(error, Some(BadUpgrade::Http(error)) if error.is_parse());
    assert!(is_parse(upgraded("SSH-2.0-OpenSSH_9.2\r\n\r\n").await.err()));
    assert!(is_parse(upgraded(&format!("HTTP/1.1 200 {}\r\n", "x".repeat(MAX))).await.err()));
    let cut = upgraded("HTTP/1.1 101 Swi").await.err();
    assert!(matches!(&cut, Some(BadUpgrade::Http(error)) if !error.is_parse()), "{cut:?}");
}
