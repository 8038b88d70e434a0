//! Nodes of a pool, and one address before all control planes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lifeguard_relay::{
    Dev, DevConfig, beach_lifeguard_client::CloseCode, control::TokenKeys, store::RedisStore,
};
use parking_lot::Mutex;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use super::redis::Redis;

/// A relay and a control plane on one port, with a thread of their own: what ends with it ends at once.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
    dev: Arc<Dev>,
}

impl Node {
    pub(crate) async fn start(redis: &Redis, keys: &TokenKeys) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let (store, keys) = (Arc::new(RedisStore::open(&redis.url()).expect("a URL")), keys.clone());
        let mut config = DevConfig::default();
        config.pooled = true;
        config.relay.drain.grace = Duration::from_millis(500);
        config.relay.drain.spread = Duration::from_secs(1);
        let starting = runtime.spawn(Dev::start_with(config, store, keys));
        let dev = starting.await.expect("no panic").expect("a node");
        let address = dev.public_url().trim_start_matches("http://").parse().expect("an address");
        Self { address, runtime: Some(runtime), dev: dev.into() }
    }

    /// Ends as a deployment does: everybody is told, then closed.
    pub(crate) async fn drain(self) {
        let dev = self.dev.clone();
        let runtime = self.runtime.as_ref().expect("it lives");
        let draining = runtime.spawn(async move {
            dev.relay().drain(CloseCode::RESTART).await;
            dev.relay().shutdown(CloseCode::RESTART).await;
        });
        draining.await.expect("it ends");
    }
}

/// Dropped, it is killed: nothing of it says goodbye.
impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One address before several: each connection goes to the next of them that answers.
pub(crate) struct RoundRobin {
    pub(crate) url: String,
    nodes: Arc<Mutex<Vec<SocketAddr>>>,
}

impl RoundRobin {
    pub(crate) async fn before(nodes: &[Node]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it"));
        let nodes = Arc::new(Mutex::new(nodes.iter().map(|node| node.address).collect::<Vec<_>>()));
        let (turn, all) = (Arc::new(AtomicUsize::new(0)), nodes.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (turn, all) = (turn.clone(), all.clone());
                tokio::spawn(async move {
                    for _ in 0..4 {
                        let next = {
                            let all = all.lock();
                            all[turn.fetch_add(1, Ordering::Relaxed) % all.len()]
                        };
                        if let Ok(mut node) = TcpStream::connect(next).await {
                            let _ = copy_bidirectional(&mut client, &mut node).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { url, nodes }
    }

    /// Another node takes this one's place.
    pub(crate) fn replace(&self, old: SocketAddr, new: SocketAddr) {
        for node in self.nodes.lock().iter_mut().filter(|node| **node == old) {
            *node = new;
        }
    }
}
