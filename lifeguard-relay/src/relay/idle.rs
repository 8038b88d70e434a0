//! Which peers to greet, and which to let go, at `now`. Sans-IO.
//!
//! Every moment is a [`Tick`]: milliseconds since the relay started, on the monotonic clock.

use std::time::Duration;

/// Milliseconds since the relay started.
pub(crate) type Tick = u64;

/// When a silent peer is greeted and when it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Silence from the peer after which it is pinged; zero switches heartbeats off.
    pub(crate) heartbeat: Duration,
    /// Heartbeats that may go unanswered before the peer is gone.
    pub(crate) missed: u32,
    /// No activity at all, in either direction, for this long: recycled. Zero switches it off.
    pub(crate) idle: Duration,
    /// Bytes have waited this long without the socket taking any: a slow consumer.
    pub(crate) write_deadline: Duration,
}

/// What one peer did last. Reads, writes and pongs all count: the ticks are taken where bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Last time any byte came from the peer.
    pub(crate) read: Tick,
    /// Last time the socket took any byte.
    pub(crate) written: Tick,
    /// Last time the peer was pinged.
    pub(crate) pinged: Tick,
    /// Since when bytes have been waiting for the socket, if they have.
    pub(crate) waiting_since: Option<Tick>,
}

/// What is due for one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// No activity at all for the idle limit.
    CloseIdle,
    /// Several heartbeats went unanswered: nobody is there.
    CloseLost,
    /// It has not taken a byte for the write deadline.
    CloseSlow,
    /// Nothing.
    Leave,
    /// Quiet for a heartbeat: ask whether it is still there.
    Ping,
}

impl Patience {
    /// Judges one peer at `now`.
    pub(crate) fn judge(&self, now: Tick, seen: Observed) -> Due {
        let since = |then: Tick| Duration::from_millis(now.saturating_sub(then));
        if let Some(waiting) = seen.waiting_since
            && since(waiting.max(seen.written)) >= self.write_deadline
        {
            return Due::CloseSlow;
        }
        let quiet = since(seen.read);
        if !self.idle.is_zero() && quiet.min(since(seen.written)) >= self.idle {
            return Due::CloseIdle;
        }
        if self.heartbeat.is_zero() {
            return Due::Leave;
        }
        if quiet >= self.heartbeat * (self.missed + 1) {
            return Due::CloseLost;
        }
        if quiet >= self.heartbeat && since(seen.pinged) >= self.heartbeat {
            return Due::Ping;
        }
        Due::Leave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        heartbeat: Duration::from_secs(15),
        missed: 3,
        idle: Duration::from_secs(120),
        write_deadline: Duration::from_secs(5),
    };

    fn quiet_since(tick: Tick) -> Observed {
        Observed { read: tick, written: tick, pinged: 0, waiting_since: None }
    }

    #[test]
    fn a_quiet_peer_is_pinged_once_per_heartbeat() {
        assert_eq!(PATIENCE.judge(14_999, quiet_since(0)), Due::Leave);
        assert_eq!(PATIENCE.judge(15_000, quiet_since(0)), Due::Ping);
        let asked = Observed { pinged: 15_000, ..quiet_since(0) };
        assert_eq!(PATIENCE.judge(29_999, asked), Due::Leave);
        assert_eq!(PATIENCE.judge(30_000, asked), Due::Ping);
    }

    #[test]
    fn three_unanswered_heartbeats_are_the_end_and_two_are_not() {
        let asked = Observed { pinged: 45_000, ..quiet_since(0) };
        assert_eq!(PATIENCE.judge(59_999, asked), Due::Leave);
        assert_eq!(PATIENCE.judge(60_000, asked), Due::CloseLost);
        // Writing to it proves nothing: the kernel takes bytes for a peer that is gone.
        let written = Observed { written: 60_000, ..asked };
        assert_eq!(PATIENCE.judge(60_000, written), Due::CloseLost);
    }

    #[test]
    fn idle_means_nothing_in_either_direction() {
        let patience = Patience { heartbeat: Duration::ZERO, ..PATIENCE };
        assert_eq!(patience.judge(119_999, quiet_since(0)), Due::Leave);
        assert_eq!(patience.judge(120_000, quiet_since(0)), Due::CloseIdle);
        // A read-only viewer that only receives is not idle, nor is one that only answers pings.
        assert_eq!(patience.judge(120_000, Observed { written: 1, ..quiet_since(0) }), Due::Leave);
        assert_eq!(patience.judge(120_000, Observed { read: 1, ..quiet_since(0) }), Due::Leave);
    }

    #[test]
    fn a_peer_that_takes_no_byte_for_the_deadline_is_slow() {
        let waiting = Observed { waiting_since: Some(1_000), ..quiet_since(500) };
        assert_eq!(PATIENCE.judge(5_999, waiting), Due::Leave);
        assert_eq!(PATIENCE.judge(6_000, waiting), Due::CloseSlow);
        // Any progress starts the deadline again.
        assert_eq!(PATIENCE.judge(6_000, Observed { written: 1_001, ..waiting }), Due::Leave);
    }
}
