//! What a node forwarded since it last said so.

use std::time::Duration;

use uuid::Uuid;

/// Sums since the last batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sockets admitted.
    pub connections: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Payload bytes delivered.
    pub bytes: u64,
    /// Sessions whose people agreed to it, and only those; at most [`Totals::MOST_SESSIONS`].
    pub sessions: Vec<SessionFigures>,
}

/// One session's share, for a session whose people agreed to telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFigures {
    /// Which.
    pub session: Uuid,
    /// Its sockets on this node at this moment.
    pub connections_active: u64,
    /// Messages delivered since the last batch.
    pub messages_forwarded: u64,
}

impl Totals {
    /// Sessions of one batch: Redis runs it as one script and serves nobody else meanwhile.
    pub const MOST_SESSIONS: usize = 1_000;

    /// How long a session's figures are kept after their last change.
    pub const SESSION_LIFE: Duration = Duration::from_secs(3_600);

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.connections == 0 && self.messages == 0 && self.bytes == 0 && self.sessions.is_empty()
    }
}
