//! A Redis that is demoted while its connections live: what Sentinel, a managed service or an operator does.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use control_support::{redis::Redis, until};
use lifeguard_relay::store::{RedisStore, Store};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

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

fn port(redis: &Redis) -> u16 {
    Url::parse(&redis.url()).unwrap().port().unwrap()
}

#[tokio::test]
async fn the_store_follows_a_demotion_within_two_seconds_although_its_connections_live() {
    let (old, new) = (Redis::start(), Redis::start());
    let master = Arc::new(AtomicU16::new(port(&old)));
    let store = RedisStore::open(&address_before(master.clone()).await).unwrap();
    assert_eq!(store.spend_nonce([1; 16], LONG).await, Ok(true));

    let demoted = Instant::now();
    master.store(port(&new), Relaxed);
    old.cli(&["REPLICAOF", "127.0.0.1", &port(&new).to_string()]);
    until("it writes to the new master", async || store.spend_nonce([2; 16], LONG).await.is_ok()).await;
    let away = demoted.elapsed();
    assert!(away < Duration::from_secs(2), "{away:?}");
    assert_eq!(new.cli(&["DBSIZE"]), ["1"]);
}
