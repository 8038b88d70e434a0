//! Relay nodes of a pool, and which of them owns a session.
//!
//! A session has one owner at a time: the node on which its peers meet. The owner is chosen when a token is minted and
//! kept as a *lease*, which the owner renews while the session is there and gives back when it drains. Nothing that live
//! traffic waits for asks about it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pool::NodeId;

/// A relay node, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayNode {
    /// Its name.
    pub id: NodeId,
    /// Where clients reach it, `wss://…/v2/ws`.
    pub url: String,
    /// Where it stands, in the operator's words.
    #[serde(default)]
    pub region: String,
    /// Its sockets.
    pub sockets: usize,
    /// The sessions whose peers meet there.
    #[serde(default)]
    pub sessions: usize,
    /// Whether it takes new sessions.
    pub ready: bool,
    /// Where other nodes reach it, `HOST:PORT`, when it takes in what they pass on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<String>,
}

/// What becomes of an owner that is not among the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherOwner {
    /// It loses the session.
    IsReplaced,
    /// It keeps it: whoever asks may not have heard of it yet.
    Stays,
}

/// Between two signs of life of a relay node.
pub const BEAT: Duration = Duration::from_secs(1);
/// A relay node that was not heard of for this long takes no sessions: three beats.
pub const NODE_LIFE: Duration = Duration::from_secs(3);
/// How long a lease holds: the life of a token and the time to dial, and three renewals of a node that is busy.
pub const LEASE: Duration = Duration::from_secs(90);
/// Between two renewals.
pub const RENEWAL: Duration = Duration::from_secs(30);
