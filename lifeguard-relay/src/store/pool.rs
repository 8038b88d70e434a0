//! What the control-plane nodes of a deployment tell each other, so that the members of a session meet whichever node
//! each of them came to.
//!
//! A *seat* is a member's place in a room, on one node. Seats are kept in the store, where taking one is atomic: of two
//! members who come at the same moment to two nodes, the second finds the first. What follows from a seat that was taken
//! or given up is told from node to node.

use std::fmt;

use beach_lifeguard_client::{
    Role,
    membership::LinkId,
    signaling::{FromRoom, RoomPeer},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names a node for as long as its process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl NodeId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(hex: &str) -> Option<Self> {
        u64::from_str_radix(hex, 16).ok().map(Self)
    }
}

/// As 16 hex digits.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One entry of one member on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The node it was made on.
    pub node: NodeId,
    /// Its number there.
    pub id: u64,
}

/// A member's place in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The entry that took it.
    pub entry: Entry,
    /// Grows with each seat that is taken in this room: the highest of a peer's counts.
    pub number: u64,
    /// Host or viewer.
    pub role: Role,
    /// What a viewer came by.
    pub link: Option<LinkId>,
}

impl Seat {
    /// How others see the member.
    pub const fn peer(&self, peer_id: Uuid) -> RoomPeer {
        RoomPeer { peer_id, role: self.role }
    }
}

/// What became of asking for a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sat {
    /// It is taken.
    Seated {
        /// Its number.
        number: u64,
        /// The number of this moment. Whatever has a lower one and is not among `others` has left.
        at: u64,
        /// The seats of others, at this moment, on all nodes.
        others: Vec<(Uuid, Seat)>,
    },
    /// The room has as many as it may.
    Full,
    /// The link has brought as many as it may.
    LinkFull,
    /// A newer entry of the same peer has it.
    Superseded,
}

/// How many may sit in one room.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// Viewers in all.
    pub viewers: usize,
    /// Those of them who came by one link.
    pub by_link: usize,
}

/// From node to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Word {
    /// A session's document is another one now.
    Changed {
        /// Which session.
        session: Uuid,
    },
    /// Said by a node to itself: it hears what is said.
    Echo,
    /// A message for a member.
    For {
        /// Which session.
        session: Uuid,
        /// Which member.
        to: Uuid,
        /// The node of whoever sent it.
        origin: NodeId,
        /// The message.
        message: FromRoom,
    },
    /// A seat was taken.
    Joined {
        /// Which session.
        session: Uuid,
        /// Whose.
        peer: Uuid,
        /// The seat.
        seat: Seat,
    },
    /// A seat was given up.
    Left {
        /// Which session.
        session: Uuid,
        /// Whose.
        peer: Uuid,
        /// The entry that had it.
        entry: Entry,
    },
}

/// What a node hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Words may have been missed: what is known of other nodes is to be compared with the store.
    Again,
    /// A node is there.
    Came(NodeId),
    /// A node is gone, and everybody on it.
    Gone(NodeId),
    /// Another node, or this one, says something.
    Word(Word),
}
