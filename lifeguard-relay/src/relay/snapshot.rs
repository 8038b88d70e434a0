//! What an operator may see: numbers and pseudonyms, no identifier.

use std::{hash::BuildHasher, sync::atomic::Ordering::Relaxed, time::SystemTime};

use serde::Serialize;

use super::{Phase, Relay, registry::Roster};
use crate::store::SessionTotals;

/// The state of the relay at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Sessions with at least one peer.
    pub active_sessions: usize,
    /// Admitted peers.
    pub active_connections: usize,
    /// Sockets that were ever opened.
    pub total_connections: u64,
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
pub struct SessionLine {
    /// Eight hexadecimal digits.
    pub session_id: String,
    /// Its peers.
    pub connections: usize,
    /// Copies delivered since it began.
    pub forwarded: u64,
}

/// One refusal: when, and its label.
#[derive(Debug, Clone, Copy)]
pub struct RecentRefusal {
    /// When.
    pub at: SystemTime,
    /// Of the closed set of refusals.
    pub label: &'static str,
}

impl Relay {
    /// Figures of those sessions in which everybody agreed to telemetry, by their real names: for the
    /// store, not for people.
    pub fn session_totals(&self) -> Vec<SessionTotals> {
        let mut totals = Vec::new();
        self.shared.registry.for_each(|session| {
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

    /// Looks at everything once. Costs time in proportion to the peers; for people, not for the data
    /// path.
    pub fn snapshot(&self) -> Snapshot {
        let relay = &self.shared;
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
        Snapshot {
            active_sessions,
            active_connections: connections,
            total_connections: self.total_connections(),
            queued_bytes: queued,
            largest_queue_bytes: largest,
            phase: self.phase(),
            sessions,
            recent_refusals: relay.recent_refusals.lock().iter().copied().collect(),
        }
    }
}

/// Enough for a person; all of them would be a large answer to a cheap question.
const SHOWN_SESSIONS: usize = 100;
