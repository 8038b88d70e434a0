//! The address of each host that worked or was looked up last, for the time when its name server is gone.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use crate::native::address::Address;

/// The last good address of the few hosts that a program talks to. It is a second choice: names are always asked first.
#[derive(Debug, Default)]
pub(crate) struct Recall(Mutex<Vec<(String, SocketAddr)>>);

impl Recall {
    /// The last address, if there is any.
    pub(crate) fn of(&self, address: &Address) -> Option<SocketAddr> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(host, at): &&(String, SocketAddr)| *host == address.host && at.port() == address.port;
        known.iter().find(is_it).map(|(_, at)| *at)
    }

    /// Notes that the host is at `found`.
    pub(crate) fn note(&self, address: &Address, found: SocketAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(host, at)| *host != address.host || at.port() != address.port);
        if known.len() == MOST {
            known.remove(0);
        }
        known.push((address.host.clone(), found));
    }
}

/// Hosts remembered; the longest unused gives way.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_host_and_port_counts_and_few_are_kept() {
        let recall = Recall::default();
        let (name, other) = (Address::new("a.test", 443), Address::new("a.test", 8443));
        recall.note(&name, "10.0.0.1:443".parse().unwrap());
        recall.note(&name, "10.0.0.2:443".parse().unwrap());
        assert_eq!(recall.of(&name), Some("10.0.0.2:443".parse().unwrap()));
        assert_eq!(recall.of(&other), None);
        for number in 0..MOST {
            recall.note(&Address::new(&format!("{number}.test"), 1), "10.0.0.3:1".parse().unwrap());
        }
        assert_eq!(recall.of(&name), None);
    }
}
