//! One node of the relay is drained under load: its sessions go on at another node, and no message is lost.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it should be"
)]

mod real;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use beach_lifeguard_client::CloseCode;
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{FallbackMode, Host, HostConfig, Negotiator, Received, Session};
use real::network;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// Sessions at one time, each with a stream of messages both ways.
const SESSIONS: usize = 8;
/// The word after the last message of a stream.
const END: u64 = u64::MAX;
/// For everybody to arrive at the other node once nobody is left at the first.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Sends each connection to the first node until that is drained, as a load balancer does that asks `/readyz`.
async fn balance(listener: TcpListener, nodes: [SocketAddr; 2], drained: Arc<AtomicBool>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let node = nodes[usize::from(drained.load(Ordering::Relaxed))];
        tokio::spawn(async move {
            let mut node = TcpStream::connect(node).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut node).await;
        });
    }
}

/// Sends numbers until everybody has `arrived`, so that no session moves in silence. Returns how many there were.
async fn stream(from: &Session, to: &Session, arrived: &AtomicBool) -> u64 {
    let sending = async {
        let mut sent = 0;
        while !arrived.load(Ordering::Relaxed) {
            from.send(u64::to_be_bytes(sent).to_vec().into()).await.unwrap();
            sent += 1;
            sleep(Duration::from_millis(5)).await;
        }
        from.send(END.to_be_bytes().to_vec().into()).await.unwrap();
        sent
    };
    let receiving = async {
        for expected in 0.. {
            let Received::Message(bytes) = to.recv().await.unwrap() else { panic!("no datagram was sent") };
            if bytes[..] == END.to_be_bytes() {
                return expected;
            }
            assert_eq!(bytes[..], u64::to_be_bytes(expected), "in order and once");
        }
        unreachable!("a stream ends with a word")
    };
    let (sent, received) = tokio::join!(sending, receiving);
    assert_eq!(sent, received, "none is missing at the end");
    received
}

fn address(dev: &Dev) -> SocketAddr {
    dev.public_url().strip_prefix("http://").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_nodes_sessions_go_on_at_another_and_lose_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_url = format!("ws://{}/v2/ws", listener.local_addr().unwrap());
    let mut config = DevConfig::default();
    config.control.relay_url = Some(relay_url);
    config.relay.drain.grace = Duration::from_secs(2);
    let first = Dev::start(config.clone()).await.unwrap();
    let second = first.start_another(config).await.unwrap();
    let drained = Arc::<AtomicBool>::default();
    tokio::spawn(balance(listener, [address(&first), address(&second)], drained.clone()));

    let mut network = network();
    network.mode = FallbackMode::RelayOnly;
    let mut shared = HostConfig::new(first.public_url());
    shared.network = network.clone();
    let host = Host::share(shared).await.unwrap();
    let mut pairs = Vec::new();
    for _ in 0..SESSIONS {
        let viewer = Negotiator::new(host.link().clone(), network.clone()).connect().await.unwrap();
        pairs.push((viewer, host.accept().await.unwrap()));
    }
    // The host's one socket, and one for each viewer.
    assert_eq!((first.live_relay_sockets(), second.live_relay_sockets()), (SESSIONS + 1, 0));

    let arrived = Arc::<AtomicBool>::default();
    let mut streams = tokio::task::JoinSet::new();
    for (viewer, hosted) in pairs.clone() {
        let arrived = arrived.clone();
        streams.spawn(async move {
            tokio::join!(stream(&viewer, &hosted, &arrived), stream(&hosted, &viewer, &arrived))
        });
    }
    sleep(Duration::from_secs(1)).await;
    drained.store(true, Ordering::Relaxed);
    let start = Instant::now();
    let closed = first.relay().drain(CloseCode::RESTART).await;
    println!("drained in {:?}, {closed} of {} had to be closed", start.elapsed(), SESSIONS + 1);
    assert_eq!(first.live_relay_sockets(), 0, "nobody is left at the deadline");
    let everybody = async {
        while second.live_relay_sockets() <= SESSIONS {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(ARRIVAL, everybody).await.expect("everybody arrives at the other node");
    println!("everybody is at the other node after {:?}", start.elapsed());
    arrived.store(true, Ordering::Relaxed);
    let all = async {
        while let Some(counts) = streams.join_next().await.transpose().unwrap() {
            println!("{counts:?} messages");
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("every message arrives");
    host.close().await;
}
