//! A node's part in the pool: it takes seats for its members, speaks to other nodes and hears them.

mod ear;
mod mouth;
mod seats;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use self::{mouth::Mouth, seats::Scripts};
use super::connection::Redis;
use crate::store::{
    StoreError,
    pool::{Entry, Heard, NodeId, Places, Sat, Seat, Word},
};

/// This node in the pool. Clones share it.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    redis: Arc<Redis>,
    node: NodeId,
    scripts: Scripts,
    mouth: Mouth,
    /// The nodes that live, once they are known, and whether the last beat missed them.
    nodes: RwLock<HashMap<NodeId, bool>>,
}

impl Pool {
    pub(super) fn join(
        redis: Arc<Redis>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> (Self, mpsc::Receiver<Heard>) {
        let (to_hear, heard) = mpsc::channel(WORDS);
        let (mouth, said) = Mouth::new();
        let pool = Self(Arc::new(Inner {
            redis,
            node: NodeId::random(),
            scripts: Scripts::new(),
            mouth,
            nodes: RwLock::default(),
        }));
        tasks.spawn(mouth::run(Arc::downgrade(&pool.0), said, to_hear.clone(), stop.clone()));
        tasks.spawn(ear::run(pool.clone(), to_hear, stop.clone()));
        (pool, heard)
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// How many nodes live; 0 until the first word of the store.
    pub fn nodes(&self) -> usize {
        self.0.nodes.read().len()
    }

    /// Takes a seat if there is a free one, or for a peer who has one: the newest entry counts. Tells the other nodes
    /// of the room. `seat.number` is ignored.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the seat may be taken although nobody was told. [`rise`](Self::rise) gives it up.
    pub async fn sit(
        &self,
        session: Uuid,
        peer: Uuid,
        seat: Seat,
        places: Places,
    ) -> Result<Sat, StoreError> {
        self.take(session, peer, seat, Some(places)).await
    }

    /// Keeps a seat for another while, and takes it again if the store forgot it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn keep(&self, session: Uuid, peer: Uuid, seat: Seat) -> Result<Sat, StoreError> {
        self.take(session, peer, seat, None).await
    }

    async fn take(
        &self,
        session: Uuid,
        peer: Uuid,
        mut seat: Seat,
        places: Option<Places>,
    ) -> Result<Sat, StoreError> {
        let inner = &self.0;
        let call = inner.scripts.sit(session, peer, &seat, places, inner.nodes.read().keys());
        let sat = call.ask(&inner.redis).await?;
        if let Sat::Seated { number, others, .. } = &sat {
            seat.number = *number;
            let elsewhere: HashSet<_> = others.iter().map(|(_, seat)| seat.entry.node).collect();
            for node in elsewhere.into_iter().filter(|node| *node != inner.node) {
                self.say(node, Word::Joined { session, peer, seat });
            }
        }
        Ok(sat)
    }

    /// Gives a seat up if it is this entry's, and tells the other nodes of the room. Does not wait.
    pub fn rise(&self, session: Uuid, peer: Uuid, entry: Entry) {
        self.0.mouth.rise(session, peer, entry);
    }

    /// Says something to one node; `false` when too much waits to be said. Does not wait.
    pub fn say(&self, node: NodeId, word: Word) -> bool {
        self.0.mouth.say(channel_of(node), word)
    }

    /// Says something to every node, this one too.
    pub fn say_to_all(&self, word: Word) -> bool {
        self.0.mouth.say(ALL.to_owned(), word)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("node", &self.0.node)
            .field("nodes", &self.nodes())
            .finish_non_exhaustive()
    }
}

fn channel_of(node: NodeId) -> String {
    format!("lifeguard:node:{node}")
}

const ALL: &str = "lifeguard:all";
/// What was heard and not yet acted upon.
const WORDS: usize = 8_192;
