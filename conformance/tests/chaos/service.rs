//! The service as it is operated: Redis, control plane and relay, each a process of its own, the last two behind
//! proxies that can be cut. And what can befall them.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use conformance::netlab::{Cut, Proxy};
use rand::Rng;
use tokio::{net::TcpStream, time::sleep};

use crate::redis::Redis;

/// What befalls the service, or the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// Connections are reset, new ones refused for a moment.
    Reset,
    /// Everything vanishes without a word.
    Blackhole,
    /// The relay is killed and another takes its place; it remembers nothing.
    Kill,
    /// The relay stands still.
    Freeze,
    /// Others take the processor, and then connections are reset.
    Hog,
    /// The control plane is killed, and connections to the relay are reset before another is there.
    ControlKilled,
    /// Redis stands still while connections are reset: who comes back finds nobody who could look him up.
    StoreFrozen,
    /// Redis is killed while connections are reset, and comes back empty.
    StoreKilled,
}

impl Blow {
    pub(crate) const ALL: [Self; 8] = [
        Self::Reset,
        Self::Blackhole,
        Self::Kill,
        Self::Freeze,
        Self::Hog,
        Self::ControlKilled,
        Self::StoreFrozen,
        Self::StoreKilled,
    ];
}

/// All three processes and the only ways to them.
pub(crate) struct Service {
    store: Redis,
    control: Plane,
    relay: Plane,
}

impl Service {
    /// Starts everything; keys are made in `folder`.
    pub(crate) async fn start(folder: &Path) -> Self {
        let store = Redis::start();
        let program = program("beach-lifeguard", "beach-lifeguard");
        let key = folder.join("key.pem");
        let made =
            Command::new(&program).args(["keys", "generate", "--id", "chaos", "--out"]).arg(&key).output();
        let made = made.expect("keys are made");
        let public = String::from_utf8(made.stdout).expect("a key in text").trim().to_owned();
        let redis = ["--store-redis-url".to_owned(), store.url()];
        let relay = [&["serve", "--tokens-public-keys", &public].map(str::to_owned)[..], &redis].concat();
        let relay = Plane::start(&program, relay).await;
        let key = key.display().to_string();
        let url = format!("ws://{}/v2/ws", relay.proxy.addr());
        let own =
            ["--tokens-key-id", "chaos", "--tokens-signing-key-file", &key, "--control-relay-url", &url];
        let command = ["control-plane", "--control-fallback-ws-enabled", "true"].map(str::to_owned);
        let control = [&command[..], &own.map(str::to_owned)[..], &redis].concat();
        Self { store, control: Plane::start(&program, control).await, relay }
    }

    /// Base URL of the control plane.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.control.proxy.addr())
    }

    /// Strikes, and takes the cause away again. Returns when everything that is needed is there again.
    pub(crate) async fn suffer(&mut self, blow: Blow, dice: &mut impl Rng) {
        let mut wait = async |millis: std::ops::Range<u64>| {
            sleep(Duration::from_millis(dice.random_range(millis))).await;
        };
        match blow {
            Blow::Reset => {
                self.cut(Cut::Reset);
                wait(100..1_500).await;
                self.heal();
            }
            Blow::Blackhole => {
                self.cut(Cut::Blackhole);
                wait(TOO_LONG_FOR_A_LINK).await;
                self.heal();
            }
            Blow::Kill => {
                self.relay.kill();
                wait(100..2_000).await;
                self.relay.restart().await;
            }
            Blow::Freeze => {
                signal(&self.relay.process, "-STOP");
                wait(TOO_LONG_FOR_A_LINK).await;
                signal(&self.relay.process, "-CONT");
            }
            Blow::Hog => {
                let mut hogs: Vec<Child> = (0..4).map(|_| hog()).collect();
                wait(1_000..2_000).await;
                self.cut(Cut::Reset);
                wait(100..1_000).await;
                self.heal();
                wait(1_000..2_000).await;
                hogs.iter_mut().for_each(end);
            }
            Blow::ControlKilled => {
                self.control.kill();
                self.flick().await;
                wait(500..3_000).await;
                self.control.restart().await;
            }
            Blow::StoreFrozen => {
                self.store.signal("-STOP");
                self.flick().await;
                wait(500..5_000).await;
                self.store.signal("-CONT");
            }
            Blow::StoreKilled => {
                self.store.kill();
                self.flick().await;
                wait(500..5_000).await;
                self.store.restart();
            }
        }
    }

    fn cut(&self, cut: Cut) {
        self.relay.proxy.cut(cut);
        self.control.proxy.cut(cut);
    }

    fn heal(&self) {
        self.relay.proxy.heal();
        self.control.proxy.heal();
    }

    /// Resets every connection to the relay; new ones are welcome at once.
    async fn flick(&self) {
        self.relay.proxy.cut(Cut::Reset);
        sleep(Duration::from_millis(100)).await;
        self.relay.proxy.heal();
    }
}

/// One process of ours and the way to it.
struct Plane {
    program: PathBuf,
    arguments: Vec<String>,
    address: SocketAddr,
    process: Child,
    proxy: Proxy,
}

impl Plane {
    async fn start(program: &Path, arguments: Vec<String>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.expect("a free port");
        let proxy = Proxy::tcp(address).await.expect("a proxy");
        let process = run(program, &arguments, address);
        let plane = Self { program: program.to_owned(), arguments, address, process, proxy };
        plane.listens().await;
        plane
    }

    fn kill(&mut self) {
        end(&mut self.process);
    }

    async fn restart(&mut self) {
        self.process = run(&self.program, &self.arguments, self.address);
        self.listens().await;
    }

    async fn listens(&self) {
        for _ in 0..600 {
            if TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?} does not listen after 30 s", self.arguments.first());
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        end(&mut self.process);
    }
}

/// The binary of this build; built now when only this package's tests were.
pub(crate) fn program(package: &str, name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let folder = test.ancestors().nth(2).expect("a target folder");
    let program = folder.join(name);
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-q", "-p", package, "--bin", name]);
        assert!(build.status().expect("cargo").success(), "{name} does not build");
    }
    program
}

fn run(program: &Path, arguments: &[String], address: SocketAddr) -> Child {
    Command::new(program)
        .args(arguments)
        .args(["--admin-addr", "127.0.0.1:0", "--listen-addr", &address.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process of the service")
}

fn hog() -> Child {
    Command::new("sha256sum").arg("/dev/zero").stdout(Stdio::null()).spawn().expect("a busy process")
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn signal(process: &Child, name: &str) {
    let _ = Command::new("kill").args([name, &process.id().to_string()]).status();
}

/// Milliseconds after which a link that says nothing is given up.
const TOO_LONG_FOR_A_LINK: std::ops::Range<u64> = 7_000..9_000;
