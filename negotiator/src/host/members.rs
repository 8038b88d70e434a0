//! Who is here.

use transport_core::{
    PeerId, Text, TransportId,
    secure::{Access, LinkId},
};

use super::guests::Guest;
use crate::runtime::{Duration, now};

/// One viewer of a shared session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Derived from its key: nobody else can claim it. [`Session::peer`](crate::Session::peer) of its session.
    pub peer: PeerId,
    /// The name it gave, which proves nothing. Safe to show.
    pub name: Option<Text>,
    /// The link it came by.
    pub link: LinkId,
    /// What it may do now.
    pub access: Access,
    /// The transport that carries its session; `None` while there is none.
    pub path: Option<TransportId>,
    /// How long it has been here.
    pub since: Duration,
    /// How long ago anything was heard from it.
    pub last_heard: Option<Duration>,
}

impl Member {
    pub(super) fn of(peer: PeerId, guest: &Guest) -> Option<Self> {
        let (inside, now) = (guest.inside()?, now());
        let path = inside.outlook.borrow().path.as_ref().map(|path| path.transport.clone());
        Some(Self {
            peer,
            name: guest.name.clone(),
            link: guest.link,
            access: inside.core.access()?,
            path,
            since: now.saturating_duration_since(guest.since),
            last_heard: inside.core.traffic().heard.map(|at| now.saturating_duration_since(at)),
        })
    }
}
