//! Where a session stands, as `explain()` tells it.

use crate::time::Instant;

use crate::{
    ids::{Generation, TransportId},
    policy::{Gate, NextStep, Override, Reason, RungSnapshot},
};

/// What a judge knows, for a person. The following side knows the path and the reason, and no counts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// Whether this side decides.
    pub leading: bool,
    /// What both applications allow, as far as this side knows.
    pub mode: Override,
    /// The link that carries the session.
    pub path: Option<Generation>,
    /// The transport of a primary that must prove itself before the session moves there.
    pub standby: Option<TransportId>,
    /// Why this path, or why none.
    pub reason: Reason,
    /// The fallback is wanted and not to be had.
    pub held: bool,
    /// Why the path cannot really carry the session, if it cannot.
    pub degraded: Option<Reason>,
    /// Every rung and its record.
    pub rungs: Vec<RungSnapshot>,
    /// The gates that are closed.
    pub closed_gates: Vec<Gate>,
    /// What the judge will do by itself, and when.
    pub next: Option<(Instant, NextStep)>,
}
