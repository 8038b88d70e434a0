//! What the host's handles, its reception and every handshake share: the links, the guests, who was removed. Each step
//! here is complete when it returns; what has to be said to others is queued for the reception.

mod arrival;

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use transport_core::{
    PeerId,
    secure::{Access, CertificatePin, Identity, JoinFragment, LinkId, LinkSecret},
    signaling::{ByeReason, Message, SignalingError},
};
use url::Url;

pub(super) use self::arrival::Knocked;
use super::{
    absent::Absent,
    book::Book,
    guests::{Guests, Inside},
    links::{LinkInfo, LinkOptions},
    members::Member,
    remembered::Remembered,
};
use crate::{
    error::ShareError,
    link::JoinLink,
    rendezvous::SessionDocument,
    runtime::{UNIX_EPOCH, timeout, wall_clock},
};

/// See the module.
#[derive(Debug)]
pub(super) struct HostState {
    address: Url,
    /// Goes into each link.
    certificate: Option<CertificatePin>,
    identity: Identity,
    seats: usize,
    state: Mutex<State>,
    errands: Notify,
    /// The newest revision of the session's document.
    revision: watch::Sender<u64>,
    /// The newest revision that whoever admits knows, or why it does not.
    known: watch::Sender<(u64, Option<SignalingError>)>,
}

#[derive(Debug, Default)]
struct State {
    book: Book,
    guests: Guests,
    removed: Remembered,
    /// Who was not approved: nobody is asked about it once more.
    refused: Remembered,
    /// Who said goodbye a moment ago, and may be in its next life already.
    absent: Absent,
    errands: VecDeque<Errand>,
}

/// Something to say to others about what has happened here.
#[derive(Debug)]
pub(super) enum Errand {
    /// Tell this viewer.
    Tell(PeerId, Message),
    /// Have the relay show this peer out, once it was told.
    Evict(PeerId, Inside),
}

impl HostState {
    pub(super) fn new(
        address: Url,
        certificate: Option<CertificatePin>,
        identity: Identity,
        seats: usize,
    ) -> Self {
        Self {
            address,
            certificate,
            identity,
            seats,
            state: Mutex::default(),
            errands: Notify::new(),
            revision: watch::Sender::new(1),
            known: watch::Sender::new((0, None)),
        }
    }

    // ---- links ----

    /// Makes a link; returns the revision of the document that has it.
    pub(super) fn add_link(&self, options: LinkOptions) -> Result<(JoinLink, u64), ShareError> {
        let expires_at = options.expires_in.map(|lifetime| unix_now().saturating_add(lifetime.as_secs()));
        let fragment = JoinFragment {
            host: self.identity.public(),
            secret: LinkSecret::random()?,
            access: options.access,
            expires_at,
            certificate: self.certificate,
        };
        let link = JoinLink::new(self.address.clone(), fragment);
        if !self.state.lock().book.add(link.clone(), options) {
            return Err(ShareError::TooManyLinks);
        }
        Ok((link, self.changed()))
    }

    pub(super) fn revoke(&self, link: LinkId) -> bool {
        let mut state = self.state.lock();
        if !state.book.revoke(link) {
            return false;
        }
        for peer in state.guests.of(link) {
            state.show_out(peer, ByeReason::LinkRevoked);
        }
        drop(state);
        self.changed();
        self.errands.notify_one();
        true
    }

    pub(super) fn list_links(&self) -> Vec<LinkInfo> {
        self.state.lock().book.list(unix_now())
    }

    // ---- people ----

    pub(super) fn members(&self) -> Vec<Member> {
        let state = self.state.lock();
        let seated = state.guests.iter().filter(|(_, guest)| guest.is_seated());
        seated.filter_map(|(peer, guest)| Member::of(peer, guest)).collect()
    }

    /// Removes somebody and keeps it out; says whether it was here.
    pub(super) fn remove(&self, peer: PeerId) -> bool {
        let mut state = self.state.lock();
        state.removed.add(peer);
        state.absent.forget(peer);
        let was_here = state.show_out(peer, ByeReason::Removed);
        drop(state);
        self.changed();
        self.errands.notify_one();
        was_here
    }

    /// Lets somebody do at most this from here on; says whether it is here.
    pub(super) fn set_access(&self, peer: PeerId, access: Access) -> bool {
        let mut state = self.state.lock();
        let Some(guest) = state.guests.get_mut(peer) else { return false };
        guest.allowed = Some(access);
        if let Some(inside) = guest.inside() {
            inside.core.allow(access);
            let access = inside.core.access().unwrap_or(access);
            state.errands.push_back(Errand::Tell(peer, Message::Access { access }));
        }
        drop(state);
        self.errands.notify_one();
        true
    }

    // ---- for the reception ----

    /// What a guest may do: what was decided about it, or what its link allows. `None`: it is gone.
    pub(super) fn allowed(&self, peer: PeerId) -> Option<Access> {
        self.state.lock().allowed(peer)
    }

    /// The session of a guest that proved to hold this link.
    pub(super) fn inside(&self, peer: PeerId, link: Option<LinkId>) -> Option<Inside> {
        let state = self.state.lock();
        let guest = state.guests.get(peer)?;
        let same = link.is_none_or(|link| link == guest.link);
        same.then(|| guest.inside().cloned()).flatten()
    }

    pub(super) fn everybody(&self) -> Vec<Inside> {
        self.state.lock().guests.iter().filter_map(|(_, guest)| guest.inside().cloned()).collect()
    }

    /// Waits for something to say to others.
    ///
    /// Cancel safe.
    pub(super) async fn errand(&self) -> Errand {
        loop {
            let queued = self.errands.notified();
            if let Some(errand) = self.state.lock().errands.pop_front() {
                return errand;
            }
            queued.await;
        }
    }

    // ---- handshakes and envelopes ----

    /// The secret of a link that lets somebody in.
    pub(super) fn secret_in_force(&self, link: LinkId) -> Option<LinkSecret> {
        self.state.lock().book.secret(link)
    }

    /// The secret of a link in force or not.
    pub(super) fn secret_remembered(&self, link: LinkId) -> Option<LinkSecret> {
        self.state.lock().book.any_secret(link)
    }

    /// Decides about a peer that has proven its key and its link.
    pub(super) fn admit(&self, peer: PeerId, link: LinkId, asked: Access) -> Result<Access, ByeReason> {
        let state = self.state.lock();
        let guest = state.guests.get(peer).filter(|guest| guest.link == link);
        let inside = guest.and_then(|guest| guest.inside()).ok_or(ByeReason::Refused)?;
        let allowed = state.allowed(peer).ok_or(ByeReason::LinkRevoked)?;
        inside.core.asked(asked);
        Ok(asked.min(allowed))
    }

    // ---- the document ----

    fn changed(&self) -> u64 {
        let mut newest = 0;
        self.revision.send_modify(|revision| {
            *revision += 1;
            newest = *revision;
        });
        newest
    }

    /// Says which revision of the document is the newest.
    pub(super) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub(super) fn document(&self) -> SessionDocument {
        // Read first: what changes meanwhile is in a newer one.
        let revision = *self.revision.borrow();
        let state = self.state.lock();
        SessionDocument { revision, links: state.book.listed(), removed: state.removed.list() }
    }

    /// Notes what whoever admits knows, or why it does not.
    pub(super) fn note_known(&self, revision: u64, failed: Option<SignalingError>) {
        self.known.send_replace((revision, failed));
    }

    /// Waits until whoever admits knows this revision.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub(super) async fn published(&self, revision: u64) -> Result<(), SignalingError> {
        let mut known = self.known.subscribe();
        let outcome = timeout(PUBLISH, known.wait_for(|(known, _)| *known >= revision)).await;
        match outcome {
            Ok(Ok(known)) => known.1.clone().map_or(Ok(()), Err),
            _ => Err(SignalingError::Unreachable {
                detail: "the control plane was not told in time".to_owned(),
                obstacle: transport_core::signaling::Obstacle::Unknown,
            }),
        }
    }
}

impl State {
    fn allowed(&self, peer: PeerId) -> Option<Access> {
        let guest = self.guests.get(peer)?;
        let by_link = self.book.access(guest.link)?;
        Some(guest.allowed.unwrap_or(by_link))
    }

    /// Ends whatever there is of a guest, at once.
    fn show_out(&mut self, peer: PeerId, why: ByeReason) -> bool {
        let Some(guest) = self.guests.take(peer) else { return false };
        match guest.inside() {
            Some(inside) => {
                inside.core.show_out(why);
                self.errands.push_back(Errand::Evict(peer, inside.clone()));
            }
            None => self.errands.push_back(Errand::Tell(peer, Message::Bye { reason: why })),
        }
        true
    }
}

/// The wall's clock in Unix seconds.
pub(crate) fn unix_now() -> u64 {
    wall_clock().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long a new link may take to become known.
const PUBLISH: crate::runtime::Duration = crate::runtime::Duration::from_secs(10);
