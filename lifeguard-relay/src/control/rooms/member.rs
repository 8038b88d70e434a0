//! A member of a room on this node, and its presence there.

use std::sync::{Arc, OnceLock};

use beach_lifeguard_client::{
    CloseCode, Role,
    membership::{LinkId, MembershipProof},
    signaling::FromRoom,
};
use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Rooms, elsewhere::Absent};
use crate::store::pool::{Entry, Seat};

/// Who enters, proven.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct Entrant {
    pub(in crate::control) peer: Uuid,
    pub(in crate::control) role: Role,
    /// What a viewer came by.
    pub(in crate::control) link: Option<LinkId>,
}

impl From<&MembershipProof> for Entrant {
    fn from(proof: &MembershipProof) -> Self {
        Self { peer: proof.peer_id(), role: proof.role, link: proof.link }
    }
}

pub(super) struct Member {
    pub(super) seat: Seat,
    pub(super) inbox: mpsc::Sender<FromRoom>,
    pub(super) end: Arc<End>,
}

impl Member {
    /// Tells a member who comes and who goes. One that does not read would believe what is no longer so:
    /// it is shown out, and finds out when it comes back.
    pub(super) fn tell(&self, news: FromRoom) {
        if matches!(self.inbox.try_send(news), Err(TrySendError::Full(_))) {
            self.end.order(CloseCode::SLOW_CONSUMER, "behind");
        }
    }
}

/// How the room shows a member out.
#[derive(Debug, Default)]
pub(in crate::control) struct End {
    /// Cancelled when it is time to go.
    pub(in crate::control) now: CancellationToken,
    why: OnceLock<(CloseCode, &'static str)>,
}

impl End {
    /// Shows the member out; the first word counts.
    pub(super) fn order(&self, code: CloseCode, why: &'static str) {
        let _ = self.why.set((code, why));
        self.now.cancel();
    }

    /// What to say then.
    pub(in crate::control) fn farewell(&self) -> (CloseCode, &'static str) {
        *self.why.get().unwrap_or(&(CloseCode::SUPERSEDED, "superseded"))
    }
}

/// One entry into a room; dropping it leaves.
pub(in crate::control) struct Presence {
    pub(super) rooms: Rooms,
    pub(super) session: Uuid,
    pub(super) peer: Uuid,
    pub(super) entry: Entry,
    pub(in crate::control) inbox: mpsc::Receiver<FromRoom>,
    pub(in crate::control) end: Arc<End>,
}

impl Presence {
    /// Puts an envelope into another member's inbox, or sends it to the member's node; says whether it is on its way.
    /// A member that does not read misses it: the stages above have deadlines.
    pub(in crate::control) fn send(&self, to: Uuid, data: Bytes) -> bool {
        self.rooms.send(self.session, to, FromRoom::Envelope { from: self.peer, data })
    }

    /// Keeps the member's seat among those of other nodes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(in crate::control) async fn keep(&self) {
        self.rooms.keep(self.session, self.peer, self.entry, Absent::Left).await;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.rooms.leave(self.session, self.peer, self.entry);
    }
}
