//! What is loaded: a relay, sessions over it, or a reference that does nothing.

use std::net::SocketAddr;

use conformance::relay::RelayTarget;

use crate::{
    Failure,
    process::{Cost, Process, sibling},
    session::Path,
};

/// What can be loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Relay,
    V1,
    Session(Path),
    Forwarder,
    WebSocket,
    /// The forwarder for many viewers.
    Spread,
    /// The WebSocket relay for many viewers.
    Chorus,
}

/// What is loaded, in a process of its own whose cost can be read.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    process: Option<Process>,
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
    /// The same, as clients of the deployed wire see it.
    V1(RelayTarget),
    /// Negotiated sessions, kept to one path.
    Session { control_plane: String, path: Path },
}

/// How a process of our own is started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Serving {
    /// The relay serves TLS.
    pub(crate) tls: bool,
    /// The relay has no limits on bytes and messages.
    pub(crate) unlimited: bool,
    /// On so many cores; `None` for all.
    pub(crate) cores: Option<usize>,
}

impl Which {
    /// Loads the relay of `control_plane`, or starts what is needed.
    pub(crate) async fn start(
        self,
        control_plane: Option<&str>,
        serving: Serving,
    ) -> Result<Target, Failure> {
        match self {
            Self::Relay => Target::relay(control_plane, serving).await,
            Self::V1 => {
                let mut target = Target::relay(control_plane, serving).await?;
                target.name = "v1";
                if let Way::Relay(relay) = target.way {
                    target.way = Way::V1(relay);
                }
                Ok(target)
            }
            Self::Session(path) => Target::session(control_plane, path, serving).await,
            Self::Forwarder => Target::reference("forward", "forwarder", serving, Way::Forwarder).await,
            Self::WebSocket => Target::reference("mirror", "websocket", serving, Way::WebSocket).await,
            Self::Spread => Target::reference("spread", "forwarder", serving, Way::Forwarder).await,
            Self::Chorus => Target::reference("chorus", "websocket", serving, Way::WebSocket).await,
        }
    }
}

impl Target {
    async fn relay(control_plane: Option<&str>, serving: Serving) -> Result<Self, Failure> {
        if let Some(base) = control_plane {
            return Ok(Self { name: "relay", way: Way::Relay(at(base)), process: None });
        }
        let process = dev(serving).await?;
        let mut relay = at(process.said(ADDRESS)?);
        if serving.tls {
            relay = relay.trusting(process.lines.join("\n").as_bytes())?;
        }
        Ok(Self { name: "relay", way: Way::Relay(relay), process: Some(process) })
    }

    /// Sessions over `path`, met at `control_plane` or at one that is started.
    async fn session(control_plane: Option<&str>, path: Path, serving: Serving) -> Result<Self, Failure> {
        let process = match control_plane {
            None => Some(dev(Serving { tls: false, ..serving }).await?),
            Some(_) => None,
        };
        let control_plane = match (&process, control_plane) {
            (Some(process), _) => process.said(ADDRESS)?.to_owned(),
            (None, given) => given.unwrap_or_default().to_owned(),
        };
        Ok(Self { name: path.name(), way: Way::Session { control_plane, path }, process })
    }

    /// Starts this program again as one of its references.
    async fn reference(
        command: &str,
        name: &'static str,
        serving: Serving,
        way: impl Fn(SocketAddr) -> Way,
    ) -> Result<Self, Failure> {
        let ready = |line: &str| line.starts_with(FORWARDING);
        let process = Process::start(std::env::current_exe()?, &[command], serving.cores, ready).await?;
        let address = process.said(FORWARDING)?.parse();
        let way = way(address.map_err(|_| Failure("a reference gave no address".to_owned()))?);
        Ok(Self { name, way, process: Some(process) })
    }

    /// Reads what the process has cost; `None` for a relay that runs elsewhere.
    pub(crate) fn cost(&self) -> Option<Cost> {
        self.process.as_ref()?.cost()
    }
}

fn at(control_plane: &str) -> RelayTarget {
    let base = control_plane.trim_end_matches('/');
    RelayTarget::new(base.replacen("http", "ws", 1), base)
}

async fn dev(Serving { tls, unlimited, cores }: Serving) -> Result<Process, Failure> {
    let mut arguments = vec!["dev", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"];
    // The certificate comes last.
    let last = if tls { "-----END CERTIFICATE" } else { ADDRESS };
    arguments.extend(tls.then_some("--tls"));
    arguments.extend(unlimited.then_some("--unlimited"));
    let ready = |line: &str| line.trim_start().starts_with(last);
    Process::start(sibling("beach-lifeguard")?, &arguments, cores, ready).await
}

/// Before the address of `beach-lifeguard dev`.
const ADDRESS: &str = "control plane";
/// Before the address of a reference.
pub(crate) const FORWARDING: &str = "forwarding at";
