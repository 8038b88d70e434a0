//! The proxies do to real sockets what they say.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::HashSet,
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use conformance::netlab::{Cut, Fault, Flow, LADDER, Proxy, Way};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    addr
}

async fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                // A reset is one of the things the tests do to it.
                let _reset = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn udp_client(proxy: &Proxy) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(proxy.addr()).await.unwrap();
    socket
}

/// Sends `count` numbered datagrams one by one, 1 ms apart, and returns the numbers that came back.
async fn round_trips(socket: &UdpSocket, count: u32) -> Vec<u32> {
    let sender = async {
        for number in 0..count {
            socket.send(&number.to_be_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let receiver = async {
        let mut back = Vec::new();
        let mut buffer = [0; 16];
        while let Ok(Ok(len)) = timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await {
            back.push(u32::from_be_bytes(buffer[..len].try_into().unwrap()));
        }
        back
    };
    tokio::join!(sender, receiver).1
}

#[tokio::test]
async fn udp_passes_loses_and_counts() {
    let proxy = Proxy::udp(udp_echo().await).await.unwrap();
    let socket = udp_client(&proxy).await;
    assert_eq!(round_trips(&socket, 50).await, (0..50).collect::<Vec<_>>());
    proxy.set(Fault::up(Way::lossy(0.5)).seeded(3));
    let back = round_trips(&socket, 200).await.len();
    assert!((60..140).contains(&back), "{back} of 200 came back at 50 % loss");
    let counters = proxy.counters();
    assert_eq!((counters.flows, counters.up.dropped), (1, 200 - back as u64));
    assert_eq!(counters.down.packets, 50 + back as u64);
}

#[tokio::test]
async fn udp_duplicates_and_reorders() {
    let proxy = Proxy::udp(udp_echo().await).await.unwrap();
    let socket = udp_client(&proxy).await;
    proxy.set(Fault::down(Way {
        reorder: 0.3,
        duplicate: 0.3,
        jitter: Duration::from_millis(3),
        ..Way::CLEAR
    }));
    let back = round_trips(&socket, 200).await;
    assert_eq!(back.iter().collect::<HashSet<_>>().len(), 200, "nothing was to be lost");
    assert!(back.len() > 220 && !back.is_sorted());
}

#[tokio::test]
async fn udp_stalls_one_way_and_gives_back_what_it_held() {
    let proxy = Proxy::udp(udp_echo().await).await.unwrap();
    let socket = udp_client(&proxy).await;
    proxy.set(Fault::down(Way::STALLED));
    assert!(round_trips(&socket, 20).await.is_empty());
    assert_eq!(proxy.counters().up.packets, 20, "the other way goes on");
    proxy.heal();
    assert_eq!(round_trips(&socket, 0).await, (0..20).collect::<Vec<_>>());
    proxy.cut(Cut::Blackhole);
    assert!(round_trips(&socket, 20).await.is_empty());
    proxy.heal();
    assert!(round_trips(&socket, 0).await.is_empty(), "a black hole gives nothing back");
}

#[tokio::test]
async fn a_rung_of_the_ladder_delays_a_round_trip() {
    let proxy = Proxy::udp(udp_echo().await).await.unwrap();
    let socket = udp_client(&proxy).await;
    proxy.set(LADDER[2].fault(1));
    let before = Instant::now();
    socket.send(b"x").await.unwrap();
    socket.recv(&mut [0; 16]).await.unwrap();
    let took = before.elapsed();
    assert!((60..200).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn tcp_carries_everything_through_delay_and_loss() {
    let proxy = Proxy::tcp(tcp_echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.set(Fault::both(Way { delay: Duration::from_millis(5), ..Way::lossy(0.05) }));
    let sent: Vec<u8> = (0..200_000u32).map(|at| (at / 7) as u8).collect();
    let (mut from, mut to) = stream.split();
    let mut back = Vec::new();
    let (sending, receiving) = tokio::join!(
        async {
            to.write_all(&sent).await?;
            to.shutdown().await
        },
        from.read_to_end(&mut back)
    );
    sending.unwrap();
    receiving.unwrap();
    assert_eq!(back, sent);
}

#[tokio::test]
async fn tcp_stalls_push_back_on_the_sender_and_heal() {
    let proxy = Proxy::tcp(tcp_echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.set(Fault::up(Way { flow: Flow::Stall, ..Way::CLEAR }));
    let piece = vec![1; 64 * 1024];
    let mut sent = 0;
    while let Ok(written) = timeout(Duration::from_millis(200), stream.write(&piece)).await {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "a stalled connection took everything");
    }
    proxy.heal();
    let mut back = vec![0; sent];
    timeout(Duration::from_secs(10), stream.read_exact(&mut back)).await.unwrap().unwrap();
}

#[tokio::test]
async fn tcp_cut_is_a_reset_and_new_connections_are_refused_until_healed() {
    let proxy = Proxy::tcp(tcp_echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    proxy.cut(Cut::Reset);
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let mut refused = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(refused.read(&mut [0]).await.is_err());
    proxy.heal();
    let mut again = TcpStream::connect(proxy.addr()).await.unwrap();
    again.write_all(b"y").await.unwrap();
    again.read_exact(&mut [0]).await.unwrap();
}

#[tokio::test]
async fn tcp_black_hole_says_nothing_and_goes_on_when_healed() {
    let proxy = Proxy::tcp(tcp_echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    proxy.cut(Cut::Blackhole);
    stream.write_all(b"y").await.unwrap();
    assert!(timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_err());
    proxy.heal();
    stream.read_exact(&mut [0]).await.unwrap();
}
