//! Who is in which room. No IO.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use beach_lifeguard_client::{
    CloseCode, Role,
    membership::Verifier,
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
    /// What each of them has proven to know.
    verifier: Verifier,
    members: HashMap<Uuid, Member>,
}

struct Member {
    role: Role,
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
    behind: AtomicBool,
}

impl End {
    /// What to say then.
    pub(super) fn farewell(&self) -> (CloseCode, &'static str) {
        if self.behind.load(Relaxed) {
            (CloseCode::SLOW_CONSUMER, "behind")
        } else {
            (CloseCode::SUPERSEDED, "superseded")
        }
    }
}

impl Member {
    /// Tells a member who comes and who goes. One that does not read would believe what is no longer so:
    /// it is shown out, and finds out when it comes back.
    fn tell(&self, news: FromRoom) {
        if matches!(self.inbox.try_send(news), Err(TrySendError::Full(_))) {
            self.end.behind.store(true, Relaxed);
            self.end.now.cancel();
        }
    }
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

/// The room holds as many as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomFull;

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

    /// What the members of a session have proven to know, while its host is among them: what the store said once,
    /// whatever has become of the store since.
    pub(super) fn verifier(&self, session: Uuid) -> Option<Verifier> {
        let rooms = self.0.rooms.lock();
        let room = rooms.get(&session)?;
        room.members.values().any(|member| member.role == Role::Host).then(|| room.verifier.clone())
    }

    /// Enters with a proof of knowing `verifier`; the newest entry of a peer wins. Tells the others, and returns who
    /// they are.
    pub(super) fn enter(
        &self,
        session: Uuid,
        (peer, role): (Uuid, Role),
        verifier: &Verifier,
        entry: u64,
    ) -> Result<(Presence, Vec<RoomPeer>), RoomFull> {
        let mut rooms = self.0.rooms.lock();
        if rooms.len() >= ROOMS && !rooms.contains_key(&session) {
            return Err(RoomFull);
        }
        let room = rooms
            .entry(session)
            .or_insert_with(|| Room { verifier: verifier.clone(), members: HashMap::new() });
        let room = &mut room.members;
        if room.len() >= MEMBERS && !room.contains_key(&peer) {
            return Err(RoomFull);
        }
        let (to_inbox, inbox) = mpsc::channel(INBOX);
        let end = Arc::<End>::default();
        let member = Member { role, entry, inbox: to_inbox, end: end.clone() };
        let older = room.insert(peer, member);
        if let Some(older) = &older {
            older.end.now.cancel();
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
/// Messages that may wait for one member: the candidates of several dials.
const INBOX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms() -> Rooms {
        Rooms::new(Arc::new(Metrics::new()), CancellationToken::new())
    }

    fn verifier() -> Verifier {
        Verifier::from_bytes([7; 32])
    }

    #[test]
    fn a_session_is_known_as_long_as_its_host_is_here() {
        let (rooms, session) = (rooms(), Uuid::new_v4());
        let known = || rooms.verifier(session).map(|verifier| *verifier.expose());
        let _viewer = rooms.enter(session, (Uuid::new_v4(), Role::Viewer), &verifier(), 1).unwrap();
        assert_eq!(known(), None, "a viewer alone keeps nothing alive");
        let host = rooms.enter(session, (Uuid::new_v4(), Role::Host), &verifier(), 2).unwrap();
        assert_eq!(known(), Some([7; 32]));
        drop(host);
        assert_eq!(known(), None);
    }

    #[test]
    fn members_see_each_other_come_and_go_and_an_empty_room_is_gone() {
        let (rooms, session, [a, b]) = (rooms(), Uuid::new_v4(), [Uuid::new_v4(), Uuid::new_v4()]);
        let (mut host, present) = rooms.enter(session, (a, Role::Host), &verifier(), 1).unwrap();
        assert!(present.is_empty());
        let (viewer, present) = rooms.enter(session, (b, Role::Viewer), &verifier(), 2).unwrap();
        assert_eq!(present, [RoomPeer { peer_id: a, role: Role::Host }]);
        assert!(viewer.send(a, Bytes::from_static(b"x")));
        assert!(!viewer.send(Uuid::new_v4(), Bytes::from_static(b"x")));
        drop(viewer);
        let seen: Vec<_> = std::iter::from_fn(|| host.inbox.try_recv().ok()).collect();
        assert!(matches!(seen[0], FromRoom::PeerJoined(peer) if peer.peer_id == b));
        assert!(matches!(seen[1], FromRoom::Envelope { from, .. } if from == b));
        assert!(matches!(seen[2], FromRoom::PeerLeft { peer_id } if peer_id == b));
        drop(host);
        assert!(rooms.0.rooms.lock().is_empty());
    }

    #[test]
    fn the_newest_entry_of_a_peer_wins_and_the_older_one_leaves_nothing() {
        let (rooms, session, peer) = (rooms(), Uuid::new_v4(), Uuid::new_v4());
        let (older, _) = rooms.enter(session, (peer, Role::Host), &verifier(), 1).unwrap();
        let (newer, _) = rooms.enter(session, (peer, Role::Host), &verifier(), 2).unwrap();
        assert!(older.end.now.is_cancelled() && !newer.end.now.is_cancelled());
        assert_eq!(older.end.farewell().0, CloseCode::SUPERSEDED);
        drop(older);
        assert_eq!(rooms.0.rooms.lock()[&session].members.len(), 1);
    }

    #[test]
    fn a_member_that_does_not_read_is_shown_out() {
        let (rooms, session) = (rooms(), Uuid::new_v4());
        let (host, _) = rooms.enter(session, (Uuid::new_v4(), Role::Host), &verifier(), 0).unwrap();
        let viewer = Uuid::new_v4();
        // Each entry is kept: one that left would be news of its own.
        let mut entries = Vec::new();
        for n in 0..=INBOX as u64 {
            assert!(!host.end.now.is_cancelled(), "{n}");
            entries.push(rooms.enter(session, (viewer, Role::Viewer), &verifier(), n + 1).unwrap());
        }
        assert_eq!(host.end.farewell().0, CloseCode::SLOW_CONSUMER);
    }

    #[test]
    fn a_room_is_bounded() {
        let (rooms, session) = (rooms(), Uuid::new_v4());
        let inside: Vec<_> = (0..MEMBERS as u64)
            .map(|n| rooms.enter(session, (Uuid::new_v4(), Role::Viewer), &verifier(), n).unwrap())
            .collect();
        assert!(rooms.enter(session, (Uuid::new_v4(), Role::Viewer), &verifier(), 999).is_err());
        drop(inside);
    }
}
