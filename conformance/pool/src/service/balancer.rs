//! The load balancer, with the configuration that the service ships.

use std::{net::SocketAddr, path::Path, process::Command};

use super::process::Process;

/// Which one: each is Debian's, and reads the shipped file with the addresses of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balancer {
    /// `lifeguard-relay/deploy/haproxy/beach.cfg`
    Haproxy,
    /// `lifeguard-relay/deploy/nginx/beach.conf`
    Nginx,
}

impl Balancer {
    /// Starts it; without `websockets` it answers them itself.
    pub(crate) fn start(
        self,
        websockets: bool,
        folder: &Path,
        address: SocketAddr,
        relays: &[SocketAddr],
        planes: &[SocketAddr],
    ) -> Process {
        let (file, let_through, answered) = match self {
            Self::Haproxy => (
                "haproxy/beach.cfg",
                "use_backend relays if { path /v2/ws /ws }",
                "http-request return status 501 if { path /v2/ws }",
            ),
            Self::Nginx => (
                "nginx/beach.conf",
                "location = /v2/ws { proxy_pass http://beach_relays; }",
                "location = /v2/ws { return 501; }",
            ),
        };
        let mut text = shipped(file, relays, planes);
        if !websockets {
            text.replace(let_through, answered);
        }
        match self {
            Self::Haproxy => haproxy(text, folder, address),
            Self::Nginx => nginx(text, folder, address),
        }
    }
}

fn nginx(mut text: Shipped, folder: &Path, address: SocketAddr) -> Process {
    // TLS is nginx' own matter.
    text.replace("listen 443 ssl;", &format!("listen {address};"));
    let text: Vec<_> = text.0.lines().filter(|line| !line.trim().starts_with("ssl_")).collect();
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    // One process, so that its round robin has one state.
    let config = format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
         worker_rlimit_nofile 16384;\nevents {{ worker_connections 8192; }}\n\
         http {{\n{temporary}access_log off;\n{}\n}}\n",
        text.join("\n")
    );
    let file = format!("{folder}/nginx.conf");
    std::fs::write(&file, config).expect("a file");
    let mut command = Command::new("nginx");
    command.env("PATH", SEARCH_PATH);
    command.args(["-p", &folder.to_string(), "-e", &format!("{folder}/error.log"), "-c", &file]);
    Process::start(&mut command)
}

fn haproxy(mut text: Shipped, folder: &Path, address: SocketAddr) -> Process {
    // TLS is HAProxy's own matter.
    text.replace(
        "bind :443 ssl crt /etc/haproxy/beach.example.pem alpn http/1.1",
        &format!("bind {address}"),
    );
    // One thread, so that its round robin has one state.
    text.replace("global\n", "global\n    nbthread 1\n");
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, text.0).expect("a file");
    let mut command = Command::new("haproxy");
    command.env("PATH", SEARCH_PATH).arg("-db").arg("-f").arg(file);
    Process::start(&mut command)
}

/// A shipped file, with these addresses in place of its own.
struct Shipped(String);

impl Shipped {
    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.0.contains(from), "no {from} in the shipped file");
        self.0 = self.0.replace(from, to);
    }
}

fn shipped(name: &str, relays: &[SocketAddr], planes: &[SocketAddr]) -> Shipped {
    let path = format!("{}/../../lifeguard-relay/deploy/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut text = Shipped(std::fs::read_to_string(path).expect("it is there"));
    for (tens, nodes) in [(1, relays), (2, planes)] {
        for (n, node) in nodes.iter().enumerate() {
            text.replace(&format!("10.0.0.{tens}{}:9443", n + 1), &node.to_string());
        }
    }
    // What a smaller pool does not have.
    let lines =
        text.0.lines().filter(|line| !line.trim().starts_with("server ") || !line.contains("10.0.0."));
    Shipped(lines.flat_map(|line| [line, "\n"]).collect())
}

/// Debian has both where a user's shell does not look.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
