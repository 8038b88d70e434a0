//! Repeated segments that came before one in front of them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::weight;

/// Segments that wait for their turn, bounded in number and weight.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By number: the payload, and whether its message ends with it.
    segments: BTreeMap<u64, (Bytes, bool)>,
    weight: u64,
}

impl Held {
    /// Keeps a segment if there is room: it comes again, on one lane or the other.
    pub(super) fn keep(&mut self, seq: u64, next: u64, payload: Bytes, ends_message: bool) {
        let weight = self.weight + weight(payload.len());
        if seq - next > REACH || weight > MOST || self.segments.contains_key(&seq) {
            return;
        }
        self.weight = weight;
        // A copy: the frame it came in must not live as long.
        self.segments.insert(seq, (Bytes::copy_from_slice(&payload), ends_message));
    }

    /// Takes the segment whose turn it is, and forgets those before it.
    pub(super) fn take(&mut self, next: u64) -> Option<(Bytes, bool)> {
        while let Some(entry) = self.segments.first_entry() {
            if *entry.key() > next {
                return None;
            }
            let (seq, segment) = entry.remove_entry();
            self.weight -= weight(segment.0.len());
            if seq == next {
                return Some(segment);
            }
        }
        None
    }
}

/// How far before its turn a segment may come.
const REACH: u64 = 64;
/// Weight of all that wait.
const MOST: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(len: usize) -> Bytes {
        Bytes::from(vec![1; len])
    }

    #[test]
    fn segments_come_out_in_their_turn_and_older_ones_are_forgotten() {
        let mut held = Held::default();
        for seq in [7, 3, 4] {
            held.keep(seq, 2, payload(seq as usize), seq == 4);
        }
        assert_eq!(held.take(2), None);
        assert_eq!(held.take(4), Some((payload(4), true)));
        assert_eq!(held.take(8), None);
        assert_eq!((held.segments.len(), held.weight), (0, 0));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut held = Held::default();
        held.keep(10 + REACH + 1, 10, payload(1), true);
        assert!(held.segments.is_empty(), "too far");
        for seq in 11..11 + REACH {
            held.keep(seq, 10, payload(1_000), true);
            held.keep(seq, 10, payload(1_000), true);
        }
        assert!(held.weight <= MOST && held.segments.len() == 15, "{}", held.segments.len());
    }
}
