//! How many connections there may be: in all, from one address, and of strangers, who have not proven who they
//! are.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::network::{Scope, scopes_of};
use crate::telemetry::metrics::Metrics;

/// The caps. Addresses are counted by network: one IPv4 address or one IPv6 /64. An IPv6 /56 may have four times as
/// many, a /48 sixteen times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// Connections in all. Default 20,000: twice the ten thousand idle sessions the relay is sized for.
    pub connections: usize,
    /// Connections from one address. Default 512: an office behind one NAT.
    pub per_address: usize,
    /// Connections in all that have not proven who they are. Default 512.
    pub strangers: usize,
    /// The same from one address. Default 8.
    pub strangers_per_address: usize,
    /// Leaves loopback addresses out of the two per-address caps: a proxy or a test on this machine
    /// speaks for many. Default on.
    pub exempt_loopback: bool,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            connections: 20_000,
            per_address: 512,
            strangers: 512,
            strangers_per_address: 8,
            exempt_loopback: true,
        }
    }
}

/// Which cap turned a connection away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CapReached {
    /// Too many from that address.
    Address,
    /// Too many in all.
    Connections,
    /// Too many strangers, none of them old enough to make room.
    Strangers,
}

impl CapReached {
    /// Its name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Connections => "connections",
            Self::Strangers => "strangers",
        }
    }
}

/// The open connections of a listener, capped.
#[derive(Debug)]
pub struct Connections {
    caps: Caps,
    metrics: Option<Arc<Metrics>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    addresses: HashMap<Scope, Count>,
    /// Strangers, oldest first.
    strangers: BTreeMap<u64, Waiting>,
    next: u64,
    refused: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    connections: usize,
    strangers: usize,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    evict: Arc<Notify>,
}

impl Connections {
    /// Starts with none.
    pub fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self { caps, metrics: None, state: Mutex::default() })
    }

    /// As [`new`](Self::new), and counts what is turned away in `metrics`.
    pub fn counting(caps: Caps, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { caps, metrics: Some(metrics), state: Mutex::default() })
    }

    /// Opens one connection, of a stranger. `exempt` leaves out the caps per address. When strangers are too many
    /// in all, the oldest of them makes room: an honest client is one for milliseconds.
    ///
    /// # Errors
    ///
    /// The cap that stands against it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        exempt: bool,
    ) -> Result<(OpenConnection, Stranger), CapReached> {
        let mut state = self.state.lock();
        match self.may_open(&state, address, exempt) {
            Err(refused) => {
                state.refused += 1;
                if let Some(metrics) = &self.metrics {
                    metrics.connection_refused(refused.label());
                }
                Err(refused)
            }
            Ok(()) => {
                while state.strangers.len() >= self.caps.strangers {
                    let Some((_, oldest)) = state.strangers.pop_first() else { break };
                    oldest.evict.notify_one();
                }
                let id = state.next;
                state.next += 1;
                let evict = Arc::new(Notify::new());
                state.strangers.insert(id, Waiting { since: Instant::now(), evict: evict.clone() });
                state.connections += 1;
                for scope in scopes_of(address) {
                    let count = state.addresses.entry(scope).or_default();
                    count.connections += 1;
                    count.strangers += 1;
                }
                let open = OpenConnection { all: self.clone(), address };
                let proven = AtomicBool::new(false);
                Ok((open, Stranger { all: self.clone(), address, id, evict, proven }))
            }
        }
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.state.lock().connections
    }

    /// Connections that have not proven who they are.
    pub fn strangers(&self) -> usize {
        self.state.lock().strangers.len()
    }

    /// Connections turned away since the start.
    pub fn refused(&self) -> u64 {
        self.state.lock().refused
    }

    fn may_open(&self, state: &State, address: IpAddr, exempt: bool) -> Result<(), CapReached> {
        if state.connections >= self.caps.connections {
            return Err(CapReached::Connections);
        }
        let exempt = exempt || (self.caps.exempt_loopback && address.to_canonical().is_loopback());
        let is_full = |scope: Scope| {
            let count = state.addresses.get(&scope).copied().unwrap_or_default();
            let most = |cap: usize| cap.saturating_mul(scope.share as usize);
            count.connections >= most(self.caps.per_address)
                || count.strangers >= most(self.caps.strangers_per_address)
        };
        if !exempt && scopes_of(address).any(is_full) {
            return Err(CapReached::Address);
        }
        if state.strangers.len() >= self.caps.strangers {
            let oldest = state.strangers.first_key_value();
            if oldest.is_none_or(|(_, stranger)| stranger.since.elapsed() < STRANGER_GRACE) {
                return Err(CapReached::Strangers);
            }
        }
        Ok(())
    }

    fn leave(&self, address: IpAddr, subtract: impl Fn(&mut Count), and: impl FnOnce(&mut State)) {
        let state = &mut *self.state.lock();
        for scope in scopes_of(address) {
            let mut count = state.addresses.remove(&scope).unwrap_or_default();
            subtract(&mut count);
            if count.connections > 0 || count.strangers > 0 {
                state.addresses.insert(scope, count);
            }
        }
        and(state);
    }
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    all: Arc<Connections>,
    address: IpAddr,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.all.leave(self.address, |count| count.connections -= 1, |state| state.connections -= 1);
    }
}

/// A stranger's place, given back when dropped: on admission, or at the end.
#[derive(Debug)]
pub(crate) struct Stranger {
    all: Arc<Connections>,
    address: IpAddr,
    id: u64,
    evict: Arc<Notify>,
    proven: AtomicBool,
}

impl Stranger {
    /// It has proven who it is: its place is another's from here on.
    pub(crate) fn prove(&self) {
        if !self.proven.swap(true, Relaxed) {
            let forget = |state: &mut State| drop(state.strangers.remove(&self.id));
            self.all.leave(self.address, |count| count.strangers -= 1, forget);
        }
    }

    /// Whether it has.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Relaxed)
    }

    /// Waits until this stranger must make room for others.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe while one task waits at a time.
    pub(crate) async fn evicted(&self) {
        self.evict.notified().await;
        // Whoever waits next, after an upgrade, must learn of it as well.
        self.evict.notify_one();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.prove();
    }
}

/// A stranger is not evicted before this: an honest one is done by then on any network that works.
const STRANGER_GRACE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        connections: 4,
        per_address: 3,
        strangers: 3,
        strangers_per_address: 2,
        exempt_loopback: true,
    };

    fn address(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn each_cap_refuses_with_its_own_reason() {
        let metrics = Arc::new(Metrics::new());
        let all = Connections::counting(CAPS, metrics.clone());
        let a = [all.admit(address(1), false).unwrap(), all.admit(address(1), false).unwrap()];
        assert_eq!(all.admit(address(1), false).unwrap_err(), CapReached::Address);
        let b = all.admit(address(2), false).unwrap();
        assert_eq!(all.admit(address(3), false).unwrap_err(), CapReached::Strangers);
        // Admitted: no strangers any more, but still connections.
        let [(open, stranger), (other, another)] = a;
        drop((stranger, another));
        let c = all.admit(address(3), false).unwrap();
        assert_eq!(all.admit(address(4), false).unwrap_err(), CapReached::Connections);
        drop((open, other, b, c));
        assert_eq!((all.open(), all.strangers(), all.refused()), (0, 0, 3));
        for cap in ["address", "connections", "strangers"] {
            assert_eq!(metrics.read("beach_lifeguard_connections_refused", &[cap]), 1, "{cap}");
        }
        assert!(all.state.lock().addresses.is_empty());
    }

    #[test]
    fn loopback_is_spared_the_caps_per_address_only() {
        let all = Connections::new(CAPS);
        let local: IpAddr = [127, 0, 0, 1].into();
        let _held: Vec<_> = (0..3).map(|_| all.admit(local, false).unwrap()).collect();
        assert_eq!(all.admit(local, false).unwrap_err(), CapReached::Strangers);
    }

    #[test]
    fn a_subscriber_with_many_networks_has_four_times_as_many_and_a_site_sixteen() {
        let caps = Caps { connections: 1_000, strangers: 1_000, per_address: 1_000, ..CAPS };
        let opened = |step: u32| {
            let all = Connections::new(caps);
            let base = 0x2001_0db8_0001_u128 << 80;
            let address = |n: u128| std::net::Ipv6Addr::from_bits(base + (n << step)).into();
            let held: Vec<_> = (0..100).filter_map(|n| all.admit(address(n), false).ok()).collect();
            let count = held.len();
            drop(held);
            assert!(all.state.lock().addresses.is_empty());
            count
        };
        assert_eq!((opened(0), opened(64), opened(72), opened(80)), (2, 8, 32, 100));
    }

    #[tokio::test]
    async fn the_oldest_stranger_makes_room() {
        let all = Connections::new(Caps { connections: 100, ..CAPS });
        let old: Vec<_> = (0..3).map(|n| all.admit(address(n), false).unwrap()).collect();
        for stranger in all.state.lock().strangers.values_mut() {
            stranger.since -= STRANGER_GRACE;
        }
        let _new = all.admit(address(9), false).unwrap();
        old[0].1.evicted().await;
        // It stays evicted, whoever asks, and is counted off only once.
        old[0].1.evicted().await;
        drop(old);
        assert_eq!((all.open(), all.strangers()), (1, 1));
    }
}
