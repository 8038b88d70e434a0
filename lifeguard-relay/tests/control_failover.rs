//! A Redis whose master becomes another server: demoted while its connections live, or dead.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use control_support::{
    redis::Redis,
    redis_many::{Cluster, Watched},
    until,
};
use lifeguard_relay::store::{RedisStore, Store};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(60);

/// One address before two servers, as a managed service has it: new connections go to the master of the moment, old
/// ones stay where they are.
async fn address_before(master: Arc<AtomicU16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let master = master.load(Relaxed);
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(("127.0.0.1", master)).await {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn the_store_follows_a_demotion_within_two_seconds_although_its_connections_live() {
    let (old, new) = (Redis::start(), Redis::start());
    let master = Arc::new(AtomicU16::new(old.port()));
    let store = RedisStore::open(&address_before(master.clone()).await).unwrap();
    assert_eq!(store.spend_nonce([1; 16], LONG).await, Ok(true));

    let demoted = Instant::now();
    master.store(new.port(), Relaxed);
    old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    until("it writes to the new master", async || store.spend_nonce([2; 16], LONG).await.is_ok()).await;
    let away = demoted.elapsed();
    assert!(away < Duration::from_secs(2), "{away:?}");
    assert_eq!(new.cli(&["DBSIZE"]), ["1"]);
}

/// Waits until each of many keys is written, and says how long that took since `stands`.
async fn written(store: &RedisStore, stands: Instant, round: u8) -> Duration {
    for n in 0..32 {
        let nonce = [n, round, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
        until("it writes again", async || store.spend_nonce(nonce, LONG).await.is_ok()).await;
    }
    stands.elapsed()
}

/// Goes on asking, as a node does, until `stands` says that there is a new master; then until it is asked.
async fn follows(store: &RedisStore, what: &str, mut stands: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !stands() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}: no new master within 30 s");
        let _ = store.spend_nonce([9; 16], LONG).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (stood, back) = (begin.elapsed(), written(store, Instant::now(), 1).await);
    println!("{what}: a new master stood after {stood:?}, all keys were written {back:?} later");
    assert!(back < Duration::from_secs(2), "{what}: {back:?}");
}

#[tokio::test]
async fn the_store_follows_a_sentinel_to_the_replica_of_a_dead_master() {
    let mut redis = Watched::start();
    let store = RedisStore::open(&redis.url()).unwrap();
    written(&store, Instant::now(), 0).await;
    redis.servers[0].kill();
    follows(&store, "sentinel, master killed", || redis.master() == 1).await;
    assert_ne!(redis.servers[1].cli(&["DBSIZE"]), ["0"]);
}

#[tokio::test]
async fn the_store_follows_a_sentinel_away_from_a_demoted_master_that_lives() {
    let redis = Watched::start();
    let store = RedisStore::open(&redis.url()).unwrap();
    written(&store, Instant::now(), 0).await;
    redis.demote();
    follows(&store, "sentinel, master demoted", || redis.master() == 1).await;
    assert_eq!(redis.servers[1].cli(&["ROLE"])[0], "master");
}

#[tokio::test]
async fn the_store_follows_a_cluster_whose_master_died() {
    let mut redis = Cluster::start();
    let store = RedisStore::open(&redis.url()).unwrap();
    written(&store, Instant::now(), 0).await;
    redis.servers[0].kill();
    follows(&store, "cluster, master killed", || redis.has_failed_over()).await;
}
