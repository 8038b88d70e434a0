//! A relay in a process of its own, behind a proxy that can be cut, and what can befall both.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use conformance::netlab::{Cut, Proxy};
use rand::Rng;
use tokio::{net::TcpStream, time::sleep};

/// What befalls the way to the relay, or the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// Connections are reset, new ones refused for a moment.
    Reset,
    /// Everything vanishes without a word.
    Blackhole,
    /// The process is killed and another takes its place; it remembers nothing.
    Kill,
    /// The process stands still.
    Freeze,
    /// Others take the processor, and then connections are reset.
    Hog,
}

impl Blow {
    pub(crate) const ALL: [Self; 5] = [Self::Reset, Self::Blackhole, Self::Kill, Self::Freeze, Self::Hog];
}

/// `beach-lifeguard dev` and the only way to it.
pub(crate) struct Relay {
    program: PathBuf,
    address: SocketAddr,
    process: Child,
    pub(crate) proxy: Proxy,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let address =
            TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
        let program = program();
        let process = run(&program, address);
        let relay = Self { program, address, process, proxy: Proxy::tcp(address).await.expect("a proxy") };
        relay.listens().await;
        relay
    }

    /// Strikes, and takes the cause away again. Returns when everything that is needed is there again.
    pub(crate) async fn suffer(&mut self, blow: Blow, dice: &mut impl Rng) {
        let mut wait = async |millis: std::ops::Range<u64>| {
            sleep(Duration::from_millis(dice.random_range(millis))).await;
        };
        match blow {
            Blow::Reset => {
                self.proxy.cut(Cut::Reset);
                wait(100..1_500).await;
                self.proxy.heal();
            }
            Blow::Blackhole => {
                self.proxy.cut(Cut::Blackhole);
                // Long enough for a link to be given up.
                wait(7_000..9_000).await;
                self.proxy.heal();
            }
            Blow::Kill => {
                let _ = self.process.kill();
                let _ = self.process.wait();
                wait(100..2_000).await;
                self.process = run(&self.program, self.address);
                self.listens().await;
            }
            Blow::Freeze => {
                signal(&self.process, "-STOP");
                wait(7_000..9_000).await;
                signal(&self.process, "-CONT");
            }
            Blow::Hog => {
                let hogs: Vec<Child> = (0..4).map(|_| hog()).collect();
                wait(1_000..2_000).await;
                self.proxy.cut(Cut::Reset);
                wait(100..1_000).await;
                self.proxy.heal();
                wait(1_000..2_000).await;
                hogs.into_iter().for_each(end);
            }
        }
    }

    async fn listens(&self) {
        for _ in 0..600 {
            if TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the relay did not start within 30 s");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        signal(&self.process, "-CONT");
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary of this build; built now when only this package's tests were.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let folder = test.ancestors().nth(2).expect("a target folder");
    let program = folder.join("beach-lifeguard");
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-q", "-p", "lifeguard-relay", "--bin", "beach-lifeguard"]);
        assert!(build.status().expect("cargo").success(), "the relay does not build");
    }
    program
}

fn run(program: &PathBuf, address: SocketAddr) -> Child {
    let address = address.to_string();
    Command::new(program)
        .args(["dev", "--listen-addr", &address, "--admin-addr", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the relay's process")
}

fn hog() -> Child {
    Command::new("sha256sum").arg("/dev/zero").stdout(Stdio::null()).spawn().expect("a busy process")
}

fn end(mut process: Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn signal(process: &Child, name: &str) {
    let _ = Command::new("kill").args([name, &process.id().to_string()]).status();
}
