//! Several relays that share a Redis: each session has one of them, and another one when that drains, dies or is left.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;
mod relay_support;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use beach_lifeguard_client::{CloseCode, SUBPROTOCOL, api::TokenResponse};
use control_support::{
    plane::{Person, Plane},
    redis::Redis,
    until,
};
use lifeguard_relay::{
    control::{ControlConfig, TokenKeys},
    store::RedisStore,
};
use relay_support::{Client, hello};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

/// One node of both kinds.
async fn node(url: &str, keys: &TokenKeys, region: &'static str) -> Plane {
    let store = Arc::new(RedisStore::open(url).unwrap());
    let mut config = ControlConfig::development();
    config.region = region.to_owned();
    Plane::node(config, store, keys.clone(), |address, relay| {
        relay.public_url = Some(format!("ws://{address}/v2/ws"));
        relay.region = region.to_owned();
        relay.drain.spread = Duration::from_millis(100);
    })
    .await
}

/// Nodes that know each other's relays.
async fn pool(redis: &Redis, nodes: usize) -> Vec<Plane> {
    let keys = TokenKeys::generate(ControlConfig::development().issuer).unwrap();
    let mut planes = Vec::new();
    for _ in 0..nodes {
        planes.push(node(&redis.url(), &keys, "").await);
    }
    for plane in &planes {
        until("every relay is known", async || offered(plane).await.len() == nodes).await;
    }
    planes
}

/// Where a control plane sends new sessions.
async fn offered(plane: &Plane) -> HashSet<SocketAddr> {
    let mut relays = HashSet::new();
    for _ in 0..24 {
        let host = plane.session().await;
        relays.insert(relay_of(&host.token(plane).await));
    }
    relays
}

fn relay_of(token: &TokenResponse) -> SocketAddr {
    let url: Url = token.relay_url.as_deref().unwrap().parse().unwrap();
    SocketAddr::new(url.host_str().unwrap().parse().unwrap(), url.port().unwrap())
}

/// A socket to `relay` that has shown its token.
async fn knock(relay: SocketAddr, person: &Person, token: TokenResponse) -> Client {
    let mut client =
        Client::connect(relay, "/v2/ws", &[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap();
    let hello = hello(person.session, person.peer, person.role, token.token);
    client.say(Message::text(hello.encode())).await;
    client
}

async fn enter(plane: &Plane, person: &Person) -> (SocketAddr, Client) {
    let token = person.token(plane).await;
    let relay = relay_of(&token);
    let mut client = knock(relay, person, token).await;
    client.welcome().await;
    (relay, client)
}

fn owner(planes: &[Plane], relay: SocketAddr) -> &Plane {
    planes.iter().find(|plane| plane.address == relay).unwrap()
}

#[tokio::test]
async fn everybody_of_a_session_is_sent_to_one_relay_and_sessions_spread_over_all() {
    let redis = Redis::start();
    let planes = pool(&redis, 3).await;
    let mut sessions: HashMap<SocketAddr, usize> = HashMap::new();
    for n in 0..30 {
        let host = planes[n % 3].session().await;
        let sent: HashSet<_> = {
            let mut sent = HashSet::new();
            for (n, person) in [host.clone(), host.viewer(), host.viewer(), host].iter().enumerate() {
                sent.insert(relay_of(&person.token(&planes[n % 3]).await));
            }
            sent
        };
        assert_eq!(sent.len(), 1);
        *sessions.entry(sent.into_iter().next().unwrap()).or_default() += 1;
    }
    assert_eq!(sessions.len(), 3, "{sessions:?}");
}

#[tokio::test]
async fn members_meet_on_the_owner_and_a_drain_gives_the_session_to_another_at_once() {
    let redis = Redis::start();
    let planes = pool(&redis, 3).await;
    let host = planes[0].session().await;
    let viewer = host.viewer();
    let (relay, mut hosts) = enter(&planes[0], &host).await;
    let (same, viewers) = enter(&planes[1], &viewer).await;
    assert_eq!(same, relay);
    assert_eq!(viewers.welcome.as_ref().unwrap().peers.len(), 1, "it meets the host");
    drop(viewers);

    let drained = owner(&planes, relay).relay.clone();
    let draining = tokio::spawn(async move { drained.drain(CloseCode::RESTART).await });
    let began = Instant::now();
    let mut moved = relay;
    while moved == relay {
        assert!(began.elapsed() < Duration::from_secs(3), "still sent to the relay that drains");
        moved = relay_of(&viewer.token(&planes[2]).await);
    }
    for plane in &planes {
        assert_eq!(relay_of(&host.token(plane).await), moved, "everybody is sent to the same new one");
    }
    assert_eq!(hosts.closed().await.0, 4012);
    draining.await.unwrap();
}

#[tokio::test]
async fn a_relay_that_is_gone_loses_its_sessions_within_five_seconds() {
    let redis = Redis::start();
    let mut planes = pool(&redis, 2).await;
    let host = planes[0].session().await;
    let (relay, _socket) = enter(&planes[0], &host).await;
    let at = planes.iter().position(|plane| plane.address == relay).unwrap();
    // It says nothing any more: not even that it is not ready.
    let gone = planes.remove(at);
    gone.relay.shutdown(CloseCode::RESTART).await;
    drop(gone);
    let began = Instant::now();
    until("another relay has it", async || relay_of(&host.token(&planes[0]).await) == planes[0].address)
        .await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let (_, _socket) = enter(&planes[0], &host).await;
}

#[tokio::test]
async fn who_comes_to_a_relay_that_lost_the_session_is_sent_on() {
    let redis = Redis::start();
    let planes = pool(&redis, 2).await;
    let host = planes[0].session().await;
    let (early, late) = (host.viewer(), host.viewer());
    let token = early.token(&planes[0]).await;
    let (old, new) = {
        let old = relay_of(&token);
        (owner(&planes, old), planes.iter().find(|plane| plane.address != old).unwrap())
    };
    let drained = old.relay.clone();
    drained.drain(CloseCode::RESTART).await;
    until("the session has another relay", async || relay_of(&late.token(new).await) == new.address).await;
    drained.resume();
    let refused = knock(old.address, &early, token).await.closed().await;
    assert_eq!(refused, (4012, "moved".to_owned()));
    assert_eq!(old.metrics.read("beach_lifeguard_handshakes_failure", &["moved"]), 1);
    let (relay, _socket) = enter(old, &early).await;
    assert_eq!(relay, new.address);
}

#[tokio::test]
async fn a_new_session_goes_to_a_relay_of_the_region_it_was_asked_for_in() {
    let redis = Redis::start();
    let keys = TokenKeys::generate(ControlConfig::development().issuer).unwrap();
    let (east, west) = (node(&redis.url(), &keys, "east").await, node(&redis.url(), &keys, "west").await);
    for here in [&east, &west] {
        until("its own relay is known", async || offered(here).await == HashSet::from([here.address])).await;
    }
    let host = east.session().await;
    assert_eq!(relay_of(&host.token(&east).await), east.address);
    assert_eq!(relay_of(&host.viewer().token(&west).await), east.address, "the session stays where it is");
}

#[tokio::test]
async fn while_the_store_is_away_those_inside_stay_and_a_token_that_was_minted_opens() {
    let redis = Redis::start();
    let planes = pool(&redis, 2).await;
    let host = planes[0].session().await;
    let (relay, mut hosts) = enter(&planes[0], &host).await;
    let viewer = host.viewer();
    let token = viewer.token(&planes[1]).await;
    redis.signal("-STOP");
    let mut viewers = knock(relay, &viewer, token).await;
    viewers.welcome().await;
    hosts.say(Message::Ping(Vec::new().into())).await;
    redis.signal("-CONT");
    until("the owner is known again", async || {
        let (status, answer) = planes[1].post("/v1/fallback/token", &viewer.request()).await;
        let known = (status == 200).then(|| serde_json::from_value(answer).unwrap());
        known.is_some_and(|token| relay_of(&token) == relay)
    })
    .await;
}
