//! The demo's bulk stream: numbered records of random bytes, and the ledger that checks them. It counts what is
//! inside the messages and believes nothing that the session says about itself.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

use crate::wire::{Message, Sum};

/// Makes records: the same seed makes the same ones.
#[derive(Debug)]
pub struct Source {
    random: StdRng,
    hash: Sha256,
    next: u64,
    bytes: u64,
}

impl Source {
    /// Starts at record 0.
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), hash: Sha256::new(), next: 0, bytes: 0 }
    }

    /// Makes the next record.
    pub fn record(&mut self) -> Message {
        let mut body = vec![0; RECORD];
        self.random.fill_bytes(&mut body);
        self.hash.update(&body);
        self.bytes += RECORD as u64;
        let number = self.next;
        self.next += 1;
        Message::Record { number, body: body.into() }
    }

    /// Ends the stream with its sum.
    pub fn end(self) -> Sum {
        Sum { bytes: self.bytes, sha256: self.hash.finalize().into() }
    }
}

/// Checks what arrives.
#[derive(Debug, Default)]
pub struct Ledger {
    hash: Sha256,
    bytes: u64,
    next: u64,
    missing: BTreeSet<u64>,
    duplicated: u64,
    reordered: u64,
    last: Option<Instant>,
    silences: Vec<Silence>,
    sum: Option<Sum>,
}

/// A time in which no record came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// When the record before it came.
    pub from: Instant,
    /// When the record after it came.
    pub to: Instant,
}

/// What the ledger found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Bytes inside the records that came.
    pub bytes: u64,
    /// Records that never came.
    pub lost: u64,
    /// Records that came again.
    pub duplicated: u64,
    /// Records that came after a later one.
    pub reordered: u64,
    /// The bytes in the order they came are the ones that were sent.
    pub sha256_match: bool,
}

impl Ledger {
    /// Takes a record.
    pub fn record(&mut self, now: Instant, number: u64, body: &Bytes) {
        if let Some(last) = self.last.replace(now).filter(|last| now.duration_since(*last) >= NOTABLE) {
            self.silences.push(Silence { from: last, to: now });
        }
        self.hash.update(body);
        self.bytes += body.len() as u64;
        if number >= self.next {
            // Numbers are the other side's: a jump is bounded, so that it cannot cost memory.
            self.missing.extend((self.next..number).take(MAX_MISSING));
            self.next = number.saturating_add(1);
        } else if self.missing.remove(&number) {
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
    }

    /// Takes the end of the stream.
    pub fn end(&mut self, sum: Sum) {
        self.sum = Some(sum);
    }

    /// Returns the bytes that came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Says whether the stream has ended.
    pub fn has_ended(&self) -> bool {
        self.sum.is_some()
    }

    /// Returns when the last record came.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Returns the longest silence that touches the time from `before` to `after` around `switch`.
    pub fn silence_around(&self, switch: Instant) -> Duration {
        let (from, to) = (switch.checked_sub(BEFORE).unwrap_or(switch), switch + AFTER);
        let touching = self.silences.iter().filter(|silence| silence.from <= to && silence.to >= from);
        touching.map(|silence| silence.to.duration_since(silence.from)).max().unwrap_or(NOTABLE)
    }

    /// Adds everything up.
    pub fn balance(&self) -> Balance {
        let sent = self.sum.map_or(self.next, |sum| sum.bytes / RECORD as u64);
        let sha256: [u8; 32] = self.hash.clone().finalize().into();
        Balance {
            bytes: self.bytes,
            lost: self.missing.len() as u64 + sent.saturating_sub(self.next),
            duplicated: self.duplicated,
            reordered: self.reordered,
            sha256_match: self.sum == Some(Sum { bytes: self.bytes, sha256 }),
        }
    }
}

/// Bytes in a record.
pub const RECORD: usize = 8 * 1024;

/// Time between two records: 1 MiB/s, brisk for a terminal and light for one machine that plays every part.
pub const PACE: Duration = Duration::from_millis(8);

/// A silence shorter than this is the pace of the stream and the grain of a timer.
const NOTABLE: Duration = Duration::from_millis(20);

/// How far from a switch a silence may lie to be counted against it.
const BEFORE: Duration = Duration::from_millis(250);
const AFTER: Duration = Duration::from_secs(1);

/// Missing records that are remembered by number.
const MAX_MISSING: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(order: impl FnOnce(&mut Vec<(u64, Bytes)>)) -> Balance {
        let mut source = Source::new(7);
        let mut records = Vec::new();
        for _ in 0..10 {
            let Message::Record { number, body } = source.record() else { unreachable!() };
            records.push((number, body));
        }
        order(&mut records);
        let mut ledger = Ledger::default();
        for (number, body) in &records {
            ledger.record(Instant::now(), *number, body);
        }
        ledger.end(source.end());
        ledger.balance()
    }

    #[test]
    fn a_perfect_stream_balances() {
        let perfect =
            Balance { bytes: 10 * RECORD as u64, lost: 0, duplicated: 0, reordered: 0, sha256_match: true };
        assert_eq!(deliver(|_| {}), perfect);
    }

    #[test]
    fn every_fault_is_counted_and_breaks_the_sum() {
        let faults = |balance: Balance| {
            assert!(!balance.sha256_match);
            (balance.lost, balance.duplicated, balance.reordered)
        };
        assert_eq!(faults(deliver(|records| drop(records.remove(4)))), (1, 0, 0));
        assert_eq!(faults(deliver(|records| records.truncate(7))), (3, 0, 0));
        assert_eq!(faults(deliver(|records| records.push(records[2].clone()))), (0, 1, 0));
        assert_eq!(faults(deliver(|records| records.swap(4, 5))), (0, 0, 1));
        assert_eq!(faults(deliver(|records| records[3].1 = vec![0; RECORD].into())), (0, 0, 0));
    }

    #[test]
    fn silences_are_told_by_where_they_lie() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ledger = Ledger::default();
        for (number, ms) in [0, 5_000, 5_008, 9_000, 9_300].into_iter().enumerate() {
            ledger.record(at(ms), number as u64, &Bytes::from_static(b"x"));
        }
        assert_eq!(ledger.silence_around(at(4_900)), Duration::from_millis(5_000));
        assert_eq!(ledger.silence_around(at(9_250)), Duration::from_millis(3_992));
        assert_eq!(ledger.silence_around(at(10_000)), NOTABLE);
    }
}
