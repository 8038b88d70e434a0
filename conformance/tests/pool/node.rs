//! Nodes of a pool, a Redis, and one address before all control planes.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lifeguard_relay::{
    ControlPlane, Relay, RelayConfig, app,
    beach_lifeguard_client::CloseCode,
    control::{ControlConfig, TokenKeys},
    kill_switch::KillSwitch,
    listen::{self, Connections, ListenConfig},
    relay::{Admission, Rate},
    store::{RedisStore, Store},
    telemetry::metrics::Metrics,
    tokio_util::{sync::CancellationToken, task::TaskTracker},
};
use parking_lot::Mutex;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

/// Debian's `redis-server` on a free port, gone with the test.
pub(crate) struct Redis {
    process: Child,
    pub(crate) url: String,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let port = StdListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let process = command.stdout(Stdio::null()).spawn().expect("Debian's redis-server is installed");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let redis = Self { process, url: format!("redis://{address}/0") };
        for _ in 0..250 {
            if std::net::TcpStream::connect(address).is_ok() {
                return redis;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not start");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A relay and a control plane on one port, with threads of their own: what ends with them ends at once.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
    relay: Relay,
    stop: CancellationToken,
}

impl Node {
    pub(crate) fn start(redis: &Redis, keys: &TokenKeys) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let _inside = runtime.enter();
        let store: Arc<dyn Store> = Arc::new(RedisStore::open(&redis.url).expect("a URL"));
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = listener.local_addr().expect("it");
        let (metrics, stop) = (Arc::new(Metrics::new()), CancellationToken::new());
        let kill_switch = KillSwitch::new(Some(store.clone()));
        runtime.spawn(kill_switch.clone().follow(metrics.clone(), stop.clone()));
        let mut config = RelayConfig::default();
        config.public_url = Some(format!("ws://{address}/v2/ws"));
        config.limits.address_connections = Rate::UNLIMITED;
        config.drain.grace = Duration::from_millis(500);
        config.drain.spread = Duration::from_secs(1);
        let admission = Admission::new(keys.verifier(), store.clone(), kill_switch.clone());
        let relay = Relay::new(config, admission, metrics.clone());
        let control = ControlPlane::new(
            ControlConfig::development(),
            store,
            keys.clone(),
            metrics,
            kill_switch,
            stop.clone(),
        );
        let routes = app::public(relay.router().merge(control.router()), app::relay_readiness(&relay));
        let connections = Connections::new(listen::Caps::default());
        let serving = listen::serve(
            listener,
            None,
            routes,
            ListenConfig::default(),
            connections,
            stop.clone(),
            TaskTracker::new(),
        );
        runtime.spawn(serving);
        Self { address, runtime: Some(runtime), relay, stop }
    }

    /// Ends as a deployment does: everybody is told, then closed.
    pub(crate) async fn drain(&self) {
        let (relay, stop) = (self.relay.clone(), self.stop.clone());
        let runtime = self.runtime.as_ref().expect("it lives");
        let draining = runtime.spawn(async move {
            relay.drain(CloseCode::RESTART).await;
            relay.shutdown(CloseCode::RESTART).await;
            stop.cancel();
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
