//! The corpus of bad inputs: every line gets exactly the answer it names, is counted as it says, and
//! leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use beach_lifeguard_client::{CloseCode, FallbackToken, Role, token::TokenError};
use jsonwebtoken::{Algorithm, EncodingKey};
use relay_support::{ISSUER, Rig, SEED, hello};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

/// The lines of one file, split into their columns.
fn corpus(file: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/relay_corpus/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

/// Hex, where `xx*n` is n times that byte; `;` ends a number.
fn bytes(hex: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in hex.split(';') {
        let (plain, times) = part.split_once('*').map_or((part, 1), |(hex, n)| (hex, n.parse().unwrap()));
        out.extend((0..plain.len()).step_by(2).map(|at| u8::from_str_radix(&plain[at..at + 2], 16).unwrap()));
        if let Some(last) = out.last().copied() {
            out.extend(std::iter::repeat_n(last, times - 1));
        }
    }
    out
}

/// Text, where `x*n` is n times the letter.
fn text(short: &str) -> String {
    match short.find("x*") {
        None => short.to_owned(),
        Some(at) => {
            let digits: String = short[at + 2..].chars().take_while(char::is_ascii_digit).collect();
            let long = "x".repeat(digits.parse().unwrap());
            format!("{}{long}{}", &short[..at], &short[at + 2 + digits.len()..])
        }
    }
}

/// Changes a good object; `"-"` takes a key away.
fn patched(mut good: Value, patch: &str) -> Value {
    let patch: Value = if patch.is_empty() { json!({}) } else { serde_json::from_str(patch).unwrap() };
    for (key, value) in patch.as_object().unwrap() {
        if value == "-" {
            good.as_object_mut().unwrap().remove(key);
        } else {
            good[key] = value.clone();
        }
    }
    good
}

#[tokio::test]
async fn messages_of_an_admitted_peer() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let _host = rig.join(session, Role::Host).await;
    for line in corpus("frames.txt") {
        let [name, kind, content, code, reason] = &line[..] else { panic!("{line:?}") };
        let message = match kind.as_str() {
            "b" => Message::binary(bytes(content)),
            _ => Message::text(content.as_str()),
        };
        let mut viewer = rig.join(session, Role::Viewer).await;
        viewer.say(message).await;
        assert_eq!(viewer.closed().await, (code.parse().unwrap(), reason.clone()), "{name}");
    }
    assert_nothing_left(&rig, 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn bytes_below_the_messages() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let _host = rig.join(session, Role::Host).await;
    for line in corpus("wire.txt") {
        let [name, hex, code, reason] = &line[..] else { panic!("{line:?}") };
        let mut viewer = rig.join(session, Role::Viewer).await;
        // Past the client's library, which would never send this.
        viewer.ws.get_mut().write_all(&bytes(hex)).await.unwrap();
        assert_eq!(viewer.closed().await, (code.parse().unwrap(), reason.clone()), "{name}");
    }
    assert_nothing_left(&rig, 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn hellos() {
    let rig = Rig::start().await;
    for line in corpus("hellos.txt") {
        let [name, change, code, reason, counted] = &line[..] else { panic!("{line:?}") };
        let first = match change.strip_prefix('=') {
            Some(raw) => text(raw),
            None => {
                let good = serde_json::to_value(rig.hello(Uuid::new_v4(), Role::Host)).unwrap();
                patched(good, change).to_string()
            }
        };
        let before = rig.metrics.read("beach_lifeguard_handshakes_failure", &[counted]);
        let close = rig.turned_away(Message::text(first)).await;
        assert_eq!(close, (code.parse().unwrap(), reason.clone()), "{name}");
        assert_eq!(rig.metrics.read("beach_lifeguard_handshakes_failure", &[counted]), before + 1, "{name}");
    }
    assert_nothing_left(&rig, 0).await;
    rig.stop().await;
}

#[tokio::test]
async fn tokens() {
    let rig = Rig::start().await;
    for line in corpus("tokens.txt") {
        let [name, header, claims, reason] = &line[..] else { panic!("{line:?}") };
        let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
        let token = token(&rig, session, peer, header, claims);
        let before = rig.metrics.read("beach_lifeguard_token_validation_failure", &[reason]);
        let first = hello(session, peer, Role::Viewer, FallbackToken::new(token)).encode();
        let (code, got) = rig.turned_away(Message::text(first)).await;
        assert_eq!(code, CloseCode::BAD_TOKEN.get(), "{name}");
        if reason == "*" {
            // Which of several faults is found first is the library's business; that it is one is ours.
            assert!(TokenError::ALL.iter().any(|error| error.label() == got), "{name}: {got}");
        } else {
            assert_eq!(&got, reason, "{name}");
            assert_eq!(
                rig.metrics.read("beach_lifeguard_token_validation_failure", &[reason]),
                before + 1,
                "{name}"
            );
        }
    }
    assert_nothing_left(&rig, 0).await;
    rig.stop().await;
}

#[tokio::test]
async fn requests() {
    let mut config = relay_support::config();
    config.allowed_origins = vec!["https://beach.sh".to_owned()];
    let rig = Rig::with(config, relay_support::roomy()).await;
    for line in corpus("http.txt") {
        let [name, request, status] = &line[..] else { panic!("{line:?}") };
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(&unescaped(&text(request))).await.unwrap();
        let mut answer = [0; 64];
        let read = timeout(Duration::from_secs(5), stream.read(&mut answer)).await.expect(name);
        let answer = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
        let got = answer.split(' ').nth(1).unwrap_or("0");
        match status.as_str() {
            "*" => assert!(got != "101" && got != "500", "{name}: {got}"),
            status => assert_eq!(got, status, "{name}"),
        }
    }
    assert_nothing_left(&rig, 0).await;
    rig.stop().await;
}

#[test]
fn the_corpus_has_at_least_three_hundred_lines() {
    let files = ["frames.txt", "wire.txt", "hellos.txt", "tokens.txt", "http.txt"];
    let lines: usize = files.iter().map(|file| corpus(file).len()).sum();
    assert!(lines >= 300, "{lines}");
}

/// A token with changed header and claims, signed all the same; or whatever the line says.
fn token(rig: &Rig, session: Uuid, peer: Uuid, header: &str, claims: &str) -> String {
    let good = rig.token(session, peer, Role::Viewer, |_| {}).expose().to_owned();
    let parts: Vec<&str> = good.split('.').collect();
    let Some(raw) = claims.strip_prefix('=') else {
        let decode =
            |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let mut claims = patched(decode(parts[1]), claims);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        for time in ["iat", "nbf", "exp"] {
            if let Some(offset) = claims[time].as_str().and_then(|text| text.parse::<i64>().ok()) {
                claims[time] = json!(now + offset);
            }
        }
        assert_eq!(decode(parts[1])["iss"], ISSUER);
        return signed(&patched(decode(parts[0]), header).to_string(), &claims.to_string());
    };
    match raw {
        "~cut" => good[..good.len() - 4].to_owned(),
        "~flip" => format!("{}.{}.{}", parts[0], parts[1], flipped(parts[2])),
        "~claims" => format!("{}.{}.{}", parts[0], flipped(parts[1]), parts[2]),
        "~bare" => format!("{}.{}.", parts[0], parts[1]),
        "~padded" => format!("{good}=="),
        "~forged" => {
            let key = EncodingKey::from_ed_der(&pkcs8(&[8; 32]));
            let content = format!("{}.{}", parts[0], parts[1]);
            let signature = jsonwebtoken::crypto::sign(content.as_bytes(), &key, Algorithm::EdDSA).unwrap();
            format!("{content}.{signature}")
        }
        raw => text(raw),
    }
}

fn signed(header: &str, claims: &str) -> String {
    let content = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_ed_der(&pkcs8(&SEED));
    let signature = jsonwebtoken::crypto::sign(content.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{content}.{signature}")
}

/// Another character in the middle: still base64, and no longer what was signed.
fn flipped(part: &str) -> String {
    let middle = part.len() / 2;
    let other = if &part[middle..=middle] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &part[..middle], &part[middle + 1..])
}

/// An Ed25519 private key as PKCS#8 (RFC 8410 §7).
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    let prefix =
        [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [&prefix[..], seed].concat()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let (byte, used) = match &rest[at + 1..=at + 1] {
            "r" => (b'\r', 2),
            "n" => (b'\n', 2),
            "x" => (u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap(), 4),
            other => panic!("\\{other}"),
        };
        out.push(byte);
        rest = &rest[at + used..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Whoever was turned away is gone: no seat, no socket, no place among the connections.
async fn assert_nothing_left(rig: &Rig, peers: usize) {
    let done = async {
        while rig.relay.live_sockets() > peers
            || rig.connections.open() > peers
            || rig.connections.strangers() > 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), done).await.is_ok(), "{} left", rig.connections.open());
    assert_eq!(rig.relay.snapshot().active_connections, peers);
}
