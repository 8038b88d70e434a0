//! What this program does when it was started inside a namespace.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Received, Session, TunePolicy};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// Names the role to a program that is started for it.
pub(crate) const ROLE: &str = "BEACH_NETNS_ROLE";

pub(crate) fn wanted() -> Option<String> {
    std::env::var(ROLE).ok()
}

pub(crate) async fn play(role: String) {
    match role.as_str() {
        "relay" => relay().await,
        "host" => host().await,
        "viewer" => viewer(&std::env::args().nth(1).unwrap()).await,
        other => panic!("no role {other}"),
    }
}

async fn relay() {
    let mut config = DevConfig::default();
    config.public = SERVICE;
    // What clients see; see `reach`.
    config.control.relay_url = Some(format!("ws://{HERE}/v2/ws"));
    let dev = Dev::start(config).await.unwrap();
    println!("ready");
    asked_to_end().await;
    dev.shutdown().await;
}

async fn host() {
    reach().await;
    let host = Host::share(HostConfig::new(format!("http://{HERE}"))).await.unwrap();
    println!("link {}", host.link().reveal());
    let echo = async {
        while let Some(viewer) = host.accept().await {
            tokio::spawn(async move {
                while let Ok(received) = viewer.recv().await {
                    match received {
                        Received::Message(words) => viewer.send(words).await.unwrap(),
                        Received::Finished => viewer.finish(),
                        Received::Datagram(_) => {}
                    }
                }
            });
        }
    };
    tokio::select! { () = echo => {}, () = asked_to_end() => {} }
    host.close().await;
}

async fn viewer(link: &str) {
    reach().await;
    let mut config = NetworkConfig::default();
    config.connect_timeout = Duration::from_secs(90);
    config.tune_policy = Some(TunePolicy::new(|policy| {
        policy.restore.cadence = Duration::from_secs(2);
        policy.restore.dwell = Duration::from_secs(1);
    }));
    let start = Instant::now();
    let session = Negotiator::new(link.parse().unwrap(), config).connect().await.unwrap();
    let told = tokio::spawn(tell(session.clone(), start));
    let echoed = tokio::spawn(expect_echo(session.clone()));
    let mut number = 0u64;
    let speak = async {
        loop {
            session.send(number.to_be_bytes().to_vec().into()).await.unwrap();
            number += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! { () = speak => {}, () = asked_to_end() => {} }
    session.finish();
    assert_eq!(echoed.await.unwrap(), number);
    told.abort();
    println!("echoed {number}");
    session.close().await;
}

/// Says each decision, and each path with the seconds it took since the start.
async fn tell(session: Session, start: Instant) {
    let (mut events, mut last) = (session.events(), None);
    loop {
        let changed = session.changed();
        while let Some(event) = events.try_next() {
            println!("{event}");
        }
        let path = session.status().path;
        if path != last {
            if let Some(path) = &path {
                println!("path {path} after {:.2} s", start.elapsed().as_secs_f64());
            }
            last = path;
        }
        changed.await;
    }
}

async fn expect_echo(session: Session) -> u64 {
    let mut next = 0u64;
    loop {
        match session.recv().await.unwrap() {
            Received::Message(words) => assert_eq!(words[..], next.to_be_bytes()),
            Received::Finished => return next,
            Received::Datagram(_) => continue,
        }
        next += 1;
    }
}

/// Makes the relay's service reachable on this namespace's own loopback: without TLS, clients speak to no
/// other address.
async fn reach() {
    // A second program here uses what the first has made.
    let Ok(listener) = TcpListener::bind(HERE).await else { return };
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut far) = TcpStream::connect(SERVICE).await {
                    let _reset = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
}

/// Returns when whoever started this program closes its standard input.
async fn asked_to_end() {
    let mut rest = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}

/// The service on the router. In a new namespace every port is free.
const SERVICE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 1, 1)), 9443);
/// The same as each namespace sees it.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9443);
