//! All rooms of a node. No IO, no lock.

use std::{collections::HashMap, sync::Arc};

use beach_lifeguard_client::session::SessionDocument;
use uuid::Uuid;

use super::{NoEntry, ROOMS, room::Room};

/// The rooms, and how many are inside them: counted as they change, for there may be many rooms.
#[derive(Default)]
pub(super) struct Population {
    rooms: HashMap<Uuid, Room>,
    members: usize,
}

impl Population {
    pub(super) fn room(&self, session: Uuid) -> Option<&Room> {
        self.rooms.get(&session)
    }

    /// Does something with a room, if there is one, and ends it when nobody is there or about to be.
    pub(super) fn change<T>(&mut self, session: Uuid, work: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let room = self.rooms.get_mut(&session)?;
        let before = room.members.len();
        let done = work(room);
        self.members = self.members + room.members.len() - before;
        if room.is_over() {
            self.rooms.remove(&session);
        }
        Some(done)
    }

    /// The same with a room that is opened if there is none, unless that would be one too many.
    pub(super) fn open<T>(
        &mut self,
        document: &Arc<SessionDocument>,
        work: impl FnOnce(&mut Room) -> T,
    ) -> Result<T, NoEntry> {
        let session = document.session_id;
        if !self.rooms.contains_key(&session) {
            if self.rooms.len() >= ROOMS {
                return Err(NoEntry::Full);
            }
            self.rooms.insert(session, Room::new(document.clone()));
        }
        self.change(session, work).ok_or(NoEntry::Full)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Uuid, &Room)> {
        self.rooms.iter()
    }

    /// Does something with every room that leaves its members as they are.
    pub(super) fn tell_all(&mut self, work: impl FnMut(&mut Room)) {
        self.rooms.values_mut().for_each(work);
    }

    /// Rooms, and members inside them.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.rooms.len(), self.members)
    }
}
