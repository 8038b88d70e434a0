//! What an operator may see: numbers and pseudonyms, no identifier.

use std::{hash::BuildHasher, sync::atomic::Ordering::Relaxed};

use serde::Serialize;

use super::{
    core::{Core, Phase},
    refusal::RecentRefusal,
    registry::Roster,
};
use crate::store::SessionTotals;

/// The state of the relay at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Sessions with at least one peer.
    pub active_sessions: usize,
    /// Admitted peers.
    pub active_connections: usize,
    /// Sockets that were ever opened.
    pub total_connections: u64,
    /// Sockets that are passed on to other nodes, the owners of their sessions.
    pub passed_on: usize,
    /// Peers that other nodes pass on to this one; they are among the connections.
    pub passed_here: usize,
    /// Bytes that wait for peers.
    pub queued_bytes: usize,
    /// Bytes that wait for the peer that is furthest behind.
    pub largest_queue_bytes: usize,
    /// Serving, draining or stopped.
    pub phase: Phase,
    /// The busiest sessions, at most 100.
    pub sessions: Vec<SessionLine>,
    /// The latest refusals, oldest first.
    #[serde(skip)]
    pub recent_refusals: Vec<RecentRefusal>,
}

/// One session, under a pseudonym that changes with every start of the relay.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SessionLine {
    /// Eight hexadecimal digits.
    pub session_id: String,
    /// Its peers.
    pub connections: usize,
    /// Copies delivered since it began.
    pub forwarded: u64,
}

/// Figures of the sessions in which everybody agreed to telemetry.
pub(super) fn session_totals(relay: &Core) -> Vec<SessionTotals> {
    let mut totals = Vec::new();
    relay.registry.for_each(|session| {
        if !session.shared.opted_out.load(Relaxed) {
            totals.push(SessionTotals {
                session: session.id(),
                connections: session.with_roster(Roster::len) as u64,
                messages: session.shared.forwarded.load(Relaxed),
            });
        }
    });
    totals
}

impl Snapshot {
    /// Looks at everything once.
    pub(super) fn of(relay: &Core) -> Self {
        let (mut sessions, mut connections, mut queued, mut largest) = (Vec::new(), 0, 0, 0);
        relay.registry.for_each(|session| {
            let peers = session.with_roster(|roster| {
                for waiting in roster.iter().map(|(_, _, peer)| peer.waiting_bytes()) {
                    queued += waiting;
                    largest = largest.max(waiting);
                }
                roster.len()
            });
            connections += peers;
            sessions.push(SessionLine {
                session_id: format!("{:08x}", relay.pseudonyms.hash_one(session.id()) as u32),
                connections: peers,
                forwarded: session.shared.forwarded.load(Relaxed),
            });
        });
        let active_sessions = sessions.len();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.forwarded, session.connections)));
        sessions.truncate(SHOWN_SESSIONS);
        Self {
            active_sessions,
            active_connections: connections,
            total_connections: relay.sockets_total.load(Relaxed),
            passed_on: relay.passed_on.load(Relaxed),
            passed_here: relay.passed_here.load(Relaxed),
            queued_bytes: queued,
            largest_queue_bytes: largest,
            phase: *relay.phase.borrow(),
            sessions,
            recent_refusals: relay.recent_refusals.lock().iter().copied().collect(),
        }
    }
}

/// Enough for a person; all of them would be a large answer to a cheap question.
const SHOWN_SESSIONS: usize = 100;
