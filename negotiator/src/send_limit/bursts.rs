//! How unevenly a path acknowledges.

use crate::runtime::Instant;

/// What is acknowledged at once, beyond what the path carries in that time.
///
/// A page learns in turns of what arrived, a busy machine runs late, a radio sends many packets as one: then nothing is
/// acknowledged for a while, and much at once. A round trip's worth under way would be all acknowledged together, and the path
/// idle until more has come: so much more is let out. A queue is acknowledged evenly, and adds nothing here. It is what
/// BBR calls aggregation of acknowledgements (draft-ietf-ccwg-bbr, `extra_acked`).
#[derive(Debug, Default)]
pub(super) struct Bursts {
    /// When acknowledgements began to come faster than the path carries.
    since: Option<Instant>,
    /// Payload acknowledged from then on.
    acknowledged: f64,
    /// The largest burst since [`take`](Self::take), in bytes.
    largest: f64,
    /// The largest of late, in bytes.
    recent: f64,
}

impl Bursts {
    /// Takes an acknowledgement of `bytes` on a busy path that carries `speed` bytes a second.
    pub(super) fn acknowledged(&mut self, now: Instant, bytes: u64, speed: f64) {
        let carried = |since: Instant| speed * now.saturating_duration_since(since).as_secs_f64();
        let mut carried = self.since.map_or(0.0, carried);
        if carried >= self.acknowledged {
            (self.since, self.acknowledged, carried) = (Some(now), 0.0, 0.0);
        }
        self.acknowledged += bytes as f64;
        self.largest = self.largest.max(self.acknowledged - carried);
    }

    /// Ends a window, and returns the largest burst of late in bytes.
    pub(super) fn take(&mut self) -> f64 {
        // The burst of this moment goes on: its rest counts with it.
        self.recent = std::mem::take(&mut self.largest).max(self.recent * FADE);
        self.recent
    }
}

/// Factor on the largest with each window: half of it is forgotten after five.
const FADE: f64 = 0.875;
