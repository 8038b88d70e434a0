//! A UDP path that can be cut, made lossy and made slow, for tests and demos. Not for production.
//!
//! Everything happens beneath ICE, at the socket: nobody above is told.
//!
//! ```
//! use std::sync::Arc;
//! use transport_webrtc::{WebRtcConfig, impair::ImpairedUdp};
//!
//! let udp = ImpairedUdp::seeded(7);
//! let mut config = WebRtcConfig::default();
//! config.udp = Some(Arc::new(udp.clone()));
//! udp.set_loss(0.05);
//! udp.cut();
//! udp.restore();
//! ```

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    net::UdpSocket,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::wire::{UdpConn, UdpWire};

/// Opens UDP sockets whose datagrams can be dropped and delayed, in both directions.
///
/// Clones share the same impairments. Give it to one end of a link: given to both, loss and delay
/// apply twice. Each socket keeps the order of what it delivers, as a wire does.
#[derive(Debug, Clone)]
pub struct ImpairedUdp(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    conditions: Mutex<Conditions>,
    random: Mutex<StdRng>,
    passed: AtomicU64,
    dropped: AtomicU64,
    sockets: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Conditions {
    cut: bool,
    loss: f64,
    delay: Duration,
}

impl ImpairedUdp {
    /// Makes a path without impairments. `seed` decides which datagrams a loss rate will take.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Shared {
            conditions: Mutex::new(Conditions { cut: false, loss: 0.0, delay: Duration::ZERO }),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            passed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            sockets: AtomicUsize::new(0),
        }))
    }

    /// Drops every datagram from now on, those on their way included.
    pub fn cut(&self) {
        self.0.conditions.lock().cut = true;
    }

    /// Ends a cut.
    pub fn restore(&self) {
        self.0.conditions.lock().cut = false;
    }

    /// Says whether the path is cut.
    pub fn is_cut(&self) -> bool {
        self.0.conditions.lock().cut
    }

    /// Drops each datagram with probability `rate`, clamped to 0 to 1, in each direction.
    pub fn set_loss(&self, rate: f64) {
        self.0.conditions.lock().loss = if rate.is_nan() { 0.0 } else { rate.clamp(0.0, 1.0) };
    }

    /// Delays each datagram by `delay` in each direction: twice that on the round trip.
    pub fn set_delay(&self, delay: Duration) {
        self.0.conditions.lock().delay = delay;
    }

    /// Returns how many datagrams passed.
    pub fn passed(&self) -> u64 {
        self.0.passed.load(Ordering::Relaxed)
    }

    /// Returns how many datagrams were dropped.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Returns how many sockets are open.
    pub fn open_sockets(&self) -> usize {
        self.0.sockets.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl UdpWire for ImpairedUdp {
    async fn bind(&self, local: SocketAddr) -> io::Result<Box<dyn UdpConn>> {
        let socket = Arc::new(UdpSocket::bind(local).await?);
        let shared = self.0.clone();
        let (outbound, inbound) = (Arc::new(Fifo::new(&shared)), Arc::new(Fifo::new(&shared)));
        let mut tasks = JoinSet::new();
        tasks.spawn(carry_out(socket.clone(), outbound.clone()));
        tasks.spawn(carry_in(socket.clone(), inbound.clone()));
        shared.sockets.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(ImpairedConn { socket, outbound, inbound, shared, _tasks: tasks }))
    }
}

struct ImpairedConn {
    socket: Arc<UdpSocket>,
    outbound: Arc<Fifo>,
    inbound: Arc<Fifo>,
    shared: Arc<Shared>,
    /// Ends with the socket.
    _tasks: JoinSet<()>,
}

#[async_trait]
impl UdpConn for ImpairedConn {
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.outbound.enter(datagram, to);
        Ok(datagram.len())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (datagram, from) = self.inbound.leave().await;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok((length, from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Drop for ImpairedConn {
    fn drop(&mut self) {
        self.shared.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn carry_out(socket: Arc<UdpSocket>, fifo: Arc<Fifo>) {
    loop {
        let (datagram, to) = fifo.leave().await;
        // A datagram the kernel refuses is lost, as on any network.
        let _ = socket.send_to(&datagram, to).await;
    }
}

async fn carry_in(socket: Arc<UdpSocket>, fifo: Arc<Fifo>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => fifo.enter(&buffer[..length], from),
            // An ICMP error of an earlier datagram; the pause keeps a broken socket from spinning.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One direction of one socket. A task for each datagram would reorder them and distort SCTP.
struct Fifo {
    shared: Arc<Shared>,
    queue: Mutex<VecDeque<Parcel>>,
    filled: Notify,
}

struct Parcel {
    due: Instant,
    datagram: Vec<u8>,
    address: SocketAddr,
}

impl Fifo {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), queue: Mutex::default(), filled: Notify::new() }
    }

    fn enter(&self, datagram: &[u8], address: SocketAddr) {
        let conditions = *self.shared.conditions.lock();
        let lost = conditions.cut
            || (conditions.loss > 0.0 && self.shared.random.lock().random_bool(conditions.loss));
        let mut queue = self.queue.lock();
        if lost || queue.len() >= QUEUE {
            drop(queue);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let due = Instant::now() + conditions.delay;
        // A shorter delay must not overtake what is already on the way.
        let due = queue.back().map_or(due, |last| last.due.max(due));
        queue.push_back(Parcel { due, datagram: datagram.to_vec(), address });
        drop(queue);
        self.filled.notify_one();
    }

    /// Cancel safe: a parcel is taken in the last, synchronous step.
    async fn leave(&self) -> (Vec<u8>, SocketAddr) {
        loop {
            let next = self.queue.lock().front().map(|parcel| parcel.due);
            match next {
                None => self.filled.notified().await,
                Some(due) if due > Instant::now() => sleep_until(due).await,
                Some(_) => {
                    let Some(parcel) = self.queue.lock().pop_front() else { continue };
                    if self.shared.conditions.lock().cut {
                        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    self.shared.passed.fetch_add(1, Ordering::Relaxed);
                    return (parcel.datagram, parcel.address);
                }
            }
        }
    }
}

/// Datagrams that may be on the way in one direction of one socket; more are dropped, as by a router.
const QUEUE: usize = 2048;

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn pair(udp: &ImpairedUdp) -> (Box<dyn UdpConn>, UdpSocket, SocketAddr) {
        let near = udp.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = far.local_addr().unwrap();
        (near, far, address)
    }

    #[tokio::test]
    async fn a_cut_drops_both_ways_until_it_is_restored() {
        let udp = ImpairedUdp::seeded(1);
        let (near, far, address) = pair(&udp).await;
        let back = near.local_addr().unwrap();
        let mut buffer = [0; 16];
        for cut in [true, false] {
            if cut {
                udp.cut()
            } else {
                udp.restore()
            }
            near.send_to(b"out", address).await.unwrap();
            far.send_to(b"in", back).await.unwrap();
            let patience = if cut { Duration::from_millis(100) } else { Duration::from_secs(5) };
            assert_eq!(timeout(patience, far.recv_from(&mut buffer)).await.is_err(), cut);
            assert_eq!(timeout(patience, near.recv_from(&mut buffer)).await.is_err(), cut);
        }
        assert_eq!((udp.dropped(), udp.passed()), (2, 2));
        drop(near);
        assert_eq!(udp.open_sockets(), 0);
    }

    #[tokio::test]
    async fn delay_keeps_the_order() {
        let udp = ImpairedUdp::seeded(1);
        let (near, far, address) = pair(&udp).await;
        udp.set_delay(Duration::from_millis(50));
        let start = Instant::now();
        for number in 0..50u8 {
            if number == 25 {
                udp.set_delay(Duration::ZERO);
            }
            near.send_to(&[number], address).await.unwrap();
        }
        let mut buffer = [0; 16];
        for number in 0..50u8 {
            far.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer[0], number);
        }
        assert!(start.elapsed() >= Duration::from_millis(50));
    }

    #[tokio::test]
    async fn the_loss_rate_holds() {
        let udp = ImpairedUdp::seeded(3);
        let (near, _far, address) = pair(&udp).await;
        udp.set_loss(0.3);
        for _ in 0..1000 {
            near.send_to(b"x", address).await.unwrap();
        }
        assert!((220..380).contains(&udp.dropped()), "{}", udp.dropped());
    }
}
