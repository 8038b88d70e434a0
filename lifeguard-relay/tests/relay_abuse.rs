//! Two thousand connections that mean no good, and a hundred that do.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use beach_lifeguard_client::Role;
use lifeguard_relay::listen::Caps;
use relay_support::Rig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use uuid::Uuid;

/// Eight kinds of bad client.
const KINDS: usize = 8;

/// Connects from an address of its own network, behaves badly, and says how long it was let.
async fn misbehave(relay: SocketAddr, number: usize) -> Option<Duration> {
    let socket = TcpSocket::new_v4().unwrap();
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + (number / KINDS) as u32);
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(relay).await.ok()?;
    let started = Instant::now();
    let upgrade = "GET /v2/ws HTTP/1.1\r\nhost: r\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
        sec-websocket-protocol: beach-lifeguard.v2\r\n\r\n";
    let opening: &[u8] = match number % KINDS {
        0 => b"",
        1 => b"GET /v2/ws HTTP/1.1\r\nhost",
        2 => b"PRI * HTTP/2.0",
        3 => upgrade.as_bytes(),
        4 => b"POST /v2/ws HTTP/1.1\r\nhost: r\r\ncontent-length: 60000\r\n\r\n",
        5 => b"\x16\x03\x01",
        // Half a WebSocket frame, and a header that drips.
        6 => &[upgrade.as_bytes(), &[0x81, 0xFE, 0x20]].concat(),
        _ => b"G",
    };
    let _ = stream.write_all(opening).await;
    let mut buffer = [0; 1_024];
    loop {
        match timeout(Duration::from_millis(500), stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return Some(started.elapsed()),
            Ok(Ok(_)) => {}
            Err(_) if started.elapsed() > Duration::from_secs(20) => return None,
            Err(_) if number % KINDS == 7 => drop(stream.write_all(b"E").await),
            Err(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_clients_are_gone_in_six_seconds_and_good_ones_connect_meanwhile() {
    let mut caps = Caps::default();
    caps.exempt_loopback = false;
    let rig = Rig::with(relay_support::config(), caps).await;
    let address = rig.address;
    let mut bad = JoinSet::new();
    for number in 0..2_000 {
        bad.spawn(async move { (number % KINDS, misbehave(address, number).await) });
        if number % 50 == 0 {
            // Two thousand at once would fill the kernel's queue and be nobody's connection yet.
            sleep(Duration::from_millis(10)).await;
        }
    }
    // The scope for strangers is full now, and has been for its grace time.
    sleep(Duration::from_millis(600)).await;
    let session = Uuid::new_v4();
    let mut times = Vec::new();
    let mut good = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        good.push(rig.join(session, Role::Viewer).await);
        times.push(started.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    times.sort();
    let mut longest = Duration::ZERO;
    while let Some(done) = bad.join_next().await {
        let (kind, lived) = done.unwrap();
        longest = longest.max(lived.unwrap_or_else(|| panic!("a client of kind {kind} was never closed")));
    }
    eprintln!("good: p50 {:?}, p99 {:?}; bad: longest {longest:?}", times[50], times[98]);
    assert!(times[98] <= Duration::from_secs(1), "p99 {:?}", times[98]);
    assert!(longest <= Duration::from_secs(6), "{longest:?}");
    assert_eq!(rig.relay.snapshot().active_connections, 100);
    assert_eq!(rig.connections.strangers(), 0);
    drop(good);
    rig.stop().await;
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_at_its_deadline() {
    let rig = Rig::start().await;
    let started = Instant::now();
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await.expect("still open");
    assert!((2_500..4_500).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    rig.stop().await;
}
