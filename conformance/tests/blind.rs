//! The relay is blind: what is typed into a session is neither in what the relay received nor in its
//! memory, while a word that it must know is in both.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use negotiator::{FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The relay as a process of its own: this test's memory holds the plaintext.
struct Lifeguard(Child);

impl Lifeguard {
    fn start() -> (Self, SocketAddr) {
        // This test is target/PROFILE/deps/blind-HASH; a run of the whole workspace has built the binary.
        let binary: PathBuf =
            std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("beach-lifeguard");
        if !binary.exists() {
            let build = ["build", "-q", "--locked", "-p", "beach-lifeguard", "--bin", "beach-lifeguard"];
            assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
        }
        let mut child = Command::new(binary)
            .args(["dev", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| {
            Some(line.split_once("control plane")?.1.trim().strip_prefix("http://")?.parse().unwrap())
        });
        (Self(child), address.unwrap())
    }

    /// Counts each needle in all memory that the process can write.
    fn memory(&self, needles: [&[u8]; 2]) -> [usize; 2] {
        let pid = self.0.id();
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let mut memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        let mut found = [0; 2];
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            let mut region = Vec::new();
            memory.seek(SeekFrom::Start(from)).unwrap();
            // Some regions cannot be read; what could be read of them counts.
            let _ = (&mut memory).take(to - from).read_to_end(&mut region);
            for (found, needle) in found.iter_mut().zip(needles) {
                *found += count(&region, needle);
            }
        }
        found
    }
}

impl Drop for Lifeguard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

/// Passes connections through to `to`, and keeps every byte that goes there.
async fn tap(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, captured) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let capture = captured.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let capture = capture.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(to).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let back =
                    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    capture.lock().extend_from_slice(&unmasked(&buffer[..read]));
                    capture.lock().extend_from_slice(&buffer[..read]);
                    if to_server.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
                back.abort();
            });
        }
    });
    (address, captured)
}

/// Undoes the masks of the WebSocket frames that begin at the start of `bytes` (RFC 6455 §5.3).
fn unmasked(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let [_, length, rest @ ..] = bytes {
        let (length, rest) = match (length & 0x7F, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, _) | (126, _) => break,
            (short, rest) => (usize::from(short), rest),
        };
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { break };
        let length = length.min(rest.len());
        plain.extend(rest[..length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes = &rest[length..];
    }
    plain
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_is_neither_in_what_the_relay_received_nor_in_its_memory() {
    const CANARY: &[u8] = b"canary-4f1d-typed-into-the-session";
    let (lifeguard, address) = tokio::task::spawn_blocking(Lifeguard::start).await.unwrap();
    let (tapped, captured) = tap(address).await;
    let mut network = NetworkConfig::default();
    network.mode = FallbackMode::RelayOnly;
    network.relay_url = Some(format!("ws://{tapped}/v2/ws").parse().unwrap());
    let mut config = HostConfig::new(format!("http://{tapped}"));
    config.network = network.clone();
    let host = Host::share(config).await.unwrap();
    let joining = Negotiator::new(host.link().clone(), network).connect();
    let (viewer, hosted) = tokio::join!(joining, host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    assert_eq!(viewer.status().path.unwrap().as_str(), "ws-fallback");
    for round in 0..200 {
        viewer.send(CANARY.into()).await.unwrap();
        hosted.send(CANARY.into()).await.unwrap();
        assert_eq!(hosted.recv().await, Ok(Received::Message(CANARY.into())), "{round}");
        assert_eq!(viewer.recv().await, Ok(Received::Message(CANARY.into())), "{round}");
    }
    // The session's id is what the relay must know: the search would find what is there.
    let known = host.link().session().to_string().into_bytes();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let received = captured.lock().clone();
    assert!(received.len() > 200 * CANARY.len(), "{} bytes", received.len());
    assert!(count(&received, &known) > 0, "the search finds nothing at all in the capture");
    assert_eq!(count(&received, CANARY), 0);
    let [canaries, sessions] = lifeguard.memory([CANARY, &known]);
    assert!(sessions > 0, "the search finds nothing at all in the relay's memory");
    assert_eq!(canaries, 0);
    println!(
        "{} bytes received by the relay, {sessions} session ids and {canaries} canaries in its memory",
        received.len()
    );
    viewer.close().await;
    host.close().await;
}
