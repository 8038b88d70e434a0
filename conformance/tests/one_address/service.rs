//! The service of this test: its processes, and what each relay says of itself.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::redis::Redis;

/// Redis, relays, control planes and nginx. All end with it.
pub(crate) struct Service {
    relays: Vec<Relay>,
    _others: Vec<Process>,
    address: SocketAddr,
    _redis: Redis,
    _folder: TempDir,
}

struct Relay {
    process: Process,
    admin: SocketAddr,
}

/// What a relay says of itself.
#[derive(Debug)]
pub(crate) struct Node {
    /// Which relay.
    pub(crate) name: usize,
    /// Peers of the sessions it owns.
    pub(crate) peers: u64,
    /// Clients that it passes on.
    pub(crate) passed_on: u64,
}

/// By which nodes the two members of a session came, and who owns it.
pub(crate) struct Combination {
    pub(crate) entries: [usize; 2],
    pub(crate) owner: usize,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let (redis, folder) = (Redis::start(), tempfile::tempdir().expect("a folder"));
        let program = program();
        let key = folder.path().join("key.pem").display().to_string();
        let made = Command::new(&program).args(["keys", "generate", "--id", "pool", "--out", &key]).output();
        let public = String::from_utf8(made.expect("keys are made").stdout).expect("a key in text");
        let pool_key = folder.path().join("pool.key").display().to_string();
        std::fs::write(&pool_key, "0123456789abcdef".repeat(4)).expect("a file");

        // Held until all are known, so that no two are the same.
        let held: Vec<_> = (0..12).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let free: Vec<_> = held.iter().map(|socket| socket.local_addr().expect("it")).collect();
        drop(held);
        let (address, relays, internals) = (free[0], &free[1..4], &free[4..7]);
        let (admins, planes) = (&free[7..10], &free[10..12]);
        let url = format!("ws://{address}/v2/ws");
        let common = |listen: SocketAddr, admin: &str| {
            ["--listen-addr", &listen.to_string(), "--admin-addr", admin, "--store-redis-url", &redis.url()]
                .map(str::to_owned)
                .into_iter()
                .chain(["--listen-trusted-proxies", "127.0.0.1"].map(str::to_owned))
                .collect::<Vec<_>>()
        };
        let serve = |n: usize| {
            let own = [
                "--tokens-public-keys",
                public.trim(),
                "--pool-relay-url",
                &url,
                "--pool-internal-listen-addr",
                &internals[n].to_string(),
                "--pool-internal-key-file",
                &pool_key,
            ];
            let mut command = Command::new(&program);
            command.arg("serve").args(common(relays[n], &admins[n].to_string())).args(own);
            Relay { process: Process::start(command), admin: admins[n] }
        };
        let relays_running: Vec<_> = (0..3).map(serve).collect();
        let control_plane = |listen: &SocketAddr| {
            let mut command = Command::new(&program);
            command.arg("control-plane").args(common(*listen, "127.0.0.1:0"));
            command.args(["--tokens-key-id", "pool", "--tokens-signing-key-file", &key]);
            // One address asks for everybody here.
            command.args(["--control-fallback-ws-enabled", "true", "--control-requests-per-second", "0"]);
            Process::start(command)
        };
        let mut others: Vec<_> = planes.iter().map(control_plane).collect();
        others.push(nginx(folder.path(), address, relays, planes));
        for listens in free[..4].iter().chain(planes) {
            is_there(*listens).await;
        }
        let service =
            Self { relays: relays_running, _others: others, address, _redis: redis, _folder: folder };
        // Until control planes know all relays.
        sleep(Duration::from_secs(3)).await;
        service
    }

    /// Where clients come.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks every relay that lives.
    pub(crate) async fn nodes(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (name, relay) in self.relays.iter().enumerate() {
            let Ok(answer) = get(relay.admin, "/debug/stats").await else { continue };
            let body = answer.split_once("\r\n\r\n").expect("a body").1;
            let stats: serde_json::Value = serde_json::from_str(body).expect("JSON");
            let number = |key: &str| stats[key].as_u64().expect("a number");
            nodes.push(Node { name, peers: number("active_connections"), passed_on: number("passed_on") });
        }
        nodes
    }

    /// Waits until this many sessions of two are left.
    pub(crate) async fn is_quiet(&self, sessions: u64) {
        let began = Instant::now();
        while self.nodes().await.iter().map(|node| node.peers).sum::<u64>() != 2 * sessions {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", self.nodes().await);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Others ask relays something, several at a time, for as long as this is waited for.
    pub(crate) async fn others_come(&self) {
        let others = (0..OTHERS).map(async |_| {
            loop {
                let answer = get(self.address, "/v2/ws").await.expect("nginx answers");
                assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
                sleep(Duration::from_micros(rand::random_range(0..1_000))).await;
            }
        });
        futures::future::join_all(others).await;
    }

    /// Kills a relay; nothing of it says goodbye.
    pub(crate) fn kill(&mut self, name: usize) {
        self.relays[name].process.end();
    }
}

/// What a session of two changed.
pub(crate) fn combination(before: &[Node], after: &[Node]) -> Combination {
    let changes = || after.iter().zip(before).map(|(after, before)| (after.name, after, before));
    let owner = changes().find(|(_, after, before)| after.peers == before.peers + 2);
    let (owner, ..) = owner.unwrap_or_else(|| panic!("nobody owns it: {before:?} {after:?}"));
    let mut entries = Vec::new();
    for (name, after, before) in changes() {
        entries.extend(std::iter::repeat_n(name, (after.passed_on - before.passed_on) as usize));
    }
    entries.resize(2, owner);
    entries.sort_unstable();
    Combination { entries: [entries[0], entries[1]], owner }
}

/// Debian's nginx with the configuration that the service ships, in front of these addresses.
fn nginx(folder: &Path, address: SocketAddr, relays: &[SocketAddr], planes: &[SocketAddr]) -> Process {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../lifeguard-relay/deploy/nginx/beach.conf");
    let mut text = std::fs::read_to_string(shipped).expect("it is there");
    let mut replace = |from: &str, to: &str| {
        assert!(text.contains(from), "no {from} in {shipped}");
        text = text.replace(from, to);
    };
    for (n, relay) in relays.iter().enumerate() {
        replace(&format!("10.0.0.1{}:9443", n + 1), &relay.to_string());
    }
    for (n, plane) in planes.iter().enumerate() {
        replace(&format!("10.0.0.2{}:9443", n + 1), &plane.to_string());
    }
    // TLS is nginx' own matter.
    replace("listen 443 ssl;", &format!("listen {address};"));
    let text: Vec<_> = text.lines().filter(|line| !line.trim().starts_with("ssl_")).collect();
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    // One process, so that its round robin has one state.
    let config = format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n\
         http {{\n{temporary}access_log off;\n{}\n}}\n",
        text.join("\n")
    );
    let file = format!("{folder}/nginx.conf");
    std::fs::write(&file, config).expect("a file");
    let mut command = Command::new("nginx");
    command.args(["-p", &folder.to_string(), "-e", &format!("{folder}/error.log"), "-c", &file]);
    Process::start(command)
}

async fn is_there(address: SocketAddr) {
    for _ in 0..600 {
        if TcpStream::connect(address).await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody listens on {address} after 30 s");
}

async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The binary of this build; built now when only this package's tests were.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let program = test.ancestors().nth(2).expect("a target folder").join("beach-lifeguard");
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-q", "--locked", "-p", "beach-lifeguard", "--bin", "beach-lifeguard"]);
        assert!(build.status().expect("cargo").success(), "the service does not build");
    }
    program
}

struct Process(Child);

impl Process {
    fn start(mut command: Command) -> Self {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        Self(quiet.spawn().expect("a process of the service: Debian's nginx-light is needed"))
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// So many that one of them often comes between the two members of a session.
const OTHERS: usize = 4;
