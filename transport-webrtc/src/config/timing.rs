//! Deadlines and patience.

use std::time::Duration;

/// Time each stage of a dial may take.
///
/// # Defaults
///
/// Signaling 5 s, gathering 3 s, checks 5 s, DTLS 3 s, channel open 3 s, and 10 s in all: a path that
/// needs longer is worse than the next rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageDeadlines {
    /// From the start until both descriptions are exchanged.
    pub signaling: Duration,
    /// From the local description until the first candidate.
    pub gathering: Duration,
    /// From both descriptions until a candidate pair works.
    pub checks: Duration,
    /// From there until DTLS is up.
    pub dtls: Duration,
    /// From there until the peer answers on the channels.
    pub channel_open: Duration,
    /// The whole dial.
    pub total: Duration,
}

impl Default for StageDeadlines {
    fn default() -> Self {
        Self {
            signaling: Duration::from_secs(5),
            gathering: Duration::from_secs(3),
            checks: Duration::from_secs(5),
            dtls: Duration::from_secs(3),
            channel_open: Duration::from_secs(3),
            total: Duration::from_secs(10),
        }
    }
}

/// When ICE gives a silent path up.
///
/// # Defaults
///
/// Measured with webrtc 0.17.2: 2 s and 3 s say "disconnected" at 2 s and "failed" at 5 s. Whatever arrives is a sign of life, so
/// checks are needed only where nothing else is said; each costs two packets each way (ADR 0020).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceTimeouts {
    /// Silence until "disconnected": ICE is restarted.
    pub disconnected: Duration,
    /// Further silence until the link is given up.
    pub failed: Duration,
    /// Interval of the checks on a working path.
    pub keepalive: Duration,
}

impl Default for IceTimeouts {
    fn default() -> Self {
        Self {
            disconnected: Duration::from_secs(2),
            failed: Duration::from_secs(3),
            keepalive: Duration::from_secs(2),
        }
    }
}

/// When ICE is restarted after it says "disconnected". The offerer's setting decides.
///
/// A restart gives the silent path up at once, and in webrtc 0.17.2 the checks of the new one end after
/// seven requests, 1.4 s: on an unchanged network a cut of two to five seconds is survived by
/// waiting and not by restarting (`tests/cut.rs` has both).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum IceRestart {
    /// When the addresses of either machine changed since the link was made.
    #[default]
    AfterMove,
    /// Each time.
    Always,
    /// Never.
    Never,
}
