//! A guest's way in and out again: knock, decision, session, seat.

use transport_core::{
    PeerId, Text,
    secure::{Access, LinkId},
    signaling::ByeReason,
};

use super::{
    super::guests::{Inside, Stage},
    HostState, State, unix_now,
};
use crate::runtime::{AbortHandle, now};

/// What a knock leads to.
#[derive(Debug)]
pub(in crate::host) enum Knocked {
    /// It is inside, or may come in now.
    Welcome,
    /// It is new and nothing stands in its way.
    New { number: u64, pushed_out: Option<PeerId> },
    /// It is being decided about.
    Pending,
    /// It was let in before: it needs a session, and no decision.
    Returned { number: u64, pushed_out: Option<PeerId>, access: Access },
    /// Nothing is answered: it came back since, or came too soon.
    Unheard,
    /// It stays out.
    Bye(ByeReason),
}

impl HostState {
    /// Somebody knocks: who may come in takes a place among the unfinished. One that is inside and in a later `life` than
    /// its session keeps its place and loses that session.
    pub(in crate::host) fn knock(
        &self,
        peer: PeerId,
        link: LinkId,
        name: Option<Text>,
        life: u64,
    ) -> Knocked {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.removed.holds(peer) {
            return Knocked::Bye(ByeReason::Removed);
        }
        if state.refused.holds(peer) {
            return Knocked::Bye(ByeReason::Refused);
        }
        if let Some(guest) = state.guests.get_mut(peer) {
            let (is_later, too_soon) = (life > guest.life, guest.is_new_born(now()));
            return match guest.stage {
                // One key came by one link: whoever shows another one comes with another key.
                _ if guest.link != link => Knocked::Bye(ByeReason::Refused),
                _ if life < guest.life => Knocked::Unheard,
                Stage::Asked(_) => {
                    guest.life = life;
                    Knocked::Pending
                }
                Stage::Arriving(_) | Stage::Seated(_) if is_later && too_soon => Knocked::Unheard,
                Stage::Arriving(_) | Stage::Seated(_) if is_later => state.returned(peer, life),
                Stage::Arriving(_) | Stage::Seated(_) => Knocked::Welcome,
            };
        }
        if let Some(why) = state.book.objection(link, peer, unix_now()) {
            return Knocked::Bye(why);
        }
        if !state.guests.has_seat(link, self.seats, state.book.in_force()) {
            return Knocked::Bye(ByeReason::Full);
        }
        let (number, pushed_out) = state.guests.knock(peer, link, name, life, now());
        if let Some(pushed_out) = pushed_out {
            state.push_out(pushed_out);
        }
        match state.absent.take(peer, link, now()) {
            Some(access) => Knocked::Returned { number, pushed_out, access },
            None => Knocked::New { number, pushed_out },
        }
    }

    /// Keeps what is deciding about a guest, so that it ends when the guest goes.
    pub(in crate::host) fn asked(&self, peer: PeerId, number: u64, decision: AbortHandle) {
        let mut state = self.state.lock();
        match state.guests.get_mut(peer).filter(|guest| guest.number == number) {
            Some(guest) => guest.stage = Stage::Asked(Some(decision)),
            None => decision.abort(),
        }
    }

    /// Notes that a guest has a session. `false`: it is gone meanwhile.
    pub(in crate::host) fn arriving(
        &self,
        peer: PeerId,
        number: u64,
        access: Access,
        inside: Inside,
    ) -> bool {
        let mut state = self.state.lock();
        let Some(guest) = state.guests.get_mut(peer).filter(|guest| guest.number == number) else {
            return false;
        };
        inside.core.allow(access);
        guest.allowed = Some(access);
        // One that is back has its seat.
        guest.stage = if guest.is_seated() { Stage::Seated(inside) } else { Stage::Arriving(inside) };
        true
    }

    /// Gives a guest whose session is usable a seat; otherwise it is shown out.
    pub(in crate::host) fn seat(&self, peer: PeerId, number: u64) -> bool {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(guest) = state.guests.get(peer).filter(|guest| guest.number == number) else {
            return false;
        };
        if guest.is_seated() {
            return true;
        }
        let link = guest.link;
        let has_seat = state.guests.has_seat(link, self.seats, state.book.in_force());
        let Some(guest) = state.guests.get_mut(peer).filter(|guest| guest.number == number) else {
            return false;
        };
        let came = if has_seat { state.book.came(link, peer, unix_now()) } else { Err(ByeReason::Full) };
        match came {
            Ok(changed) => {
                let Some(inside) = guest.inside().cloned() else { return false };
                guest.stage = Stage::Seated(inside);
                guest.since = now();
                if changed {
                    self.changed();
                }
                true
            }
            Err(why) => {
                state.show_out(peer, why);
                self.errands.notify_one();
                false
            }
        }
    }

    /// Forgets a guest whose session has ended. Says whether nobody of that key is here: one that came back is.
    pub(in crate::host) fn left(&self, peer: PeerId, number: u64) -> bool {
        let mut state = self.state.lock();
        let State { guests, absent, .. } = &mut *state;
        if let Some(guest) = guests.take_if(peer, number)
            && let Stage::Seated(inside) = &guest.stage
            && let (Some(access), true, true) = (guest.allowed, guest.life > 0, inside.core.was_left())
        {
            absent.left(peer, guest.link, access, now());
        }
        state.guests.get(peer).is_none()
    }

    /// Which life of its key a guest is, for its welcome.
    pub(in crate::host) fn life(&self, peer: PeerId) -> Option<u64> {
        self.state.lock().guests.get(peer).map(|guest| guest.life).filter(|life| *life > 0)
    }

    /// Forgets one that left the room while it was decided about.
    pub(in crate::host) fn left_room(&self, peer: PeerId) {
        let mut state = self.state.lock();
        if state.guests.get(peer).is_some_and(|guest| matches!(guest.stage, Stage::Asked(_))) {
            state.guests.take(peer);
        }
    }

    /// Turns away one that was decided about.
    pub(in crate::host) fn refuse(&self, peer: PeerId, number: u64) -> bool {
        let mut state = self.state.lock();
        let was_here = state.guests.take_if(peer, number).is_some();
        if was_here {
            state.refused.add(peer);
        }
        was_here
    }
}

impl State {
    /// A guest that was let in is back in a later life.
    fn returned(&mut self, peer: PeerId, life: u64) -> Knocked {
        let access = self.allowed(peer);
        match (access, self.guests.return_as(peer, life, now())) {
            (Some(access), Some(number)) => Knocked::Returned { number, pushed_out: None, access },
            _ => Knocked::Bye(ByeReason::LinkRevoked),
        }
    }

    /// Gives up an unfinished guest for another one. It may knock again.
    fn push_out(&mut self, peer: PeerId) {
        let Some(guest) = self.guests.take(peer) else { return };
        tracing::info!(%peer, link = %guest.link, "an unfinished knock gave way to another");
        if let Some(inside) = guest.inside() {
            inside.core.close(transport_core::CloseCode::RATE_LIMITED, "too many knocks by this link");
        }
    }
}
