//! The link in question, and which path goes over it.

use std::time::Duration;

use super::super::world::World;
use crate::{
    program::Setting,
    topology::{Queue, Shaper},
    trouble::Trouble,
};

/// Which path is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// WebRTC; the session may leave it.
    Direct,
    /// The relay, from the start.
    Relay,
}

impl Way {
    /// What the viewer sets for it.
    pub(super) fn setting(self, world: &World) -> Setting {
        match self {
            Self::Direct => world.usual(),
            Self::Relay => world.usual().arg("--relay-only"),
        }
    }

    /// The path's name.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Direct => "webrtc",
            Self::Relay => "ws-fallback",
        }
    }
}

/// Narrows the viewer's link in both directions.
pub(super) fn narrow(world: &World, kilobits: u32, queue: Queue) -> Result<[Shaper<'_>; 2], Trouble> {
    Ok([
        Shaper::narrow(&world.router, "to-viewer", kilobits, queue)?,
        Shaper::narrow(&world.viewer, "eth0", kilobits, queue)?,
    ])
}

/// The queues of routers that are tried.
pub(super) const QUEUES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(400)];
