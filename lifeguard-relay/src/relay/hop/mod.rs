//! From the node a client came to, the *entry*, to the node that owns its session: one connection between two nodes for
//! each such socket (`docs/adr/0038-one-address-for-a-pool.md`).
//!
//! The entry checks the hello and spends the token. Then it says to the owner who came, and copies bytes in both
//! directions. To the owner this is a socket like any other, behind its hello.

mod arrival;
mod boundary;
mod copy;
mod entry;
mod handshake;
mod key;
mod owner;
mod question;
mod splice;

use std::{io, time::Duration};

use socket2::SockRef;
use tokio::net::TcpStream;

pub use self::key::{PoolKey, ShortKey};
pub(super) use self::{
    arrival::Arrival,
    entry::{leave, pass_on},
    owner::serve,
    question::ask,
};
use super::config::RelayConfig;
use crate::store::pool::NodeId;

/// How the nodes of a pool reach each other. Needed where all of them have one public address.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InternalConfig {
    /// Where other nodes reach the internal listener of this one, `HOST:PORT`.
    pub address: String,
    /// The key that all nodes share. This node proves by it who it is.
    pub key: PoolKey,
    /// The key before it, or the next one: accepted from others while a key is replaced. Default none.
    pub other_key: Option<PoolKey>,
}

impl InternalConfig {
    /// Reached at `address`, with this key.
    pub fn new(address: impl Into<String>, key: PoolKey) -> Self {
        Self { address: address.into(), key, other_key: None }
    }

    /// Every key of which others may show that they have it.
    fn accepted(&self) -> impl Iterator<Item = &PoolKey> {
        std::iter::once(&self.key).chain(&self.other_key)
    }
}

/// The way to another node.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) node: NodeId,
    pub(super) address: String,
}

/// How long the other node may take nothing: the owner may hold a sender that is too fast for almost as long, and then ends
/// it by itself.
fn longest_hold(config: &RelayConfig) -> Duration {
    config.limits.patience + HELD_MARGIN
}

/// Small pieces go at once, and an end that answers nothing any more is found out.
fn set_options(stream: &TcpStream, config: &RelayConfig) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    // It counts for a window that stays closed as well, so it must outlast a hold.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(longest_hold(config)))?;
    #[cfg(not(target_os = "linux"))]
    let _ = config;
    Ok(())
}

/// For dialling the owner and for both proofs. A client waits 5 s for the answer to its hello.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(2);
/// For the owner to end a sender that it held too long.
const HELD_MARGIN: Duration = Duration::from_secs(5);
