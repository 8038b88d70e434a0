//! The service under test: its processes, and the ways between them.

mod balancer;
mod lines;
mod node;
mod process;
#[path = "../../../../lifeguard-relay/tests/control_support/redis.rs"]
#[allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    reason = "a test's support"
)]
pub mod redis;
#[path = "../../../../lifeguard-relay/tests/control_support/redis_many.rs"]
#[allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    reason = "a test's support"
)]
pub mod redis_many;
mod store;

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    process::Command,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::sleep;

pub use balancer::Balancer;
pub use lines::{Lines, Way};
pub use node::{Node, Stats, request};
pub use store::Store;

use self::{node::Common, process::Process};

/// How the service is set up.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Plan {
    /// What stands before all nodes.
    pub balancer: Balancer,
    /// Whether it lets relays' WebSockets through; clients come over HTTP otherwise.
    pub websockets: bool,
    /// Whether Redis is a master that a Sentinel watches. Nodes find it by themselves then, not by a line that can be cut.
    pub watched: bool,
    /// Whether relays are of a pool, or one is named to all clients by the control plane and owns nothing.
    pub pooled: bool,
    /// How many relays, three at most.
    pub relays: usize,
    /// How long a drained client may take until it leaves, and over which time they are spread; the program's own default if none.
    pub drain: Option<[Duration; 2]>,
}

impl Default for Plan {
    /// Three relays behind nginx, one Redis.
    fn default() -> Self {
        Self {
            balancer: Balancer::Nginx,
            websockets: true,
            watched: false,
            pooled: true,
            relays: 3,
            drain: None,
        }
    }
}

/// Redis, relays, two control planes and a load balancer. All end with it.
#[derive(Debug)]
pub struct Service {
    /// All of one public address, each with an internal one.
    pub relays: Vec<Node>,
    /// Two.
    pub planes: Vec<Node>,
    /// What all nodes share.
    pub store: Store,
    address: SocketAddr,
    _balancer: Process,
    _folder: TempDir,
}

impl Service {
    /// Starts everything, and waits until control planes know all relays.
    pub async fn start(plan: Plan) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let store = Store::start(plan.watched);
        let program = process::lifeguard();
        let key = path("key.pem");
        let made = Command::new(&program).args(["keys", "generate", "--id", "pool", "--out", &key]).output();
        let public = String::from_utf8(made.expect("keys are made").stdout).expect("a key in text");
        let pool_key = path("pool.key");
        std::fs::write(&pool_key, "0123456789abcdef".repeat(4)).expect("a file");

        let mut free = free_addresses(1 + 3 * plan.relays + 2 * PLANES).into_iter();
        let mut next = || free.next().expect("as many as there are processes");
        let address = next();
        let relay_url = format!("ws://{address}/v2/ws");
        let common = Common { program: &program, store: &store };
        let mut relays = Vec::new();
        for _ in 0..plan.relays {
            let (listen, admin, internal) = (next(), next(), next());
            let lines = Lines::open(listen, Some(internal), store.address()).await;
            // One address plays all clients here.
            let mut own = vec![
                ("--tokens-public-keys", public.trim().to_owned()),
                ("--limits-address-connections", "0".to_owned()),
            ];
            if plan.pooled {
                own.extend([
                    ("--pool-relay-url", relay_url.clone()),
                    ("--pool-internal-listen-addr", internal.to_string()),
                    ("--pool-internal-address", lines.internal().to_string()),
                    ("--pool-internal-key-file", pool_key.clone()),
                ]);
            }
            if let Some([grace, spread]) = plan.drain {
                own.push(("--relay-shutdown-grace", format!("{}ms", grace.as_millis())));
                own.push(("--relay-drain-spread", format!("{}ms", spread.as_millis())));
            }
            relays.push(Node::start(common, "serve", own, [listen, admin], lines));
        }
        let mut planes = Vec::new();
        for _ in 0..PLANES {
            let (listen, admin) = (next(), next());
            let mut own = vec![
                ("--tokens-key-id", "pool".to_owned()),
                ("--tokens-signing-key-file", key.clone()),
                ("--control-fallback-ws-enabled", "true".to_owned()),
                ("--control-requests-per-second", "0".to_owned()),
            ];
            if !plan.pooled {
                own.push(("--control-relay-url", relay_url.clone()));
            }
            let lines = Lines::open(listen, None, store.address()).await;
            planes.push(Node::start(common, "control-plane", own, [listen, admin], lines));
        }
        let public = |nodes: &[Node]| nodes.iter().map(Node::public).collect::<Vec<_>>();
        let (relays_at, planes_at) = (public(&relays), public(&planes));
        let balancer = plan.balancer.start(plan.websockets, folder.path(), address, &relays_at, &planes_at);
        for node in relays.iter().chain(&planes) {
            node.listens().await;
        }
        process::listens(address).await;
        let service = Self { relays, planes, store, address, _balancer: balancer, _folder: folder };
        sleep(UNTIL_KNOWN).await;
        service
    }

    /// Where clients come.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where they come, as an address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What each relay that answers says of itself, by its place in the list.
    pub async fn stats(&self) -> Vec<(usize, Stats)> {
        let asked = self.relays.iter().map(Node::stats);
        let answers = futures::future::join_all(asked).await;
        answers.into_iter().enumerate().filter_map(|(place, stats)| Some((place, stats?))).collect()
    }

    /// The relay that most peers are on.
    pub async fn busiest(&self) -> usize {
        let stats = self.stats().await;
        stats.iter().max_by_key(|(_, stats)| stats.peers).expect("a relay answers").0
    }

    /// Waits until this many peers are left on all relays, and no relay still closes a socket that it passed on.
    pub async fn is_left_with(&self, peers: u64) {
        let began = Instant::now();
        loop {
            let stats = self.stats().await;
            let sum = |of: fn(&Stats) -> u64| stats.iter().map(|(_, stats)| of(stats)).sum::<u64>();
            if sum(|stats| stats.peers) == peers
                && sum(|stats| stats.passed_on) == sum(|stats| stats.passed_here)
            {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "not {peers} peers: {stats:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Free ports that nobody else is given: neither another service of this process, nor a connection while a node is away or not
/// there yet. The kernel takes a connection's port from 32768 on (`net.ipv4.ip_local_port_range`).
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock();
    let mut free = Vec::new();
    while free.len() < count {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(10_000..32_768)));
        if TcpListener::bind(address).is_ok() && given.insert(address.port()) {
            free.push(address);
        }
    }
    free
}

const PLANES: usize = 2;
/// Relays say each second that they are there, and control planes look each second.
const UNTIL_KNOWN: Duration = Duration::from_secs(3);
