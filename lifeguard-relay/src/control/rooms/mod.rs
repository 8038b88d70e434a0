//! Who is in which room: on this node, and where there is a pool, on its other nodes.

mod elsewhere;
mod member;
mod population;
mod room;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use beach_lifeguard_client::{
    Role,
    membership::LinkId,
    reason::Reason,
    session::SessionDocument,
    signaling::{FromRoom, RoomPeer},
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub(super) use self::{
    elsewhere::listen,
    member::{Entrant, Presence},
};
use self::{
    member::{End, Member},
    population::Population,
    room::Room,
};
use crate::{
    store::{
        Pool,
        pool::{Entry, NodeId, Seat},
    },
    telemetry::metrics::Metrics,
};

/// Every room of this node. Clones share them.
#[derive(Clone)]
pub(super) struct Rooms(Arc<Inner>);

struct Inner {
    /// One lock owns all memberships, so a join cannot race a last leave.
    rooms: Mutex<Population>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// The other nodes; none where there is one node only.
    pool: Option<Pool>,
    entries: AtomicU64,
}

/// Why somebody who proved to belong here does not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// The room has as many as it may.
    Full,
    /// The link has brought as many as it may.
    LinkFull,
    /// The host changed its mind meanwhile, or the store does not answer.
    Refused(Reason),
}

impl Rooms {
    pub(super) fn new(
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stop: CancellationToken,
        pool: Option<Pool>,
    ) -> Self {
        let (rooms, entries) = (Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Inner { rooms, metrics, tasks, stop, pool, entries }))
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Whether there may be other nodes.
    pub(super) fn is_pooled(&self) -> bool {
        self.0.pool.is_some()
    }

    /// What is known of a session while its host is in its room: what the store said once, whatever has become of the
    /// store since.
    pub(super) fn document(&self, session: Uuid) -> Option<Arc<SessionDocument>> {
        let rooms = self.0.rooms.lock();
        let room = rooms.room(session)?;
        room.members.values().any(|member| member.seat.role == Role::Host).then(|| room.document.clone())
    }

    /// Hears of a document. When it is the newest, whoever it does not let in any more is shown out at once.
    pub(super) fn apply(&self, document: &Arc<SessionDocument>) {
        self.change(document.session_id, |room| room.renew(document, &self.0.metrics));
    }

    /// Enters with a proof that holds by `document`; the newest entry of a peer wins. Tells the others, and returns who
    /// they are.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: who is not let in leaves nothing.
    pub(super) async fn enter(
        &self,
        entrant: Entrant,
        document: &Arc<SessionDocument>,
    ) -> Result<(Presence, Vec<RoomPeer>), NoEntry> {
        let Entrant { peer, role, link } = entrant;
        let session = document.session_id;
        let mut seat = self.free_seat(role, link);
        let elsewhere = match &self.0.pool {
            Some(pool) => Some(self.sit(pool, entrant, document, &mut seat).await?),
            None => None,
        };
        let (to_inbox, inbox) = mpsc::channel(INBOX);
        let end = Arc::<End>::default();
        let member = Member { seat, inbox: to_inbox, end: end.clone() };
        // From here on, dropping it gives the seat up.
        let presence = Presence { rooms: self.clone(), session, peer, entry: seat.entry, inbox, end };
        let present = self.open(document, |room| {
            if let Some(elsewhere) = elsewhere {
                room.asked(self.node(), Some((0, elsewhere)));
            }
            room.renew(document, &self.0.metrics);
            room.admits(entrant).map(|()| room.seat(peer, member))
        });
        present?.map(|present| (presence, present))
    }

    /// The seat of a new entry. Where there is a pool, the store numbers it.
    fn free_seat(&self, role: Role, link: Option<LinkId>) -> Seat {
        let id = self.0.entries.fetch_add(1, Relaxed);
        Seat { entry: Entry { node: self.node(), id }, number: id, role, link }
    }

    fn node(&self) -> NodeId {
        self.0.pool.as_ref().map_or(NodeId(0), Pool::node)
    }

    fn leave(&self, session: Uuid, peer: Uuid, entry: Entry) {
        self.change(session, |room| room.leave(peer, entry));
        if let Some(pool) = &self.0.pool {
            pool.rise(session, peer, entry);
        }
    }

    /// Brings a message to a member, or on its way to the member's node; says whether it is.
    fn send(&self, session: Uuid, to: Uuid, message: FromRoom) -> bool {
        let rooms = self.0.rooms.lock();
        let delivered = rooms.room(session).is_some_and(|room| match room.members.get(&to) {
            Some(member) => member.inbox.try_send(message).is_ok(),
            None => room.node_of(to).is_some_and(|node| self.forward(node, session, to, message)),
        });
        self.0.metrics.signaling_envelope(if delivered { "delivered" } else { "undelivered" });
        delivered
    }

    /// Does something with a room, if there is one.
    fn change<T>(&self, session: Uuid, work: impl FnOnce(&mut Room) -> T) -> Option<T> {
        self.counted(|rooms| rooms.change(session, work))
    }

    /// Does something with a room, which is opened if there is none.
    fn open<T>(
        &self,
        document: &Arc<SessionDocument>,
        work: impl FnOnce(&mut Room) -> T,
    ) -> Result<T, NoEntry> {
        self.counted(|rooms| rooms.open(document, work))
    }

    fn counted<T>(&self, work: impl FnOnce(&mut Population) -> T) -> T {
        let mut rooms = self.0.rooms.lock();
        let done = work(&mut rooms);
        let (count, members) = rooms.count();
        self.0.metrics.signaling_population(count, members);
        done
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms")
            .field("rooms", &self.0.rooms.lock().count().0)
            .field("pool", &self.0.pool)
            .finish_non_exhaustive()
    }
}

/// Rooms on one node.
const ROOMS: usize = 100_000;
/// Members of one room: a host and its viewers.
const MEMBERS: usize = 256;
/// Those of them who came by one link.
const LINK_MEMBERS: usize = 64;
/// Messages that may wait for one member: the candidates of several dials.
const INBOX: usize = 256;

#[cfg(test)]
mod tests;
