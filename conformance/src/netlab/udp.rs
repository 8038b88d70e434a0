//! Datagrams through one queue for each direction of each flow.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    Counting, LOOPBACK, State, Toward,
    line::{Line, Medium},
};

/// Serves until aborted.
pub(super) async fn serve(
    socket: UdpSocket,
    target: SocketAddr,
    state: watch::Receiver<State>,
    counters: Arc<Counting>,
) {
    let socket = Arc::new(socket);
    let mut flows: HashMap<SocketAddr, mpsc::Sender<Bytes>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; LARGEST_DATAGRAM];
    loop {
        // An error here is an ICMP answer to something sent earlier: the socket goes on.
        let Ok((len, client)) = socket.recv_from(&mut buffer).await else { continue };
        let datagram = Bytes::copy_from_slice(&buffer[..len]);
        if !flows.contains_key(&client) {
            if flows.len() >= MOST_FLOWS {
                Toward::Target.counters(&counters).lost(1);
                continue;
            }
            let number = flows.len() as u64;
            let Ok(upstream) = connected(target).await else { continue };
            let (sender, receiver) = mpsc::channel(BACKLOG);
            let flow = Flow { number, state: state.clone(), counters: counters.clone() };
            let (down, client_socket) = (flow.clone(), socket.clone());
            tasks.spawn(flow.up(receiver, upstream.clone()));
            tasks.spawn(down.down(upstream, client_socket, client));
            flows.insert(client, sender);
            counters.flows.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        if flows.get(&client).is_some_and(|flow| flow.try_send(datagram).is_err()) {
            Toward::Target.counters(&counters).lost(1);
        }
    }
}

async fn connected(target: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::bind(LOOPBACK).await?;
    socket.connect(target).await?;
    Ok(Arc::new(socket))
}

#[derive(Debug, Clone)]
struct Flow {
    number: u64,
    state: watch::Receiver<State>,
    counters: Arc<Counting>,
}

impl Flow {
    async fn up(self, mut from: mpsc::Receiver<Bytes>, to: Arc<UdpSocket>) {
        let mut pump = Pump::new(self, Toward::Target);
        loop {
            let step = tokio::select! {
                datagram = from.recv() => match datagram {
                    Some(datagram) => Step::Arrived(datagram),
                    None => return,
                },
                step = pump.step() => step,
            };
            pump.accept(step);
            while let Some(datagram) = pump.due() {
                let _lost_if_unreachable = to.send(&datagram).await;
            }
        }
    }

    async fn down(self, from: Arc<UdpSocket>, to: Arc<UdpSocket>, client: SocketAddr) {
        let mut pump = Pump::new(self, Toward::Client);
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        loop {
            let step = tokio::select! {
                received = from.recv(&mut buffer) => match received {
                    Ok(len) => Step::Arrived(Bytes::copy_from_slice(&buffer[..len])),
                    // Nobody listens at the target at the moment.
                    Err(_unreachable) => continue,
                },
                step = pump.step() => step,
            };
            pump.accept(step);
            while let Some(datagram) = pump.due() {
                let _lost_if_unreachable = to.send_to(&datagram, client).await;
            }
        }
    }
}

/// What happened to one direction of a flow.
enum Step {
    Arrived(Bytes),
    Due,
    Weather,
}

/// One direction of a flow: its line and the weather above it.
struct Pump {
    flow: Flow,
    toward: Toward,
    line: Line,
}

impl Pump {
    fn new(mut flow: Flow, toward: Toward) -> Self {
        let (way, seed) = toward.weather(&flow.state.borrow_and_update().fault, flow.number);
        Self { line: Line::new(Medium::Packets, way, seed), flow, toward }
    }

    /// Waits for a packet's time or another weather. Cancel safe.
    async fn step(&mut self) -> Step {
        let due = self.line.next_due();
        tokio::select! {
            changed = self.flow.state.changed() => match changed {
                Ok(()) => Step::Weather,
                // The proxy is gone, and this task is about to be aborted.
                Err(_) => std::future::pending().await,
            },
            () = tokio::time::sleep_until(due.map_or_else(Instant::now, Instant::from_std)), if due.is_some() => Step::Due,
        }
    }

    fn accept(&mut self, step: Step) {
        match step {
            Step::Arrived(datagram) => {
                self.line.push(Instant::now().into_std(), datagram);
                self.toward.counters(&self.flow.counters).lost(self.line.take_dropped());
            }
            Step::Due => {}
            Step::Weather => {
                let (way, seed) =
                    self.toward.weather(&self.flow.state.borrow_and_update().fault, self.flow.number);
                self.line.set(way, seed);
            }
        }
    }

    fn due(&mut self) -> Option<Bytes> {
        let datagram = self.line.pop(Instant::now().into_std())?;
        self.toward.counters(&self.flow.counters).delivered(datagram.len());
        Some(datagram)
    }
}

/// Bytes of the largest UDP payload over IPv4.
const LARGEST_DATAGRAM: usize = 65_507;

/// Datagrams that may wait for a flow's own task.
const BACKLOG: usize = 1024;

/// Clients a proxy serves; datagrams of further ones are lost.
const MOST_FLOWS: usize = 256;
