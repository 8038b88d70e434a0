//! Loopback proxies that lose, delay, reorder, stall and cut: a bad network inside one process.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use conformance::netlab::{Cut, Fault, LADDER, Proxy, Way};
//!
//! let target = "127.0.0.1:9443".parse().expect("an address");
//! let proxy = Proxy::tcp(target).await?;
//! // … let the client connect to `proxy.addr()` …
//! proxy.set(LADDER[4].fault(42)); // 200 ms and 5 % loss, seed 42
//! proxy.set(Fault::up(Way::STALLED)); // one way only
//! proxy.cut(Cut::Reset);
//! proxy.heal();
//! println!("{:?}", proxy.counters());
//! # Ok(())
//! # }
//! ```
//!
//! Each direction of each flow is one task with one queue; there is no task for a packet, which
//! would reorder what a network would not. Everything a proxy holds is bounded. Dropping the proxy
//! ends all its flows.

mod fault;
mod line;
mod tcp;
mod udp;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::watch, task::AbortHandle};

pub(crate) use line::{Line, Medium};

pub use fault::{Cut, Fault, Flow, LADDER, Loss, Rung, Way};

/// A proxy on a loopback port of its own in front of one target.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    state: watch::Sender<State>,
    counters: Arc<Counting>,
    task: AbortHandle,
}

impl Proxy {
    /// Opens a proxy for datagrams to `target`. Each client address gets a flow with its own port
    /// towards the target.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn udp(target: SocketAddr) -> io::Result<Self> {
        let socket = tokio::net::UdpSocket::bind(LOOPBACK).await?;
        let addr = socket.local_addr()?;
        let (state, counters) = Self::parts();
        let task =
            tokio::spawn(udp::serve(socket, target, state.subscribe(), counters.clone())).abort_handle();
        Ok(Self { addr, state, counters, task })
    }

    /// Opens a proxy for connections to `target`.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn tcp(target: SocketAddr) -> io::Result<Self> {
        let listener = tcp::listen()?;
        let addr = listener.local_addr()?;
        let (state, counters) = Self::parts();
        let task =
            tokio::spawn(tcp::serve(listener, target, state.subscribe(), counters.clone())).abort_handle();
        Ok(Self { addr, state, counters, task })
    }

    fn parts() -> (watch::Sender<State>, Arc<Counting>) {
        (watch::Sender::new(State { fault: Fault::NONE, resets: 0, refuses: false }), Arc::default())
    }

    /// Returns the address clients connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes the weather for every flow, present and future, at once.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| state.fault = fault);
    }

    /// Cuts the path.
    pub fn cut(&self, how: Cut) {
        self.state.send_modify(|state| {
            state.fault = Fault::both(Way::BLACKHOLE);
            if how == Cut::Reset {
                state.resets += 1;
                state.refuses = true;
            }
        });
    }

    /// Takes every fault back. Reset connections stay dead; new ones are let through.
    pub fn heal(&self) {
        self.state.send_modify(|state| {
            state.fault = Fault::NONE;
            state.refuses = false;
        });
    }

    /// Returns what passed so far.
    pub fn counters(&self) -> Counters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let way = |way: &CountingWay| WayCounters {
            packets: read(&way.packets),
            bytes: read(&way.bytes),
            dropped: read(&way.dropped),
        };
        Counters {
            flows: read(&self.counters.flows),
            up: way(&self.counters.up),
            down: way(&self.counters.down),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What passed a proxy since it opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections, or client addresses.
    pub flows: u64,
    /// From the clients to the target.
    pub up: WayCounters,
    /// From the target to the clients.
    pub down: WayCounters,
}

/// What passed in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WayCounters {
    /// Datagrams, or pieces of a stream, delivered.
    pub packets: u64,
    /// Bytes delivered.
    pub bytes: u64,
    /// Datagrams lost; on a stream, pieces that were late like a retransmission.
    pub dropped: u64,
}

/// What the proxy's tasks watch.
#[derive(Debug, Clone, Copy)]
struct State {
    fault: Fault,
    /// Counts up with each reset; a connection from before it dies.
    resets: u64,
    refuses: bool,
}

#[derive(Debug, Default)]
struct Counting {
    flows: AtomicU64,
    up: CountingWay,
    down: CountingWay,
}

#[derive(Debug, Default)]
struct CountingWay {
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

impl CountingWay {
    fn delivered(&self, bytes: usize) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn lost(&self, packets: u64) {
        self.dropped.fetch_add(packets, Ordering::Relaxed);
    }
}

/// One of the two directions of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toward {
    Client,
    Target,
}

impl Toward {
    /// The weather in this direction, and the seed of flow number `flow`.
    pub(crate) fn weather(self, fault: &Fault, flow: u64) -> (Way, u64) {
        let seed = fault.seed ^ flow.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        match self {
            Self::Client => (fault.down, seed ^ 1),
            Self::Target => (fault.up, seed),
        }
    }

    fn counters(self, counting: &Counting) -> &CountingWay {
        match self {
            Self::Client => &counting.down,
            Self::Target => &counting.up,
        }
    }
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
