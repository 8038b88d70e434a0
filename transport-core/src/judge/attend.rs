//! A follower whose path is gone and whom no word of the leader reaches: it waits at the fallback, where the leader comes
//! to once its quorum stands.
//!
//! The leader alone decides about the fallback, and this decides nothing for it: nothing is sent there before the leader has
//! opened a link, and the handshake on that link proves who did. Both sides must have found the path dead.

use super::{Action, follow::Follow};
use crate::{
    ids::{Generation, TransportId},
    policy::Reason,
    time::Instant,
};

/// What it takes to wait at the fallback.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attendance {
    /// No word reaches the leader.
    is_mute: bool,
    /// The path that carried the session looks dead from here, or ended, and nothing took its place.
    is_stranded: bool,
    attends: bool,
    /// The newest link that carried the session.
    carried: Generation,
}

impl Follow {
    /// Signaling was found or lost. Found, the leader announces what it dials; a place that is attended is kept until
    /// there is a path.
    pub(super) fn set_signaling(&mut self, found: bool) -> Option<Action> {
        self.attendance.is_mute = !found;
        self.attend()
    }

    /// The path is gone.
    pub(super) fn without_path(&mut self) -> Option<Action> {
        self.attendance.is_stranded = true;
        self.attend()
    }

    fn attend(&mut self) -> Option<Action> {
        let Attendance { is_mute: true, is_stranded: true, attends: false, .. } = self.attendance else {
            return None;
        };
        let allowed = self.fallbacks().find(|transport| self.objection(transport).is_none());
        let transport = allowed?.clone();
        self.attendance.attends = true;
        Some(Action::Attend { transport })
    }

    /// This link carries the session.
    pub(super) fn arrive(&mut self, generation: Generation) -> Option<Action> {
        self.attendance.carried = self.attendance.carried.max(generation);
        self.leave()
    }

    /// There is a path again, or the session is over.
    pub(super) fn leave(&mut self) -> Option<Action> {
        self.attendance.is_stranded = false;
        std::mem::take(&mut self.attendance.attends).then_some(Action::Leave)
    }

    /// The leader dials at the fallback. What that place says proves nothing, so it is no announcement: those that follow
    /// count, whatever their number.
    pub(super) fn called(
        &mut self,
        now: Instant,
        transport: TransportId,
        generation: Generation,
    ) -> Vec<Action> {
        let Attendance { attends, carried, .. } = self.attendance;
        if !attends || generation <= carried || self.is_dialling(generation) {
            return Vec::new();
        }
        self.note_reason(generation, Reason::PathDead);
        self.take_part(now, transport, generation)
    }
}
