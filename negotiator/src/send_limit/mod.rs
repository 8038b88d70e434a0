//! How many bytes of a session may be under way. Sans-IO.
//!
//! The reliable lane keeps one order, so everything that left stands before the echo of the next key: in a socket, in a
//! data channel, in a router. Only what a path carries in one round trip is therefore let out, and a little more to keep
//! it busy; whatever else waits, waits in the application's hands. On 256 kbit/s that is 4 KiB, on loopback 100.
//! Without a path nothing arrives, and the whole of the session's room is there for the outage.
//!
//! One [`SendLimit`] measures one path. It starts with little and doubles while the path shows that it carries more. What
//! it carries is measured while something is held back, when the path is busy all the time; how long a round trip takes
//! without a queue is the shortest of late ([`Base`]), and once that is old the path is let run empty for a moment to see
//! it again.

mod base;
mod bursts;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use transport_core::resume::{ACK_AT, ACK_EVERY, Ahead, Resume, SEGMENT_OVERHEAD, SMALL, UNIT};

use self::{base::Base, bursts::Bursts};
use crate::runtime::{Duration, Instant};

/// The limit on the path of this moment.
#[derive(Debug)]
pub(crate) struct SendLimit {
    limit: usize,
    base: Base,
    /// The fastest speed of late, in bytes a second.
    fastest: f64,
    bursts: Bursts,
    /// The path may carry much more: each window was faster than the one before so far, and no queue was seen.
    searching: bool,
    /// Something was held back since the last acknowledgement.
    held: bool,
    /// When something was last held back.
    held_at: Option<Instant>,
    /// When everything was acknowledged although something was held back: whether more comes at once shows later.
    emptied: Option<Instant>,
    /// Payload acknowledged in all.
    acknowledged: u64,
    window: Option<Window>,
    pause: Pause,
    /// A ping is to be sent.
    asks: bool,
}

/// A measurement under way. The path is busy for as long as it lasts, and it begins and ends with an acknowledgement.
#[derive(Debug)]
struct Window {
    began: Instant,
    /// Payload acknowledged when it began.
    from: u64,
    /// The shortest round trip in it.
    shortest: Duration,
}

/// Whether the path is let run empty, to see its round trip without a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    No,
    /// Until nothing is under way.
    Emptying {
        since: Instant,
    },
    /// Until the ping that was sent then is answered. The first answer may have met what others sent before they paused
    /// too, so there is a second.
    Asked {
        at: Instant,
        first: Option<Duration>,
    },
}

/// What a session looks like after something arrived.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Payload acknowledged in all.
    acknowledged: u64,
    /// Payload accepted and not acknowledged.
    pending: usize,
    /// Weight on the wire.
    in_flight: usize,
    /// For how long the newest segment acknowledged was under way.
    round_trip: Option<Duration>,
    /// The limit holds back what waits.
    held: bool,
}

impl SendLimit {
    pub(crate) fn new() -> Self {
        Self {
            limit: START,
            base: Base::default(),
            fastest: 0.0,
            bursts: Bursts::default(),
            searching: true,
            held: false,
            held_at: None,
            emptied: None,
            acknowledged: 0,
            window: None,
            pause: Pause::No,
            asks: false,
        }
    }

    /// Starts over: another path carries the session.
    pub(crate) fn moved(&mut self, resume: &mut Resume) {
        *self = Self { acknowledged: self.acknowledged, ..Self::new() };
        // What was measured on the old path.
        resume.take_round_trip();
        resume.set_ahead(self.ahead());
    }

    /// Takes a round trip that a ping measured.
    pub(crate) fn round_trip(&mut self, now: Instant, sample: Duration) {
        match self.pause {
            Pause::Asked { at, first: Some(first) } if at + sample <= now => {
                self.base.seen_empty(now, sample.min(first));
                self.pause = Pause::No;
                return;
            }
            Pause::Asked { at, first: None } if at + sample <= now => {
                self.pause = Pause::Asked { at: now, first: Some(sample) };
                self.asks = true;
                return;
            }
            _ => {}
        }
        let queued = self.held_at.is_some_and(|held| held + sample >= now);
        self.base.ping(now, sample, queued);
    }

    /// Looks at what `resume` learnt from what arrived, and tells it how much may be under way. `accepted`: payload
    /// accepted in all. Returns what the path carries, when that was measured anew.
    pub(crate) fn follow(&mut self, now: Instant, resume: &mut Resume, accepted: u64) -> Option<usize> {
        let pending = resume.pending_bytes();
        let acknowledged = accepted - pending as u64;
        let round_trip = resume.take_round_trip();
        if acknowledged == self.acknowledged && self.pause == Pause::No {
            // A pause may have just ended.
            resume.set_ahead(self.ahead());
            return None;
        }
        let before = self.limit;
        let (in_flight, held) = (resume.stats().in_flight, resume.is_held());
        self.progress(now, Progress { acknowledged, pending, in_flight, round_trip, held });
        if std::mem::take(&mut self.asks) {
            resume.ask();
        }
        resume.set_ahead(self.ahead());
        (self.limit != before && !self.searching).then_some(self.limit)
    }

    /// Notes that a sender waits for room.
    pub(crate) fn held_back(&mut self, now: Instant) {
        self.held = true;
        self.held_at = Some(now);
        if self.emptied.take().is_some_and(|emptied| now > emptied + LATE) {
            // The application had nothing meanwhile.
            self.window = None;
        }
    }

    /// Says whether a message of this length is accepted beside so many bytes that are not acknowledged, from somebody who
    /// waits otherwise. A small one may go beyond: a key or its echo does not wait for bulk beside it.
    pub(crate) fn admits(&self, pending: usize, length: usize) -> bool {
        let Ahead { bytes, small, .. } = self.ahead();
        if length <= SMALL {
            return pending < small;
        }
        // A long message goes beyond the limit by half of itself at most, unless the path would run dry.
        pending == 0 || pending + length.min(bytes) / 2 < bytes
    }

    /// Returns what may be under way.
    pub(crate) fn ahead(&self) -> Ahead {
        let mut ahead = Ahead::of(self.limit);
        if self.fastest > 0.0 {
            // Many cost more than waiting for the end of one.
            let lasting = (self.fastest * SEGMENT_LASTS.as_secs_f64()) as usize;
            ahead = ahead.in_segments(lasting.min(self.limit / 4));
        }
        if self.pause == Pause::No { ahead } else { Ahead { bytes: 0, ..ahead } }
    }

    /// Learns from an acknowledgement.
    fn progress(&mut self, now: Instant, seen: Progress) {
        let bytes = seen.acknowledged.saturating_sub(self.acknowledged);
        self.acknowledged = seen.acknowledged;
        if let Some(sample) = seen.round_trip {
            self.base.acknowledged(now, sample);
        }
        if self.pause != Pause::No {
            return self.paused(now, seen.in_flight);
        }
        if bytes == 0 {
            return;
        }
        let held = std::mem::take(&mut self.held) || seen.held;
        if held {
            self.held_at = Some(now);
        }
        let emptied = self.emptied.take().is_some();
        if !held && seen.pending < self.limit / 2 {
            // From here on the application is the slower part.
            if let Some(window) = self.window.take().filter(|_| seen.pending == 0 && !emptied) {
                let elapsed = now.saturating_duration_since(window.began);
                if elapsed >= BURST.max(self.base.shortest()) {
                    self.measured(window, seen.acknowledged, elapsed);
                }
            }
            return;
        }
        self.emptied = (seen.pending == 0).then_some(now);
        if self.base.is_old(now) {
            self.window = None;
            self.pause = Pause::Emptying { since: now };
            return self.paused(now, seen.in_flight);
        }
        if self.searching {
            self.search(bytes, seen.round_trip);
        }
        self.bursts.acknowledged(now, bytes, self.fastest);
        let window = self.window.get_or_insert(Window {
            began: now,
            from: seen.acknowledged,
            shortest: Duration::MAX,
        });
        window.shortest = window.shortest.min(seen.round_trip.unwrap_or(Duration::MAX));
        let elapsed = now.saturating_duration_since(window.began);
        let enough = seen.acknowledged - window.from >= (self.limit / 2).min(MOST_MEASURED) as u64;
        if enough && elapsed >= WINDOW.max(self.base.shortest()) {
            let next = Window { began: now, from: seen.acknowledged, shortest: Duration::MAX };
            if let Some(window) = self.window.replace(next) {
                self.measured(window, seen.acknowledged, elapsed);
            }
        }
    }

    /// Lets more out at once for what the path just carried, until a queue shows.
    fn search(&mut self, bytes: u64, round_trip: Option<Duration>) {
        if round_trip.is_some_and(|sample| sample > self.base.shortest() + QUEUE) {
            self.searching = false;
        } else if self.limit < UNMEASURED {
            self.limit = (self.limit + bytes as usize).min(UNMEASURED);
        }
    }

    /// Goes on with a pause.
    fn paused(&mut self, now: Instant, in_flight: usize) {
        let (Pause::Emptying { since } | Pause::Asked { at: since, .. }) = self.pause else { return };
        if now >= since + self.base.shortest() * 4 + PATIENCE {
            // Keys keep it busy, or it stands still: nothing can be learnt now.
            self.pause = Pause::No;
            self.base.keep(now);
        } else if in_flight == 0 && matches!(self.pause, Pause::Emptying { .. }) {
            self.pause = Pause::Asked { at: now, first: None };
            self.asks = true;
        }
    }

    fn measured(&mut self, window: Window, acknowledged: u64, elapsed: Duration) {
        let speed = (acknowledged - window.from) as f64 / elapsed.as_secs_f64();
        self.searching &= speed > self.fastest * GAIN;
        let windows = elapsed.div_duration_f64(WINDOW.max(self.base.shortest())).min(1.0);
        self.fastest = speed.max(self.fastest * FADE.powf(windows));
        let bursts = self.bursts.take();
        let base = self.base.shortest();
        let crowded = window.shortest < Duration::MAX && window.shortest > base + QUEUE_AT_MOST;
        let (ahead, late) = if crowded {
            // Even the first byte of it all waited: what the path carries in a round trip without a queue.
            self.searching = false;
            self.fastest = speed;
            (speed * base.as_secs_f64(), 0.0)
        } else {
            let gain = if self.searching { SEARCH_GAIN } else { GAIN };
            let acks = (self.fastest * ACK_EVERY.as_secs_f64()).min(ACK_AT as f64);
            let even = EVEN * self.fastest / (self.fastest + HALF_EVEN);
            let ahead = acks
                + even
                + self.fastest * ((base + AHEAD).as_secs_f64() * gain + self.base.jitter().as_secs_f64());
            // Where even the quickest byte waited longer than for a reader's turn there is a queue: of others too, and each would add to it.
            let queued = window.shortest < Duration::MAX && window.shortest > base + TURN;
            let most = if queued { 0.0 } else { self.fastest * LATE.as_secs_f64() };
            let late = (bursts - acks - LEAST as f64).clamp(0.0, most);
            (ahead, late)
        };
        let steady = (LEAST + ahead as usize).min(MOST);
        self.limit = steady.max((steady + late as usize).min(UNMEASURED));
    }
}

/// The limit of an unknown path, a few packets: a quarter of a second at 256 kbit/s.
const START: usize = 8 * 1024;
/// What a sender may have under way without a window measured, and because of [`Bursts`]: 6 ms at 20 MB/s.
const UNMEASURED: usize = 128 * 1024;
/// The least: one segment on the way and one behind it.
const LEAST: usize = 2 * (UNIT + SEGMENT_OVERHEAD as usize);
/// Bytes beside the path's own that grow with the speed up to this. As [`LEAST`] they are nearly the same for all senders, so
/// that of several on one path the slower ones gain; they are half as much …
const EVEN: f64 = 4.0 * 1024.0;
/// … at this speed.
const HALF_EVEN: f64 = 200_000.0;
/// The highest limit: what a session holds.
const MOST: usize = 1024 * 1024;
/// Added to a round trip: a sender's task may run this late.
const AHEAD: Duration = Duration::from_micros(500);
/// So much of what the path carries is let out for acknowledgements that come in [`Bursts`], at most: a key waits as long.
const LATE: Duration = Duration::from_millis(25);
/// The longest turn in which a reader looks at what arrived. What waits longer waits in a queue.
const TURN: Duration = Duration::from_millis(15);
/// Factor on the measured speed. Above 1, or a path could never show that it carries more.
const GAIN: f64 = 1.25;
/// The same while each window is faster than the one before by [`GAIN`].
const SEARCH_GAIN: f64 = 2.0;
/// Factor on the fastest speed with each slower window. A relay lets a burst through far above the speed it keeps up;
/// remembered for long, the burst would make the queue in the relay as much longer.
const FADE: f64 = 0.5;
/// How long a segment takes on the path, unless that is less than a packet.
const SEGMENT_LASTS: Duration = Duration::from_millis(8);
/// The shortest window: some acknowledgements on a fast path.
const WINDOW: Duration = Duration::from_millis(10);
/// A window of this many bytes is long enough in any case.
const MOST_MEASURED: usize = 64 * 1024;
/// The shortest burst that is measured: a relay at its limit lets a shorter one through at any speed.
const BURST: Duration = Duration::from_millis(2);
/// A round trip longer than the shortest by this much ends the search: the path is full.
const QUEUE: Duration = Duration::from_millis(50);
/// When all round trips of a window are longer by this much, the queue is too long.
const QUEUE_AT_MOST: Duration = Duration::from_millis(100);
/// Beside four round trips: after so long a path that does not run empty is used again.
const PATIENCE: Duration = Duration::from_secs(2);
