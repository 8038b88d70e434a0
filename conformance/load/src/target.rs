//! What is loaded: a relay or the forwarder, in a process of its own whose cost can be read.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use conformance::relay::RelayTarget;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::Mutex,
    time::timeout,
};

use crate::Failure;

/// A process under load; it ends with this value.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    child: Option<Child>,
}

/// How to reach it.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// A raw TCP forwarder: two connections with the same first 16 bytes are one pair.
    Forwarder(SocketAddr),
    /// The WebSocket relay that does nothing: the first message names the pair.
    WebSocket(SocketAddr),
    /// A relay and its control plane.
    Relay(RelayTarget),
}

/// What a process has cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU seconds, user and system.
    pub(crate) cpu: f64,
    /// Resident KiB.
    pub(crate) resident: u64,
}

impl Target {
    /// Loads the relay of `control_plane`, or starts one.
    pub(crate) async fn relay(control_plane: Option<&str>) -> Result<Self, Failure> {
        if let Some(base) = control_plane {
            let base = base.trim_end_matches('/');
            let relay = base.replacen("http", "ws", 1);
            return Ok(Self { name: "relay", way: Way::Relay(RelayTarget::new(relay, base)), child: None });
        }
        let arguments = ["dev", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"];
        let (child, line) = start(sibling("beach-lifeguard")?, &arguments, "control plane").await?;
        let base = line.trim().to_owned();
        let relay = base.replacen("http", "ws", 1);
        Ok(Self { name: "relay", way: Way::Relay(RelayTarget::new(relay, base)), child: Some(child) })
    }

    /// Starts the raw TCP forwarder.
    pub(crate) async fn forwarder() -> Result<Self, Failure> {
        let (child, address) = reference("forward").await?;
        Ok(Self { name: "forwarder", way: Way::Forwarder(address), child: Some(child) })
    }

    /// Starts the WebSocket relay that does nothing.
    pub(crate) async fn websocket() -> Result<Self, Failure> {
        let (child, address) = reference("mirror").await?;
        Ok(Self { name: "websocket", way: Way::WebSocket(address), child: Some(child) })
    }

    /// Reads what the process has cost, from `/proc`; `None` for a relay that runs elsewhere.
    pub(crate) fn cost(&self) -> Option<Cost> {
        let pid = self.child.as_ref()?.id()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name in parentheses, which may hold anything: fields 14 and 15 are ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident = resident.trim().trim_end_matches(" kB").trim().parse().ok()?;
        Some(Cost { cpu: (ticks(11)? + ticks(12)?) as f64 / 100.0, resident })
    }
}

async fn reference(command: &str) -> Result<(Child, SocketAddr), Failure> {
    let (child, line) = start(std::env::current_exe()?, &[command], "forwarding at").await?;
    let address = line.trim().parse().map_err(|_| Failure("a reference gave no address".to_owned()))?;
    Ok((child, address))
}

fn sibling(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(Failure(format!("{name} is not beside this program: cargo build --release -p lifeguard-relay")))
}

/// Starts a process and waits for the line that begins, after blanks, with `word`.
async fn start(program: PathBuf, arguments: &[&str], word: &str) -> Result<(Child, String), Failure> {
    let mut child = Command::new(&program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure(format!("{} does not start: {error}", program.display())))?;
    let Some(stdout) = child.stdout.take() else { return Err(Failure("no output to read".to_owned())) };
    let mut lines = BufReader::new(stdout).lines();
    let wanted = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(rest) = line.trim_start().strip_prefix(word) {
                return Some(rest.to_owned());
            }
        }
        None
    };
    match timeout(START, wanted).await {
        Ok(Some(rest)) => {
            // Keep reading, or the process blocks on a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Ok((child, rest))
        }
        _ => Err(Failure(format!("{} did not say that it is ready", program.display()))),
    }
}

/// The forwarder: what a relay would cost that does nothing at all.
pub(crate) async fn forward() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("forwarding at {}", listener.local_addr()?);
    let waiting: Arc<Mutex<HashMap<[u8; 16], TcpStream>>> = Arc::default();
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let waiting = waiting.clone();
        tokio::spawn(async move {
            let mut pair = [0; 16];
            if timeout(START, stream.read_exact(&mut pair)).await.is_err() {
                return;
            }
            // One lock for looking and for waiting, or both ends of a pair wait for each other.
            let mut waiting = waiting.lock().await;
            if let Some(mut other) = waiting.remove(&pair) {
                drop(waiting);
                let _ = stream.write_all(&[1]).await;
                let _ = other.write_all(&[1]).await;
                let _ = copy_bidirectional(&mut stream, &mut other).await;
            } else {
                waiting.insert(pair, stream);
            }
        });
    }
}

/// How long a process may take to be ready.
const START: Duration = Duration::from_secs(10);
