//! A real service and a real Prometheus, each a process of its own on ports of its own, and the traffic
//! of people between them. Both processes end with the test.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part; a helper may fail"
)]

pub mod people;
pub mod prometheus;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// `beach-lifeguard dev`, as an operator starts it.
pub struct Service {
    child: Child,
    /// The control plane and relay, `http://127.0.0.1:PORT`.
    pub public: String,
    /// The operator's address.
    pub admin: String,
}

impl Service {
    pub fn dev() -> Self {
        Self::logging(Stdio::null(), "info")
    }

    /// With its log at `level` going to `log`.
    pub fn logging(log: Stdio, level: &str) -> Self {
        let mut child = Command::new(BINARY)
            .args(["dev", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])
            .env("RUST_LOG", level)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut find = |what: &str| {
            let line = lines.by_ref().find_map(|line| line.trim().strip_prefix(what).map(str::to_owned));
            line.unwrap_or_else(|| panic!("dev did not print its {what}")).trim().to_owned()
        };
        let public = find("control plane");
        let admin = find("metrics").trim_end_matches("/metrics").to_owned();
        // Nobody may find the pipe closed.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, public, admin }
    }

    /// Runs `beach-lifeguard COMMAND…` against it.
    pub fn operate(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY).args(arguments).env("BEACH_LIFEGUARD_ADMIN", &self.admin).output().unwrap()
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.public.strip_prefix("http://").unwrap().parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// `lifeguard-relay/deploy`.
pub fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a program the tests cannot do without.
pub fn run(program: &str, package: &str, arguments: &[&str], folder: &Path) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().unwrap_or_else(|error| {
        panic!("cannot run {program} ({error}); please install it: apt-get install {package}")
    })
}

/// Both outputs of a program, for a message.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything the code can export, by name.
pub fn exported() -> Vec<String> {
    use lifeguard_relay::telemetry::metrics::{FAMILIES, HISTOGRAMS, Kind, PROCESS};
    let mut names: Vec<String> = FAMILIES
        .iter()
        .map(|family| match family.kind {
            Kind::Counter => format!("{}_total", family.name),
            Kind::Gauge => family.name.to_owned(),
        })
        .collect();
    for (name, _) in HISTOGRAMS {
        names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
    }
    names.extend(PROCESS.map(|(name, ..)| name.to_owned()));
    let probe = ["success", "setup_seconds", "rtt_seconds", "queueing_seconds"];
    names.extend(probe.map(|name| format!("beach_probe_{name}")));
    names.push("beach_probe_throughput_bytes_per_second".to_owned());
    names.push("beach_probe_last_run_timestamp_seconds".to_owned());
    names
}

/// The names of our metrics in a query.
pub fn metrics_in(query: &str) -> Vec<&str> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("beach_") || word.starts_with("process_"))
        .collect()
}

pub const BINARY: &str = env!("CARGO_BIN_EXE_beach-lifeguard");
