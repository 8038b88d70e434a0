//! Listening sockets that were open before this process and stay open behind it, by systemd's protocol
//! (`LISTEN_FDS`, `LISTEN_FDNAMES`). Who connects between two processes waits in their queue.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
};

use listenfd::ListenFd;
use tokio::net::TcpListener;

use crate::listen;

/// Which listener a socket is for; its name in `LISTEN_FDNAMES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Clients: `public`.
    Public,
    /// The operator: `admin`.
    Admin,
    /// Other nodes of the pool: `internal`.
    Internal,
}

impl Place {
    const ALL: [Self; 3] = [Self::Public, Self::Admin, Self::Internal];

    const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
            Self::Internal => "internal",
        }
    }
}

/// The sockets that were handed over, each until it is taken.
#[derive(Debug, Default)]
pub(crate) struct Handed([Option<StdListener>; 3]);

impl Handed {
    /// Takes what this process was started with; nothing, as a rule.
    ///
    /// # Errors
    ///
    /// A descriptor is no TCP socket, or there are more than listeners.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut given = ListenFd::from_env();
        let places = places(&names, given.len())?;
        let mut handed = Self::default();
        for (number, place) in places.into_iter().enumerate() {
            handed.0[place as usize] = given.take_tcp_listener(number)?;
        }
        Ok(handed)
    }

    /// The listener of a place: the one that was handed over, whatever its address, or a new one at `address`.
    ///
    /// # Errors
    ///
    /// As [`listen::bind`].
    pub(crate) fn listen(&mut self, place: Place, address: SocketAddr) -> io::Result<TcpListener> {
        let Some(listener) = self.0[place as usize].take() else { return listen::bind(address) };
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let local = listener.local_addr()?;
        tracing::info!(listener = place.name(), address = %local, "was handed over: connections wait through a restart");
        if address.port() != 0 && address.port() != local.port() {
            tracing::warn!(listener = place.name(), configured = %address, address = %local, "listens where the socket is, not where the configuration says");
        }
        Ok(listener)
    }

    /// Says which sockets nobody took: connections to them would wait for ever.
    pub(crate) fn check(&self) {
        for place in Place::ALL {
            if self.0[place as usize].is_some() {
                tracing::warn!(
                    listener = place.name(),
                    "a socket was handed over for a listener that is off"
                );
            }
        }
    }
}

/// What each of `count` sockets is for: by its name, and without a name of ours the first place that nothing names.
fn places(names: &str, count: usize) -> io::Result<Vec<Place>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let names = names.split(':').chain(std::iter::repeat(""));
    let named: Vec<_> =
        names.take(count).map(|name| Place::ALL.into_iter().find(|place| place.name() == name)).collect();
    let mut taken: Vec<Place> = Vec::new();
    for place in named.iter().flatten() {
        if taken.contains(place) {
            return Err(wrong(format!(
                "two of the sockets that were handed over are named {}",
                place.name()
            )));
        }
        taken.push(*place);
    }
    let mut free = Place::ALL.into_iter().filter(|place| !taken.contains(place));
    let place = |named: Option<Place>| named.or_else(|| free.next());
    let places: Option<Vec<_>> = named.into_iter().map(place).collect();
    places.ok_or_else(|| wrong(format!("{count} sockets were handed over, for three listeners")))
}

#[cfg(test)]
mod tests {
    use super::{Place::*, *};

    #[test]
    fn a_socket_is_for_what_it_is_named_or_else_for_the_first_that_is_left() {
        assert_eq!(places("", 0).unwrap(), []);
        assert_eq!(places("beach-lifeguard.socket", 1).unwrap(), [Public]);
        assert_eq!(places("admin:public", 2).unwrap(), [Admin, Public]);
        assert_eq!(places("unknown:public:x", 3).unwrap(), [Admin, Public, Internal]);
        assert!(places("admin:admin", 2).unwrap_err().to_string().contains("named admin"));
        assert!(places("", 4).unwrap_err().to_string().contains("three listeners"));
    }
}
