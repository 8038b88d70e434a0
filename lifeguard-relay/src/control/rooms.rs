//! Who is in which room. No IO.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use beach_lifeguard_client::{
    CloseCode, Role,
    membership::{LinkId, MembershipProof},
    reason::Reason,
    session::SessionDocument,
    signaling::{FromRoom, RoomPeer},
};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::telemetry::metrics::Metrics;

/// Every room of this node. Clones share them.
#[derive(Clone)]
pub(super) struct Rooms(Arc<Inner>);

struct Inner {
    rooms: Mutex<HashMap<Uuid, Room>>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One session's members. One lock owns all memberships, so a join cannot race a last leave.
struct Room {
    /// The newest that was heard of: whoever it does not let in is not here.
    document: Arc<SessionDocument>,
    members: HashMap<Uuid, Member>,
}

/// Who enters, proven.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entrant {
    pub(super) peer: Uuid,
    pub(super) role: Role,
    /// What a viewer came by.
    pub(super) link: Option<LinkId>,
}

impl From<&MembershipProof> for Entrant {
    fn from(proof: &MembershipProof) -> Self {
        Self { peer: proof.peer_id(), role: proof.role, link: proof.link }
    }
}

struct Member {
    role: Role,
    link: Option<LinkId>,
    /// Tells this entry from a newer one of the same peer.
    entry: u64,
    inbox: mpsc::Sender<FromRoom>,
    end: Arc<End>,
}

/// How the room shows a member out.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Cancelled when it is time to go.
    pub(super) now: CancellationToken,
    why: OnceLock<(CloseCode, &'static str)>,
}

impl End {
    /// Shows the member out; the first word counts.
    fn order(&self, code: CloseCode, why: &'static str) {
        let _ = self.why.set((code, why));
        self.now.cancel();
    }

    /// What to say then.
    pub(super) fn farewell(&self) -> (CloseCode, &'static str) {
        *self.why.get().unwrap_or(&(CloseCode::SUPERSEDED, "superseded"))
    }
}

impl Member {
    /// Tells a member who comes and who goes. One that does not read would believe what is no longer so:
    /// it is shown out, and finds out when it comes back.
    fn tell(&self, news: FromRoom) {
        if matches!(self.inbox.try_send(news), Err(TrySendError::Full(_))) {
            self.end.order(CloseCode::SLOW_CONSUMER, "behind");
        }
    }
}

/// Why the host does not have this peer here any more, if so.
fn put_out(document: &SessionDocument, peer: Uuid, link: Option<LinkId>) -> Option<Reason> {
    let link = link?;
    if document.has_removed(peer) {
        return Some(Reason::PeerRemoved);
    }
    document.link(link).is_none().then_some(Reason::LinkRevoked)
}

/// One entry into a room; dropping it leaves.
pub(super) struct Presence {
    rooms: Rooms,
    session: Uuid,
    peer: Uuid,
    entry: u64,
    pub(super) inbox: mpsc::Receiver<FromRoom>,
    pub(super) end: Arc<End>,
}

/// Why somebody who proved to belong here does not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// The room has as many as it may.
    Full,
    /// The link has brought as many as it may.
    LinkFull,
    /// The host changed its mind meanwhile.
    Refused(Reason),
}

impl Rooms {
    pub(super) fn new(metrics: Arc<Metrics>, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner { rooms: Mutex::default(), metrics, tasks: TaskTracker::new(), stop }))
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// What is known of a session while its host is in its room: what the store said once, whatever has become of the
    /// store since.
    pub(super) fn document(&self, session: Uuid) -> Option<Arc<SessionDocument>> {
        let rooms = self.0.rooms.lock();
        let room = rooms.get(&session)?;
        room.members.values().any(|member| member.role == Role::Host).then(|| room.document.clone())
    }

    /// Hears of a document. When it is the newest, whoever it does not let in any more is shown out at once.
    pub(super) fn apply(&self, document: &Arc<SessionDocument>) {
        let mut rooms = self.0.rooms.lock();
        if let Some(room) = rooms.get_mut(&document.session_id) {
            self.renew(room, document);
        }
    }

    fn renew(&self, room: &mut Room, document: &Arc<SessionDocument>) {
        if document.revision <= room.document.revision {
            return;
        }
        room.document = document.clone();
        for (&peer, member) in &room.members {
            if let Some(reason) = put_out(document, peer, member.link) {
                self.0.metrics.signaling_shown_out(reason.label());
                member.end.order(CloseCode::BAD_TOKEN, reason.label());
            }
        }
    }

    /// Enters with a proof that holds by `document`; the newest entry of a peer wins. Tells the others, and returns who
    /// they are.
    pub(super) fn enter(
        &self,
        Entrant { peer, role, link }: Entrant,
        document: &Arc<SessionDocument>,
        entry: u64,
    ) -> Result<(Presence, Vec<RoomPeer>), NoEntry> {
        let session = document.session_id;
        let mut rooms = self.0.rooms.lock();
        if rooms.len() >= ROOMS && !rooms.contains_key(&session) {
            return Err(NoEntry::Full);
        }
        let room = rooms
            .entry(session)
            .or_insert_with(|| Room { document: document.clone(), members: HashMap::new() });
        self.renew(room, document);
        if let Some(reason) = put_out(&room.document, peer, link) {
            return Err(NoEntry::Refused(reason));
        }
        room.has_place(peer, link)?;
        let room = &mut room.members;
        let (to_inbox, inbox) = mpsc::channel(INBOX);
        let end = Arc::<End>::default();
        let member = Member { role, link, entry, inbox: to_inbox, end: end.clone() };
        let older = room.insert(peer, member);
        if let Some(older) = &older {
            older.end.order(CloseCode::SUPERSEDED, "superseded");
        }
        let others = room.iter().filter(|(id, _)| **id != peer);
        let present =
            others.clone().map(|(&peer_id, member)| RoomPeer { peer_id, role: member.role }).collect();
        for (_, other) in others {
            other.tell(FromRoom::PeerJoined(RoomPeer { peer_id: peer, role }));
        }
        self.count(&rooms);
        Ok((Presence { rooms: self.clone(), session, peer, entry, inbox, end }, present))
    }

    fn leave(&self, session: Uuid, peer: Uuid, entry: u64) {
        let mut rooms = self.0.rooms.lock();
        let Some(Room { members: room, .. }) = rooms.get_mut(&session) else { return };
        if room.get(&peer).is_none_or(|member| member.entry != entry) {
            return;
        }
        room.remove(&peer);
        for member in room.values() {
            member.tell(FromRoom::PeerLeft { peer_id: peer });
        }
        if room.is_empty() {
            rooms.remove(&session);
        }
        self.count(&rooms);
    }

    fn count(&self, rooms: &HashMap<Uuid, Room>) {
        self.0.metrics.signaling_population(rooms.len(), rooms.values().map(|room| room.members.len()).sum());
    }
}

impl Room {
    /// Whether one more may sit here. The host's place is its own; viewers share the others, and those who came by one
    /// link leave most of them to those who came by others.
    fn has_place(&self, peer: Uuid, link: Option<LinkId>) -> Result<(), NoEntry> {
        if link.is_none() || self.members.contains_key(&peer) {
            return Ok(());
        }
        let viewers = self.members.values().filter_map(|member| member.link);
        if viewers.clone().filter(|by| Some(*by) == link).count() >= LINK_MEMBERS {
            return Err(NoEntry::LinkFull);
        }
        if viewers.count() >= MEMBERS - 1 { Err(NoEntry::Full) } else { Ok(()) }
    }
}

impl Presence {
    /// Puts an envelope into another member's inbox; says whether it is there. A member that does not
    /// read misses it: the stages above have deadlines.
    pub(super) fn send(&self, to: Uuid, data: Bytes) -> bool {
        let rooms = self.rooms.0.rooms.lock();
        let member = rooms.get(&self.session).and_then(|room| room.members.get(&to));
        let delivered = member.is_some_and(|member| {
            member.inbox.try_send(FromRoom::Envelope { from: self.peer, data }).is_ok()
        });
        self.rooms.0.metrics.signaling_envelope(if delivered { "delivered" } else { "undelivered" });
        delivered
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.rooms.leave(self.session, self.peer, self.entry);
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("rooms", &self.0.rooms.lock().len()).finish_non_exhaustive()
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
#[path = "rooms_tests.rs"]
mod tests;
