//! One direction of a path: decides what happens to each packet, and when. Sans-IO.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fault::{Flow, Loss, Way};

/// A delay line: packets go in, and come out later, or not at all.
#[derive(Debug)]
pub(crate) struct Line {
    way: Way,
    medium: Medium,
    dice: ChaCha8Rng,
    in_burst: bool,
    waiting: BinaryHeap<Packet>,
    queued_bytes: usize,
    next_number: u64,
    latest_due: Option<Instant>,
    dropped: u64,
}

/// What a lost packet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// It is late, and so is everything after it.
    Stream,
    /// It is gone.
    Packets,
}

#[derive(Debug, PartialEq, Eq)]
struct Packet {
    due: Instant,
    number: u64,
    bytes: Bytes,
}

impl Line {
    /// Makes an empty line.
    pub(crate) fn new(medium: Medium, way: Way, seed: u64) -> Self {
        Self {
            way,
            medium,
            dice: ChaCha8Rng::seed_from_u64(seed),
            in_burst: false,
            waiting: BinaryHeap::new(),
            queued_bytes: 0,
            next_number: 0,
            latest_due: None,
            dropped: 0,
        }
    }

    /// Changes the weather; what waits keeps its time.
    pub(crate) fn set(&mut self, way: Way, seed: u64) {
        self.way = way;
        self.dice = ChaCha8Rng::seed_from_u64(seed);
        self.in_burst = false;
    }

    /// Takes one packet in. Empty ones are legal: on a stream, that is its end.
    pub(crate) fn push(&mut self, now: Instant, bytes: Bytes) {
        let mut delay = self.way.delay + self.way.jitter.mul_f64(self.dice.random_range(0.0..=1.0));
        let lost = self.is_lost();
        match self.medium {
            Medium::Packets if lost || self.way.flow == Flow::Drop || self.waiting.len() >= MOST_PACKETS => {
                self.dropped += 1;
                return;
            }
            Medium::Stream if lost => {
                self.dropped += 1;
                delay += RETRANSMISSION.max(3 * self.way.delay);
            }
            _ => {}
        }
        let overtaken =
            self.medium == Medium::Packets && self.dice.random_bool(self.way.reorder.clamp(0.0, 1.0));
        let due = if overtaken {
            now + delay + self.way.jitter + Duration::from_millis(2)
        } else {
            let due = self.latest_due.map_or(now + delay, |latest| latest.max(now + delay));
            self.latest_due = Some(due);
            due
        };
        if self.medium == Medium::Packets && self.dice.random_bool(self.way.duplicate.clamp(0.0, 1.0)) {
            self.insert(due, bytes.clone());
        }
        self.insert(due, bytes);
    }

    /// Returns the next packet whose time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Bytes> {
        if self.next_due()? > now {
            return None;
        }
        let packet = self.waiting.pop()?;
        self.queued_bytes -= packet.bytes.len();
        Some(packet.bytes)
    }

    /// Returns when the next packet comes out; `None` while nothing waits or nothing moves.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let moves = match (self.way.flow, self.medium) {
            (Flow::Pass, _) | (Flow::Drop, Medium::Packets) => true,
            (Flow::Stall, _) | (Flow::Drop, Medium::Stream) => false,
        };
        if moves { self.waiting.peek().map(|packet| packet.due) } else { None }
    }

    /// Says whether a stream may be read further.
    pub(crate) fn has_room(&self) -> bool {
        self.queued_bytes < MOST_STREAM_BYTES && self.waiting.len() < MOST_PACKETS
    }

    /// Returns how many packets were lost so far (on a stream: late), and starts to count anew.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn insert(&mut self, due: Instant, bytes: Bytes) {
        self.queued_bytes += bytes.len();
        self.waiting.push(Packet { due, number: self.next_number, bytes });
        self.next_number += 1;
    }

    fn is_lost(&mut self) -> bool {
        match self.way.loss {
            Loss::None => false,
            Loss::Random { share } => self.dice.random_bool(share.clamp(0.0, 1.0)),
            Loss::Bursty { share, burst } => {
                let leave = (1.0 / burst).clamp(0.0, 1.0);
                let enter = (leave * share / (1.0 - share)).clamp(0.0, 1.0);
                let change = if self.in_burst { leave } else { enter };
                self.in_burst ^= self.dice.random_bool(change);
                self.in_burst
            }
        }
    }
}

/// The heap gives out its greatest: the earliest due, then the first in.
impl Ord for Packet {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl PartialOrd for Packet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Packets one direction of a flow holds; more are lost at the tail. A second of 1,200-byte packets at 40 Mbit/s.
const MOST_PACKETS: usize = 4096;

/// Bytes one direction of a connection holds before the proxy stops reading.
const MOST_STREAM_BYTES: usize = 256 * 1024;

/// How late a lost TCP segment is at least: the minimum retransmission timeout of Linux.
const RETRANSMISSION: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlab::LADDER;

    fn run(medium: Medium, way: Way, count: u32) -> (Vec<u32>, Vec<Duration>) {
        let start = Instant::now();
        let mut line = Line::new(medium, way, 7);
        let mut out = Vec::new();
        let mut delays = Vec::new();
        for tick in 0..count + 2000 {
            let now = start + Duration::from_millis(tick.into());
            if tick < count {
                line.push(now, Bytes::copy_from_slice(&tick.to_be_bytes()));
            }
            while let Some(bytes) = line.pop(now) {
                let number = u32::from_be_bytes(bytes[..].try_into().unwrap());
                out.push(number);
                delays.push(now.duration_since(start + Duration::from_millis(number.into())));
            }
        }
        (out, delays)
    }

    #[test]
    fn a_clear_way_keeps_everything_and_its_order() {
        assert_eq!(run(Medium::Packets, Way::CLEAR, 1000).0, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn every_rung_of_the_ladder_loses_what_it_says_and_delays_by_half_its_round_trip() {
        for rung in LADDER {
            let (out, delays) = run(Medium::Packets, rung.fault(1).up, 20_000);
            let loss = 1.0 - out.len() as f64 / 20_000.0;
            assert!((loss - rung.loss).abs() < 0.002 + rung.loss * 0.15, "{rung:?} lost {loss}");
            let least = delays.iter().min().unwrap();
            assert!(least.as_millis() as u64 >= rung.rtt_ms / 2, "{rung:?} delayed by {least:?}");
            assert!(out.is_sorted(), "jitter alone keeps the order");
        }
    }

    #[test]
    fn bursty_loss_comes_in_runs() {
        let way = Way { loss: Loss::Bursty { share: 0.2, burst: 5.0 }, ..Way::CLEAR };
        let (out, _) = run(Medium::Packets, way, 20_000);
        let runs: Vec<u32> =
            out.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&gap| gap > 0).collect();
        let mean = f64::from(runs.iter().sum::<u32>()) / runs.len() as f64;
        assert!((4.0..6.0).contains(&mean), "mean run {mean}");
    }

    #[test]
    fn reordering_and_duplication_do_what_they_say() {
        let way = Way { reorder: 0.1, duplicate: 0.1, ..Way::CLEAR };
        let (out, _) = run(Medium::Packets, way, 5000);
        assert!(!out.is_sorted());
        assert!((5400..5600).contains(&out.len()), "{}", out.len());
    }

    #[test]
    fn a_stream_loses_nothing_but_time() {
        let (out, delays) = run(Medium::Stream, Way::lossy(0.05), 1000);
        assert_eq!(out, (0..1000).collect::<Vec<_>>());
        assert!(*delays.iter().max().unwrap() >= RETRANSMISSION);
    }

    #[test]
    fn a_stalled_line_gives_everything_out_once_healed() {
        let now = Instant::now();
        let mut line = Line::new(Medium::Packets, Way::STALLED, 1);
        line.push(now, Bytes::from_static(b"a"));
        assert_eq!(line.next_due(), None);
        line.set(Way::CLEAR, 1);
        assert_eq!(line.pop(now), Some(Bytes::from_static(b"a")));
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        assert_eq!(
            run(Medium::Packets, Way::lossy(0.3), 500).0,
            run(Medium::Packets, Way::lossy(0.3), 500).0
        );
    }
}
