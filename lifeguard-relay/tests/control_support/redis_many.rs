//! Several Redis servers that are one: a master that a Sentinel watches, and a Cluster. From Debian's package, on free
//! ports, gone with the test.

use std::{
    fs,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::redis::{Redis, free_port};

/// A master with a replica, and a Sentinel that makes the replica master when the master is silent for half a second. One
/// Sentinel decides alone: how several agree is theirs to test.
pub struct Watched {
    pub servers: Vec<Redis>,
    sentinel: Redis,
    /// Where the Sentinel keeps what it learns.
    _folder: TempDir,
}

impl Watched {
    pub fn start() -> Self {
        let start = || Redis::start_with(&["--requirepass", PASSWORD, "--masterauth", PASSWORD], &ENTRY);
        let servers = vec![start(), start()];
        let port = servers[0].port().to_string();
        servers[1].cli(&["REPLICAOF", "127.0.0.1", &port]);
        wait("the replica follows", || {
            servers[1].cli(&["INFO", "replication"]).iter().any(|line| line == "master_link_status:up")
        });
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("sentinel.conf");
        let words = format!(
            "bind 127.0.0.1\nrequirepass {WATCHWORD}\nsentinel monitor beach 127.0.0.1 {port} 1\n\
             sentinel auth-pass beach {PASSWORD}\nsentinel down-after-milliseconds beach 500\n\
             sentinel failover-timeout beach 5000\n"
        );
        fs::write(&config, words).unwrap();
        let options = [config.to_str().unwrap(), "--sentinel", "--port", "PORT"];
        let sentinel = Redis::start_with(&options, &["-a", WATCHWORD, "--no-auth-warning"]);
        wait("the sentinel knows the replica", || {
            sentinel.cli(&["SENTINEL", "REPLICAS", "beach"]).iter().any(|line| line == "ip")
        });
        Self { servers, sentinel, _folder: folder }
    }

    /// The first Sentinel of it is one that is away.
    pub fn url(&self) -> String {
        let (away, port) = (free_port(), self.sentinel.port());
        format!(
            "redis+sentinel://:{PASSWORD}@127.0.0.1:{away},127.0.0.1:{port}/beach?sentinel_password={WATCHWORD}"
        )
    }

    /// Which server is the master, by the Sentinel's word.
    pub fn master(&self) -> usize {
        let named = self.sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "beach"]);
        self.servers.iter().position(|server| server.port().to_string() == named[1]).unwrap()
    }

    /// Makes the replica master although the master is well.
    pub fn demote(&self) {
        // It refuses while it has not heard of the replica for a while.
        wait("the sentinel begins", || self.sentinel.cli(&["SENTINEL", "FAILOVER", "beach"])[0] == "OK");
    }

    pub fn flush(&self) {
        self.servers[self.master()].cli(&["FLUSHALL"]);
    }
}

/// Three masters, and a replica of the first.
pub struct Cluster {
    pub servers: Vec<Redis>,
}

impl Cluster {
    pub fn start() -> Self {
        let mut servers = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..4 {
            let bus = free_port().to_string();
            let options = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "1000"],
                ["--cluster-replica-validity-factor", "0"],
                ["--repl-diskless-sync-delay", "0"],
            ];
            servers.push(Redis::start_with(&options.concat(), &[]));
            buses.push(bus);
        }
        for (server, [from, to]) in servers.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]])
        {
            server.cli(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
        }
        // Nobody takes a word of one of its own epoch for newer than its own.
        for (n, server) in servers.iter().enumerate() {
            server.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
        }
        for (server, bus) in servers.iter().zip(&buses).skip(1) {
            servers[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &server.port().to_string(), bus]);
        }
        let cluster = Self { servers };
        wait("the cluster stands", || cluster.stands(4));
        let first = cluster.servers[0].cli(&["CLUSTER", "MYID"]).concat();
        cluster.servers[3].cli(&["CLUSTER", "REPLICATE", &first]);
        wait("the replica follows", || {
            cluster.servers[3]
                .cli(&["INFO", "replication"])
                .iter()
                .any(|line| line == "master_link_status:up")
        });
        cluster
    }

    /// Whether each of the servers from the first that lives knows `known` of them, and serves all slots.
    fn stands(&self, known: usize) -> bool {
        let known = format!("cluster_known_nodes:{known}");
        self.servers.iter().all(|server| {
            let info = server.cli(&["CLUSTER", "INFO"]);
            info.iter().any(|line| *line == known) && info.iter().any(|line| line == "cluster_state:ok")
        })
    }

    pub fn url(&self) -> String {
        let hosts: Vec<_> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    pub fn flush(&self) {
        for server in &self.servers[..3] {
            server.cli(&["FLUSHALL"]);
        }
    }

    /// Whether the replica is a master of a cluster that serves.
    pub fn has_failed_over(&self) -> bool {
        let replica = &self.servers[3];
        replica.cli(&["ROLE"])[0] == "master"
            && replica.cli(&["CLUSTER", "INFO"]).iter().any(|line| line == "cluster_state:ok")
    }
}

/// Waits for servers, which take their time to find each other.
pub fn wait(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fact() {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const PASSWORD: &str = "s3cret";
const WATCHWORD: &str = "w4tch";
const ENTRY: [&str; 3] = ["-a", PASSWORD, "--no-auth-warning"];
