//! Who is in which session. No IO, no clock, no task.
//!
//! A session's membership is owned by one lock, its *roster*. Joining happens under the map's entry
//! and the roster's lock, leaving drops the session under the same two, so a last leave and a first
//! join can meet in any order without losing a session or leaking one (proven under loom below).
//! What others must learn of a change is told while the roster is locked: notices and frames reach
//! every peer in the order in which things happened.

mod kept_out;
mod locks;
mod roster;

use std::sync::Arc;

use beach_lifeguard_client::{PeerAddr, Role};
use uuid::Uuid;

use self::kept_out::KeptOut;
pub(crate) use self::{
    locks::{Guarded, Locks, Real, SessionMap},
    roster::{Card, JoinRefused, Notice, Roster, Wire},
};

/// All sessions. `P` is the handle kept for each peer, `X` what a session carries besides.
#[derive(Debug)]
pub(crate) struct Registry<P, X, L: Locks = Real> {
    sessions: L::Map<Arc<Session<P, X, L>>>,
    /// Taken under a session's entry, never the other way round.
    kept_out: L::Lock<KeptOut>,
    max_peers: usize,
}

/// One session: its roster, and what its peers share.
#[derive(Debug)]
pub(crate) struct Session<P, X, L: Locks = Real> {
    id: Uuid,
    roster: L::Lock<Roster<P>>,
    /// What all peers of the session share: limits, counters.
    pub(crate) shared: X,
}

/// A peer's place in a session.
pub(crate) struct Joined<P, X, L: Locks = Real> {
    pub(crate) session: Arc<Session<P, X, L>>,
    pub(crate) address: PeerAddr,
    pub(crate) handle: P,
    /// The older connection of the same peer, which the newcomer fenced off.
    pub(crate) superseded: Option<P>,
    /// Whether the session began with this peer.
    pub(crate) opened: bool,
}

impl<P: Clone, X, L: Locks> Registry<P, X, L> {
    /// Makes an empty registry whose sessions hold at most `max_peers` each.
    pub(crate) fn new(max_peers: usize) -> Self {
        Self { sessions: L::Map::default(), kept_out: L::Lock::new(KeptOut::default()), max_peers }
    }

    /// Adds a peer to its session, opening the session when it is the first.
    ///
    /// `share` makes what the session's peers share; `handle` makes the peer's handle, knowing its
    /// address and everybody else; `tell` passes each notice to each of the others.
    ///
    /// # Errors
    ///
    /// [`JoinRefused`]; nothing has changed then.
    pub(crate) fn join(
        &self,
        id: Uuid,
        card: Card,
        share: impl FnOnce() -> X,
        handle: impl FnOnce(PeerAddr, &Roster<P>) -> P,
        tell: impl FnMut(&P, Role, Notice<'_>),
    ) -> Result<Joined<P, X, L>, JoinRefused> {
        let make = || {
            let removed = self.kept_out.with(|kept| kept.of(id));
            let roster = L::Lock::new(Roster::new(self.max_peers, removed));
            Arc::new(Session { id, roster, shared: share() })
        };
        self.sessions.with_entry(id, make, |session| {
            let member = session.roster.with(|roster| roster.enter(card, handle, tell))?;
            Ok(Joined {
                session: session.clone(),
                address: member.address,
                handle: member.handle,
                superseded: member.superseded,
                opened: member.alone,
            })
        })
    }

    /// Removes a peer, telling the others. Returns whether the session ended with it. A peer that was
    /// superseded is no longer there, and its leaving changes nothing.
    pub(crate) fn leave(
        &self,
        session: &Session<P, X, L>,
        address: PeerAddr,
        tell: impl FnMut(&P, Role, Notice<'_>),
    ) -> bool {
        let empty = session.roster.with(|roster| roster.leave(address, tell) && roster.is_empty());
        // Between the two locks a newcomer may have taken a slot; the condition is asked again.
        empty
            && self.sessions.remove_if(&session.id, |session| {
                let Some(removed) = session.roster.with(Roster::end) else { return false };
                self.kept_out.with(|kept| kept.keep(session.id, removed));
                true
            })
    }

    /// Forgets who was put out of sessions that ended before the last call. Who calls it seldom remembers for long.
    pub(crate) fn forget_removed(&self) {
        self.kept_out.with(KeptOut::turn);
    }

    /// Visits every session.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Session<P, X, L>>)) {
        self.sessions.for_each(|session| visit(session));
    }

    /// Sessions that have at least one peer.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }
}

impl<P, X, L: Locks> Session<P, X, L> {
    /// The session's id. Never logged and never a label.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Puts a viewer out, telling the others, and lets it in no more. Returns its handle, if it was here.
    pub(crate) fn evict(&self, peer_id: Uuid, tell: impl FnMut(&P, Role, Notice<'_>)) -> Option<P> {
        self.roster.with(|roster| roster.evict(peer_id, tell))
    }

    /// Looks at the roster, under its lock: nothing may block in `look`.
    pub(crate) fn with_roster<R>(&self, look: impl FnOnce(&Roster<P>) -> R) -> R {
        self.roster.with(|roster| look(roster))
    }
}

#[cfg(test)]
mod loom_tests;
#[cfg(test)]
mod tests;
