//! The judge of a history: was anything lost, doubled, reordered, forged, taken from another session
//! or skipped in silence?
//!
//! One [`Author`] writes the messages of one direction of one session; one [`Judge`] is shown what came
//! out at the other end, and every gap that was announced. Simulation, chaos and soak all use it,
//! in one process or in several that share the key. Its cost is linear in the messages; what it
//! remembers grows with the gaps, not with the messages.
//!
//! A checked message, big-endian:
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 8 | session, any number that tells sessions of a run apart |
//! | 8 | 4 | stream, any number that tells the directions and peers of a session apart |
//! | 12 | 8 | number of the message, from 0 |
//! | 20 | 8 | tag: keyed SipHash-1-3 of all the rest |
//! | 28 | any | filler |

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fmt,
    hash::Hasher,
    ops::Range,
};

use bytes::{BufMut, Bytes, BytesMut};

/// The least a checked message needs, in bytes.
pub const OVERHEAD: usize = 28;

/// Whose messages they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stream {
    /// Tells this run's messages from those of another; both sides know it.
    pub key: u64,
    /// Tells sessions apart.
    pub session: u64,
    /// Tells the directions and peers of a session apart.
    pub stream: u32,
}

impl Stream {
    fn tag(&self, number: u64, filler: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.key);
        hasher.write_u64(self.session);
        hasher.write_u32(self.stream);
        hasher.write_u64(number);
        hasher.write_usize(filler.len());
        hasher.write(filler);
        hasher.finish()
    }
}

/// Writes the messages of one direction.
#[derive(Debug)]
pub struct Author {
    stream: Stream,
    next: u64,
}

impl Author {
    /// Starts at message 0.
    pub fn new(stream: Stream) -> Self {
        Self { stream, next: 0 }
    }

    /// Writes the next message, `len` bytes in all but at least [`OVERHEAD`].
    pub fn write(&mut self, len: usize) -> Bytes {
        let number = self.next;
        self.next += 1;
        let mut message = BytesMut::with_capacity(len.max(OVERHEAD));
        let filler: Vec<u8> =
            (0..len.saturating_sub(OVERHEAD)).map(|at| (number as usize + at) as u8).collect();
        message.put_u64(self.stream.session);
        message.put_u32(self.stream.stream);
        message.put_u64(number);
        message.put_u64(self.stream.tag(number, &filler));
        message.put_slice(&filler);
        message.freeze()
    }

    /// Takes the last message back: it was refused, and will be written again.
    pub fn unwrite(&mut self) {
        self.next = self.next.saturating_sub(1);
    }

    /// Returns how many messages were written.
    pub fn written(&self) -> u64 {
        self.next
    }
}

/// Judges what came out of one direction.
#[derive(Debug)]
pub struct Judge {
    stream: Stream,
    next: u64,
    missing: Ranges,
    announced: Ranges,
    verdict: Verdict,
}

impl Judge {
    /// Expects message 0.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            next: 0,
            missing: Ranges::default(),
            announced: Ranges::default(),
            verdict: Verdict::default(),
        }
    }

    /// Looks at one delivered message.
    pub fn delivered(&mut self, message: &[u8]) {
        self.verdict.delivered += 1;
        let Some((author, number)) = self.read(message) else {
            self.verdict.forged += 1;
            return;
        };
        if (author.session, author.stream) != (self.stream.session, self.stream.stream) {
            self.verdict.crossed += 1;
            return;
        }
        if self.announced.contains(number) {
            self.verdict.false_gaps += 1;
        } else if number >= self.next {
            self.missing.insert(self.next..number);
            self.next = number + 1;
        } else if self.missing.remove(number) {
            self.verdict.reordered += 1;
        } else {
            self.verdict.doubled += 1;
        }
    }

    /// Notes that messages `from..to` were announced as lost for good.
    pub fn gap(&mut self, gap: Range<u64>) {
        if gap.start < self.next && !self.missing.covers(gap.start..gap.end.min(self.next)) {
            // It says lost of something that was delivered.
            self.verdict.false_gaps += 1;
        }
        self.missing.subtract(gap.clone());
        self.verdict.announced += gap.end.saturating_sub(gap.start);
        self.next = self.next.max(gap.end);
        self.announced.insert(gap);
    }

    /// Returns the number of the next message in order: how far the stream has come.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Closes the case: the author wrote `written` messages, all of which should be here by now.
    pub fn verdict(mut self, written: u64) -> Verdict {
        self.verdict.silent_gaps = self.missing.0.len() as u64;
        self.verdict.lost = self.missing.total() + written.saturating_sub(self.next);
        // Nobody wrote those, so what came under such a number was made up, or announced in error.
        self.verdict.forged += self.next.saturating_sub(written);
        self.verdict
    }

    fn read(&self, message: &[u8]) -> Option<(Stream, u64)> {
        let (head, filler) = message.split_at_checked(OVERHEAD)?;
        let session = u64::from_be_bytes(head[..8].try_into().ok()?);
        let stream = u32::from_be_bytes(head[8..12].try_into().ok()?);
        let number = u64::from_be_bytes(head[12..20].try_into().ok()?);
        let tag = u64::from_be_bytes(head[20..].try_into().ok()?);
        let author = Stream { key: self.stream.key, session, stream };
        (author.tag(number, filler) == tag).then_some((author, number))
    }
}

/// What was found. Everything but `delivered` and `announced` must be 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// Messages that came out, of whatever kind.
    pub delivered: u64,
    /// Messages of announced gaps: a loss, but said aloud.
    pub announced: u64,
    /// Written, never delivered, never announced.
    pub lost: u64,
    /// Delivered again.
    pub doubled: u64,
    /// Delivered after a later one.
    pub reordered: u64,
    /// Altered, cut, joined or never written.
    pub forged: u64,
    /// From another session or direction.
    pub crossed: u64,
    /// Places where the stream went on without a word about what is missing.
    pub silent_gaps: u64,
    /// Announced as lost, but delivered.
    pub false_gaps: u64,
}

impl Verdict {
    /// Says whether every promise was kept. Announced gaps are kept promises; see [`Verdict::is_whole`].
    pub fn is_clean(&self) -> bool {
        let Self {
            delivered: _,
            announced: _,
            lost,
            doubled,
            reordered,
            forged,
            crossed,
            silent_gaps,
            false_gaps,
        } = *self;
        lost + doubled + reordered + forged + crossed + silent_gaps + false_gaps == 0
    }

    /// Says whether, besides, nothing was lost at all.
    pub fn is_whole(&self) -> bool {
        self.is_clean() && self.announced == 0
    }

    /// Adds another direction's findings.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            announced: self.announced + other.announced,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            reordered: self.reordered + other.reordered,
            forged: self.forged + other.forged,
            crossed: self.crossed + other.crossed,
            silent_gaps: self.silent_gaps + other.silent_gaps,
            false_gaps: self.false_gaps + other.false_gaps,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} delivered, {} lost, {} doubled, {} reordered, {} forged, {} crossed, {} silent gaps, {} false gaps, {} announced",
            self.delivered,
            self.lost,
            self.doubled,
            self.reordered,
            self.forged,
            self.crossed,
            self.silent_gaps,
            self.false_gaps,
            self.announced
        )
    }
}

/// Disjoint, non-touching ranges: start to end.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    fn insert(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.0.range(..=range.end).next_back() {
            if end < range.start {
                break;
            }
            self.0.remove(&start);
            range = range.start.min(start)..range.end.max(end);
        }
        self.0.insert(range.start, range.end);
    }

    fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, &end)| number < end)
    }

    fn covers(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.0.range(..=range.start).next_back().is_some_and(|(_, &end)| range.end <= end)
    }

    fn remove(&mut self, number: u64) -> bool {
        let held = self.contains(number);
        self.subtract(number..number + 1);
        held
    }

    fn subtract(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.0.range(..range.end).next_back() {
            if end <= range.start {
                break;
            }
            self.0.remove(&start);
            if range.end < end {
                self.0.insert(range.end, end);
            }
            if start < range.start {
                self.0.insert(start, range.start);
            }
        }
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_behave_like_a_set(steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..60)) {
            let mut ranges = Ranges::default();
            let mut set = HashSet::new();
            for (add, start, len) in steps {
                if add {
                    ranges.insert(start..start + len);
                    set.extend(start..start + len);
                } else {
                    ranges.subtract(start..start + len);
                    set.retain(|number| !(start..start + len).contains(number));
                }
                prop_assert_eq!(ranges.total(), set.len() as u64);
                for number in 0..72 {
                    prop_assert_eq!(ranges.contains(number), set.contains(&number));
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_are_forged(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut judge = Judge::new(Stream { key: 1, session: 2, stream: 3 });
            judge.delivered(&bytes);
            prop_assert_eq!(judge.verdict(0).forged, 1);
        }
    }
}
