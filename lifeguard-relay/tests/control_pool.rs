//! Several control planes that share a Redis: a session does not care which of them each of its members came to.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use beach_lifeguard_client::{
    Role,
    signaling::{FromRoom, MAX_ENVELOPE_BYTES, RoomPeer},
};
use bytes::Bytes;
use control_support::{
    member::Socket,
    plane::{Person, Plane},
    redis::Redis,
    until,
};
use lifeguard_relay::{control::ControlConfig, store::RedisStore};

/// Nodes of one deployment, once each knows all of them.
async fn pool(redis: &Redis, nodes: usize) -> Vec<Plane> {
    let mut planes = Vec::new();
    for _ in 0..nodes {
        let store = RedisStore::open(&redis.url()).unwrap();
        planes.push(Plane::with(ControlConfig::development(), Arc::new(store)).await);
    }
    for plane in &planes {
        until("the nodes know each other", async || known(plane) == nodes as u64).await;
    }
    planes
}

fn known(plane: &Plane) -> u64 {
    plane.metrics.read("beach_pool_nodes", &[])
}

fn joined(person: &Person) -> FromRoom {
    FromRoom::PeerJoined(RoomPeer { peer_id: person.peer, role: person.role })
}

fn left(person: &Person) -> FromRoom {
    FromRoom::PeerLeft { peer_id: person.peer }
}

fn envelope(from: &Person, data: &[u8]) -> FromRoom {
    FromRoom::Envelope { from: from.peer, data: Bytes::copy_from_slice(data) }
}

#[tokio::test]
async fn members_meet_through_any_two_nodes_and_hear_each_other_in_order() {
    let redis = Redis::start();
    let planes = pool(&redis, 3).await;
    for at_host in &planes {
        for at_viewer in &planes {
            let host = at_host.session().await;
            let viewer = host.viewer();
            let (mut hosts, present) = Socket::enter(at_host, &host).await;
            assert!(present.is_empty());
            let (mut viewers, present) = Socket::enter(at_viewer, &viewer).await;
            assert_eq!(present, [RoomPeer { peer_id: host.peer, role: Role::Host }]);
            assert_eq!(hosts.hear().await, joined(&viewer));
            let largest: Vec<u8> = (0..MAX_ENVELOPE_BYTES).map(|n| n as u8).collect();
            viewers.send(&host, &largest).await;
            assert_eq!(hosts.hear().await, envelope(&viewer, &largest));
            for n in 0..50_u8 {
                hosts.send(&viewer, &[n]).await;
            }
            for n in 0..50_u8 {
                assert_eq!(viewers.hear().await, envelope(&host, &[n]));
            }
            drop(viewers);
            assert_eq!(hosts.hear().await, left(&viewer));
            hosts.send(&viewer, b"x").await;
            assert_eq!(hosts.hear().await, FromRoom::Undelivered { to: viewer.peer });
        }
    }
}

#[tokio::test]
async fn the_newest_socket_of_a_peer_wins_on_whichever_node_it_is() {
    let redis = Redis::start();
    let planes = pool(&redis, 2).await;
    let host = planes[0].session().await;
    let viewer = host.viewer();
    let (mut hosts, _) = Socket::enter(&planes[0], &host).await;
    let (mut older, _) = Socket::enter(&planes[0], &viewer).await;
    assert_eq!(hosts.hear().await, joined(&viewer));
    let (mut newer, _) = Socket::enter(&planes[1], &viewer).await;
    assert_eq!(older.closed().await, (4003, "superseded".to_owned()));
    assert_eq!(hosts.hear().await, joined(&viewer), "and nothing between: it never left");
    hosts.send(&viewer, b"to the newer").await;
    assert_eq!(newer.hear().await, envelope(&host, b"to the newer"));
}

#[tokio::test]
async fn a_revocation_shows_out_on_every_node_within_two_seconds() {
    let redis = Redis::start();
    let planes = pool(&redis, 3).await;
    let host = planes[0].session().await;
    let (one, other) = (host.viewer(), host.viewer());
    let (mut hosts, _) = Socket::enter(&planes[0], &host).await;
    let (mut ones, _) = Socket::enter(&planes[1], &one).await;
    let (mut others, _) = Socket::enter(&planes[2], &other).await;
    let began = Instant::now();
    let mut document = host.document(2);
    document.removed.push(one.peer);
    // Through a node on which nobody of the session is.
    assert_eq!(planes[2].publish(&document.sign(&host.host)).await.0, 200);
    assert_eq!(ones.closed().await, (4500, "peer_removed".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    document.revision = 3;
    document.links.clear();
    assert_eq!(planes[1].publish(&document.sign(&host.host)).await.0, 200);
    assert_eq!(others.closed().await, (4500, "link_revoked".to_owned()));
    let heard = [hosts.hear().await, hosts.hear().await, hosts.hear().await, hosts.hear().await];
    assert_eq!(heard, [joined(&one), joined(&other), left(&one), left(&other)]);
}

#[tokio::test]
async fn places_of_a_link_are_counted_over_all_nodes() {
    let redis = Redis::start();
    let planes = pool(&redis, 2).await;
    let host = planes[0].session().await;
    let mut inside = Vec::new();
    for n in 0..64 {
        inside.push(Socket::enter(&planes[n % 2], &host.viewer()).await.0);
    }
    let refused = Socket::refused(&planes[1], &host.viewer()).await;
    assert_eq!(refused, (4029, "link_full".to_owned()));
    assert_eq!(inside.len(), 64);
}

#[tokio::test]
async fn a_node_that_stops_takes_its_members_along_and_they_come_back_through_another() {
    let redis = Redis::start();
    let planes = pool(&redis, 2).await;
    let host = planes[0].session().await;
    let viewer = host.viewer();
    let (mut hosts, _) = Socket::enter(&planes[0], &host).await;
    let (mut viewers, _) = Socket::enter(&planes[1], &viewer).await;
    assert_eq!(hosts.hear().await, joined(&viewer));
    planes[1].stop();
    assert_eq!(viewers.closed().await, (4012, "restart".to_owned()));
    assert_eq!(hosts.hear().await, left(&viewer), "said by the node before it ended");
    let (_viewers, present) = Socket::enter(&planes[0], &viewer).await;
    assert_eq!(present, [RoomPeer { peer_id: host.peer, role: Role::Host }]);
    until("the node is gone", async || known(&planes[0]) == 1).await;
}

#[tokio::test]
async fn a_node_that_is_killed_is_gone_within_twelve_seconds() {
    let redis = Redis::start();
    let planes = pool(&redis, 1).await;
    let (host, url) = (planes[0].session().await, redis.url());
    let (mut hosts, _) = Socket::enter(&planes[0], &host).await;
    let viewer = host.viewer();
    let killed = tokio::task::spawn_blocking({
        let viewer = viewer.clone();
        move || {
            let node = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let inside = node.block_on(async {
                let store = RedisStore::open(&url).unwrap();
                let plane = Plane::with(ControlConfig::development(), Arc::new(store)).await;
                until("it is a node", async || known(&plane) == 2).await;
                let (socket, present) = Socket::enter(&plane, &viewer).await;
                assert_eq!(present.len(), 1);
                (plane, socket)
            });
            // Nothing of it runs any more, so nothing says goodbye.
            node.shutdown_background();
            std::mem::forget(inside);
            Instant::now()
        }
    })
    .await
    .unwrap();
    assert_eq!(hosts.hear().await, joined(&viewer));
    let mut news = None;
    while news.is_none() && killed.elapsed() < Duration::from_secs(15) {
        news = hosts.heard_within(Duration::from_secs(1)).await;
    }
    assert_eq!(news, Some(left(&viewer)));
    assert!(killed.elapsed() < Duration::from_secs(12), "{:?}", killed.elapsed());
    assert_eq!(known(&planes[0]), 1);
}

#[tokio::test]
async fn after_an_outage_of_the_store_the_nodes_agree_again_and_nobody_was_closed() {
    let mut redis = Redis::start();
    let planes = pool(&redis, 2).await;
    let host = planes[0].session().await;
    let (near, far) = (host.viewer(), host.viewer());
    let (mut hosts, _) = Socket::enter(&planes[0], &host).await;
    let (mut nears, _) = Socket::enter(&planes[0], &near).await;
    let (mut fars, _) = Socket::enter(&planes[1], &far).await;
    assert_eq!([hosts.hear().await, hosts.hear().await], [joined(&near), joined(&far)]);
    redis.kill();
    // Who is on the same node is not concerned.
    nears.send(&host, b"near").await;
    assert_eq!(hosts.hear().await, envelope(&near, b"near"));
    hosts.send(&far, b"lost").await;
    assert_eq!(hosts.hear().await, FromRoom::Undelivered { to: far.peer });
    // Nobody hears of it while the store is away.
    drop(nears);
    assert_eq!(hosts.hear().await, left(&near));
    redis.restart();
    let mut told = Vec::new();
    until("an envelope arrives again", async || {
        hosts.send(&far, b"again").await;
        while let Some(news) = fars.heard_within(Duration::from_millis(200)).await {
            told.push(news);
        }
        told.contains(&envelope(&host, b"again"))
    })
    .await;
    until("what was missed is made up for", async || {
        told.extend(fars.heard_within(Duration::from_millis(200)).await);
        told.contains(&left(&near))
    })
    .await;
    assert!(!told.contains(&left(&host)), "whose seat the store forgot has not left");
}
