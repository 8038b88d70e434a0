//! A relay or a control plane.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Store, lines::Lines, process, process::Process};

/// What all nodes have in common.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) program: &'a Path,
    pub(crate) store: &'a Store,
}

/// A process of the service, and the ways to it. A fresh one in its place has the same addresses.
#[derive(Debug)]
pub struct Node {
    /// The ways to and from it.
    pub lines: Lines,
    process: Process,
    program: std::path::PathBuf,
    arguments: Vec<String>,
    listen: SocketAddr,
    admin: SocketAddr,
}

/// What a relay says of itself.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Stats {
    /// Peers of the sessions that it owns.
    pub peers: u64,
    /// Sessions that it owns and that somebody is in.
    pub sessions: u64,
    /// Clients that it passes on.
    pub passed_on: u64,
    /// Peers that others pass on to it.
    pub passed_here: u64,
}

impl Node {
    pub(crate) fn start(
        common: Common<'_>,
        command: &str,
        own: Vec<(&str, String)>,
        [listen, admin]: [SocketAddr; 2],
        lines: Lines,
    ) -> Self {
        let shared = [
            ("--listen-addr", listen.to_string()),
            ("--admin-addr", admin.to_string()),
            ("--store-redis-url", common.store.url(lines.store())),
            ("--listen-trusted-proxies", "127.0.0.1".to_owned()),
        ];
        let options = shared.into_iter().chain(own);
        let words = options.flat_map(|(option, value)| [option.to_owned(), value]);
        let arguments: Vec<_> = std::iter::once(command.to_owned()).chain(words).collect();
        let process = Process::start(Command::new(common.program).args(&arguments));
        Self { lines, process, program: common.program.to_owned(), arguments, listen, admin }
    }

    /// Where it listens itself, past all lines.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// The CPU time it has taken, in ticks of 10 ms.
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// The CPU time that all of these have taken.
    pub fn cpu_of(nodes: &[Self]) -> Duration {
        nodes.iter().map(Self::cpu).sum()
    }

    /// The sum of a metric over all its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.ask("GET", "/metrics", "").await.expect("the node answers");
        let of = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let values = text.lines().filter(|line| of(line)).filter_map(|line| line.rsplit_once(' '));
        values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
    }

    /// Where the load balancer finds it.
    pub(crate) fn public(&self) -> SocketAddr {
        self.lines.public()
    }

    pub(crate) async fn listens(&self) {
        process::listens(self.listen).await;
    }

    /// Ends it as a deployment does: whoever is there is told to leave. Returns when the process has ended.
    pub async fn terminate(&mut self) {
        self.process.terminate().await;
    }

    /// Kills it: nothing of it says goodbye.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts another one in its place, and waits until it listens.
    pub async fn restart(&mut self) {
        self.process = Process::start(Command::new(&self.program).args(&self.arguments));
        self.listens().await;
    }

    /// Stops it: the kernel takes what comes for it, and it does nothing.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// Gives an operator's command, `drain-node` or `resume-node`.
    pub async fn command(&self, command: &str) {
        let answer = self.ask("POST", &format!("/admin/{command}"), "{}").await.expect("the node answers");
        assert!(answer.starts_with("HTTP/1.1 2"), "{command}: {answer}");
    }

    /// What it says of itself; none if it says nothing.
    pub async fn stats(&self) -> Option<Stats> {
        let answer = timeout(Duration::from_secs(2), self.ask("GET", "/debug/stats", "")).await.ok()?.ok()?;
        let stats: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        let number = |key: &str| stats[key].as_u64();
        Some(Stats {
            peers: number("active_connections")?,
            sessions: number("active_sessions")?,
            passed_on: number("passed_on")?,
            passed_here: number("passed_here")?,
        })
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        request(self.admin, method, path, body).await
    }
}

/// One request, and all that is answered.
///
/// # Errors
///
/// The connection's.
pub async fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
