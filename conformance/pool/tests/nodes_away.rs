//! Behind nginx and HAProxy as `lifeguard-relay/deploy` sets them up, a node that was away, or is about to go, stands in nobody's way.

use std::time::{Duration, Instant};

use pool::{
    crowd::{Ends, relayed},
    service::{Balancer, Node, Plan, Service, request},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_takes_everybody_once_it_is_there_again() {
    let mut service = Service::start(Plan::default()).await;
    service.relays[0].kill();
    for _ in 0..RELAYS {
        assert_eq!(ask(&service).await, UPGRADE_REQUIRED, "the others answer");
    }
    service.relays[0].restart().await;
    sleep(Duration::from_secs(3)).await;
    // A socket or two for each, and each lasts.
    let mut sockets = Vec::new();
    for _ in 0..2 * RELAYS {
        sockets.push(open_socket(&service).await);
    }
    service.relays[1].kill();
    service.relays[2].kill();
    for _ in 0..RELAYS {
        assert_eq!(ask(&service).await, UPGRADE_REQUIRED, "the one that is there answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_a_node_that_drains_lets_clients_over_http_go_to_another_and_their_uploads_follow() {
    clients_over_http_go_elsewhere(Balancer::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_a_node_that_drains_lets_clients_over_http_go_to_another_and_their_uploads_follow() {
    clients_over_http_go_elsewhere(Balancer::Haproxy).await;
}

async fn clients_over_http_go_elsewhere(balancer: Balancer) {
    let mut plan = Plan::default();
    plan.balancer = balancer;
    plan.websockets = false;
    plan.drain = Some([Duration::from_millis(500), Duration::from_millis(500)]);
    let service = Service::start(plan).await;
    let pair = Ends::meet(&service.url(), relayed()).await;
    pair.talk("before").await;
    // All clients of one address come by one of them, whoever owns the session.
    for relay in &service.relays {
        relay.command("drain-node").await;
        is_left(relay).await;
        let empty = Instant::now();
        pair.talk("elsewhere").await;
        assert!(empty.elapsed() < Duration::from_secs(8), "back after {:.1?}", empty.elapsed());
        relay.command("resume-node").await;
    }
    pair.end().await;
}

/// Waits until nobody is on a node that drains, and it passes nobody on.
async fn is_left(relay: &Node) {
    let began = Instant::now();
    while relay.stats().await.is_none_or(|stats| stats.peers + stats.passed_on > 0) {
        assert!(began.elapsed() < Duration::from_secs(30), "somebody stays: {:?}", relay.stats().await);
        sleep(Duration::from_millis(20)).await;
    }
}

/// The status that whichever relay gives a request that is no WebSocket's.
async fn ask(service: &Service) -> u16 {
    status(&request(service.address(), "GET", "/v2/ws", "").await.expect("nginx answers"))
}

/// A WebSocket that says nothing, so that it lasts until the relay's deadline for a hello.
async fn open_socket(service: &Service) -> TcpStream {
    let mut socket = TcpStream::connect(service.address()).await.expect("nginx listens");
    let upgrade = "GET /v2/ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   sec-websocket-protocol: beach-lifeguard.v2\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.expect("it takes it");
    let mut answer = [0; 512];
    let length = socket.read(&mut answer).await.expect("it answers");
    assert_eq!(status(&String::from_utf8_lossy(&answer[..length])), 101);
    socket
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

const RELAYS: usize = 3;
const UPGRADE_REQUIRED: u16 = 426;
