//! The Redis that all nodes share.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use super::{redis::Redis, redis_many::Watched};

/// One server, or a master that a Sentinel watches.
pub enum Store {
    /// One server.
    Single(Redis),
    /// A master with a replica and a Sentinel.
    Watched(Watched),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single",
            Self::Watched(_) => "Watched",
        })
    }
}

impl Store {
    pub(crate) fn start(watched: bool) -> Self {
        if watched { Self::Watched(Watched::start()) } else { Self::Single(Redis::start()) }
    }

    /// Where it is, if it is always in one place.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Single(redis) => Some((Ipv4Addr::LOCALHOST, redis.port()).into()),
            Self::Watched(_) => None,
        }
    }

    /// The URL of a node that reaches it by `line`.
    pub(crate) fn url(&self, line: Option<SocketAddr>) -> String {
        match (self, line) {
            (Self::Watched(watched), _) => watched.url(),
            (Self::Single(_), Some(line)) => format!("redis://{line}/0"),
            (Self::Single(redis), None) => redis.url(),
        }
    }

    /// The server that is asked at present.
    pub fn master(&self) -> &Redis {
        match self {
            Self::Single(redis) => redis,
            Self::Watched(watched) => &watched.servers[watched.master()],
        }
    }

    /// Kills the master. Where a Sentinel watches, the dead server comes back as a replica with [`restart`](Self::restart).
    ///
    /// Returns which one.
    pub fn kill_master(&mut self) -> usize {
        match self {
            Self::Single(redis) => {
                redis.kill();
                0
            }
            Self::Watched(watched) => {
                let master = watched.master();
                watched.servers[master].kill();
                master
            }
        }
    }

    /// Starts a server that was killed, empty.
    pub fn restart(&mut self, server: usize) {
        match self {
            Self::Single(redis) => redis.restart(),
            Self::Watched(watched) => watched.servers[server].restart(),
        }
    }
}
