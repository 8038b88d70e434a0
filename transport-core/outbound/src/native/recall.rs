//! The address of each host that worked or was looked up last, for the time when its name server is gone.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::native::address::Address;

/// The last good address of the few hosts that a program talks to. It is a second choice: names are always asked first.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    known: Mutex<Vec<(String, SocketAddr)>>,
    /// When the name server was last waited for in vain, unless it has answered since.
    silent: Mutex<Option<Instant>>,
}

impl Recall {
    /// The last address, if there is any.
    pub(crate) fn of(&self, address: &Address) -> Option<SocketAddr> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(host, at): &&(String, SocketAddr)| *host == address.host && at.port() == address.port;
        known.iter().find(is_it).map(|(_, at)| *at)
    }

    /// How long to wait for a name server at `now` with an address at hand.
    pub(crate) fn patience(&self, now: Instant) -> Duration {
        let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.is_some_and(|since| now < since + SILENT) { LOOKUP_AGAIN } else { LOOKUP }
    }

    /// Notes whether the name server answered.
    pub(crate) fn asked(&self, now: Instant, answered: bool) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = silent.filter(|since| now < *since + SILENT);
        *silent = if answered { None } else { fresh.or(Some(now)) };
    }

    /// Notes that the host is at `found`.
    pub(crate) fn note(&self, address: &Address, found: SocketAddr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(host, at)| *host != address.host || at.port() != address.port);
        if known.len() == MOST {
            known.remove(0);
        }
        known.push((address.host.clone(), found));
    }
}

/// How long a lookup may take before a known address is used instead (`docs/defaults.md`).
pub(crate) const LOOKUP: Duration = Duration::from_millis(1_500);
/// The same while the name server is known to be silent: what comes next must not wait for it again.
const LOOKUP_AGAIN: Duration = Duration::from_millis(250);
/// How long it is taken to be silent.
const SILENT: Duration = Duration::from_secs(30);
/// Hosts remembered; the longest unused gives way.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_name_server_is_waited_for_once_in_a_while_until_it_answers() {
        let (recall, start) = (Recall::default(), Instant::now());
        assert_eq!(recall.patience(start), LOOKUP);
        recall.asked(start, false);
        recall.asked(start + SILENT / 2, false);
        assert_eq!(recall.patience(start + SILENT / 2), LOOKUP_AGAIN);
        assert_eq!(recall.patience(start + SILENT), LOOKUP, "it may be slow and not dead");
        recall.asked(start + SILENT, false);
        assert_eq!(recall.patience(start + SILENT), LOOKUP_AGAIN);
        recall.asked(start + SILENT, true);
        assert_eq!(recall.patience(start + SILENT), LOOKUP);
    }

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
