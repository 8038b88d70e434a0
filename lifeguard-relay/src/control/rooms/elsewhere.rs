//! Rooms across the nodes of a pool: seats in the store, and what the nodes tell each other.

use std::{sync::Arc, time::Duration};

use beach_lifeguard_client::{CloseCode, reason::Reason, session::SessionDocument, signaling::FromRoom};
use futures::{StreamExt, stream};
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{Entrant, LINK_MEMBERS, MEMBERS, NoEntry, Rooms};
use crate::{
    control::plane::ControlPlane,
    store::{
        Pool,
        pool::{Entry, Heard, NodeId, Places, Sat, Seat, Word},
    },
};

/// What somebody who is known here and not to the store is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    Left,
    MayCome,
}

/// Acts upon what other nodes say, until the control plane stops.
pub(in crate::control) async fn listen(control: ControlPlane, mut heard: mpsc::Receiver<Heard>) {
    let rooms = control.0.rooms.clone();
    let compare = Arc::new(Notify::new());
    rooms.tasks().spawn(compare_each(rooms.clone(), compare.clone()));
    loop {
        let heard = tokio::select! {
            heard = heard.recv() => heard,
            () = rooms.stop().cancelled() => None,
        };
        match heard {
            None => return,
            Some(Heard::Again) => compare.notify_one(),
            Some(Heard::Came(_)) => {}
            Some(Heard::Gone(node)) => rooms.gone(node),
            Some(Heard::Word(Word::Changed { session })) if rooms.has(session) => {
                let control = control.clone();
                rooms.tasks().spawn(async move { control.refresh(session).await });
            }
            Some(Heard::Word(word)) => rooms.hear(word),
        }
        if let Some(pool) = &rooms.0.pool {
            rooms.0.metrics.pool_nodes(pool.nodes());
        }
    }
}

/// Compares every room with the store whenever words may have been missed.
async fn compare_each(rooms: Rooms, when: Arc<Notify>) {
    let compare = async {
        loop {
            when.notified().await;
            // A store that lost its memory learns it again from every node. Only then is who is missing there gone.
            while !rooms.keep_all(Absent::MayCome).await || timeout(ROUND, when.notified()).await.is_ok() {
                sleep(PAUSE).await;
            }
            rooms.keep_all(Absent::Left).await;
        }
    };
    tokio::select! {
        () = compare => {}
        () = rooms.stop().cancelled() => {}
    }
}

impl Rooms {
    /// Takes a seat in the store; returns who else has one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the seat is given up.
    pub(super) async fn sit(
        &self,
        pool: &Pool,
        entrant: Entrant,
        document: &Arc<SessionDocument>,
        seat: &mut Seat,
    ) -> Result<Vec<(Uuid, Seat)>, NoEntry> {
        let (session, peer) = (document.session_id, entrant.peer);
        // Who is not admitted by what is known here need not ask.
        self.open(document, |room| {
            room.renew(document, &self.0.metrics);
            room.admits(entrant).map(|()| room.asks())
        })??;
        let asking = Asking { rooms: self, session, seat: Some((pool, peer, seat.entry)) };
        match pool.sit(session, peer, *seat, PLACES).await {
            Ok(Sat::Seated { number, others, .. }) => {
                seat.number = number;
                asking.answered();
                Ok(others)
            }
            Ok(Sat::LinkFull) => Err(NoEntry::LinkFull),
            Ok(Sat::Full | Sat::Superseded) => Err(NoEntry::Full),
            Err(_) => {
                self.0.metrics.store_failed("room");
                Err(NoEntry::Refused(Reason::StoreUnavailable))
            }
        }
    }

    /// Keeps every seat of this node; says whether the store answered each time.
    async fn keep_all(&self, absent: Absent) -> bool {
        let keep = async |(session, peer, entry)| self.keep(session, peer, entry, absent).await;
        stream::iter(self.all()).map(keep).buffer_unordered(COMPARED).all(async |kept| kept).await
    }

    /// Keeps a seat in the store, and learns who else has one. While the store is away, what is known stands;
    /// says whether it answered.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn keep(&self, session: Uuid, peer: Uuid, entry: Entry, absent: Absent) -> bool {
        let Some(pool) = &self.0.pool else { return true };
        let seat = self.change(session, |room| {
            let seat =
                room.members.get(&peer).map(|member| member.seat).filter(|seat| seat.entry == entry)?;
            room.asks();
            Some(seat)
        });
        let Some(seat) = seat.flatten() else { return true };
        let asking = Asking { rooms: self, session, seat: None };
        match pool.keep(session, peer, seat).await {
            Ok(Sat::Seated { at, others, .. }) => {
                asking.answered();
                let left_before = if absent == Absent::Left { at } else { 0 };
                self.change(session, |room| room.asked(self.node(), Some((left_before, others))));
            }
            Ok(_) => {
                let rooms = self.0.rooms.lock();
                let member = rooms.room(session).and_then(|room| room.members.get(&peer));
                if let Some(member) = member.filter(|member| member.seat.entry == entry) {
                    member.end.order(CloseCode::SUPERSEDED, "superseded");
                }
            }
            Err(_) => {
                self.0.metrics.store_failed("room");
                return false;
            }
        }
        true
    }

    /// Tells every node that a session's document is another one now.
    pub(in crate::control) fn changed(&self, session: Uuid) {
        if let Some(pool) = &self.0.pool {
            pool.say_to_all(Word::Changed { session });
        }
    }

    pub(super) fn forward(&self, node: NodeId, session: Uuid, to: Uuid, message: FromRoom) -> bool {
        let Some(pool) = &self.0.pool else { return false };
        pool.say(node, Word::For { session, to, origin: pool.node(), message })
    }

    fn hear(&self, word: Word) {
        match word {
            Word::Joined { session, peer, seat } => {
                self.change(session, |room| room.met(peer, seat));
            }
            Word::Left { session, peer, entry } => {
                self.change(session, |room| room.left(peer, entry));
            }
            Word::For { session, to, origin, message } => {
                let envelope_of = match &message {
                    FromRoom::Envelope { from, .. } => Some(*from),
                    _ => None,
                };
                let rooms = self.0.rooms.lock();
                let member = rooms.room(session).and_then(|room| room.members.get(&to));
                let delivered = member.is_some_and(|member| member.inbox.try_send(message).is_ok());
                if let Some(from) = envelope_of.filter(|_| !delivered) {
                    self.0.metrics.signaling_envelope("undelivered");
                    self.forward(origin, session, from, FromRoom::Undelivered { to });
                }
            }
            Word::Changed { .. } | Word::Echo => {}
        }
    }

    fn gone(&self, node: NodeId) {
        self.0.rooms.lock().tell_all(|room| room.gone(node));
    }

    fn has(&self, session: Uuid) -> bool {
        self.0.rooms.lock().room(session).is_some()
    }

    /// Every entry on this node.
    fn all(&self) -> Vec<(Uuid, Uuid, Entry)> {
        let rooms = self.0.rooms.lock();
        let members = rooms.all().flat_map(|(session, room)| {
            room.members.iter().map(|(peer, member)| (*session, *peer, member.seat.entry))
        });
        members.collect()
    }
}

/// The store is being asked. Dropped without an answer, it leaves nothing behind.
struct Asking<'a> {
    rooms: &'a Rooms,
    session: Uuid,
    /// Given up with it.
    seat: Option<(&'a Pool, Uuid, Entry)>,
}

impl Asking<'_> {
    /// Whoever asked takes over from here.
    fn answered(self) {
        std::mem::forget(self);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Self { rooms, session, seat } = self;
        rooms.change(*session, |room| room.asked(rooms.node(), None));
        if let Some((pool, peer, entry)) = seat {
            pool.rise(*session, *peer, *entry);
        }
    }
}

/// The host's place is always free.
const PLACES: Places = Places { viewers: MEMBERS - 1, by_link: LINK_MEMBERS };
/// Members compared with the store at once.
const COMPARED: usize = 64;
/// Time for every node to notice that words were missed, and to tell the store who is there.
const ROUND: Duration = Duration::from_secs(6);
/// Before a store that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);
