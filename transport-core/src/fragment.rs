//! Splits a datagram that is larger than a transport's limit, and joins the pieces again.
//!
//! Each fragment starts with eight bytes, big-endian:
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 4 | message id, counted up by the sender |
//! | 4 | 2 | index of this fragment, from 0 |
//! | 6 | 2 | number of fragments, at least 1 |
//!
//! Fragments may arrive in any order, twice, or not at all; a message that stays incomplete is
//! evicted and counted, never handed out in part.

use std::{collections::BTreeMap, num::NonZeroUsize};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::time::{Duration, Instant};

/// Bytes in front of each fragment's piece of the message.
pub const FRAGMENT_HEADER: usize = 8;

/// Numbers messages and cuts them into fragments.
#[derive(Debug, Default)]
pub struct Splitter {
    next_id: u32,
}

impl Splitter {
    /// Cuts `message` into fragments of at most `limit` bytes, header included.
    ///
    /// Returns `None` when it cannot be done: nothing to send, no room beside the header, or more
    /// than 65,535 fragments.
    pub fn split(&mut self, message: Bytes, limit: NonZeroUsize) -> Option<Fragments> {
        let piece = limit.get().checked_sub(FRAGMENT_HEADER).filter(|room| *room > 0)?;
        let count = u16::try_from(message.len().div_ceil(piece)).ok().filter(|count| *count > 0)?;
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        Some(Fragments { id, index: 0, count, piece, rest: message })
    }
}

/// The fragments of one message, in order. Made by [`Splitter::split`].
#[derive(Debug)]
pub struct Fragments {
    id: u32,
    index: u16,
    count: u16,
    piece: usize,
    rest: Bytes,
}

impl Fragments {
    /// Appends the next fragment to `out`; returns whether there was one.
    pub fn write_next(&mut self, out: &mut BytesMut) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        let piece = self.rest.split_to(self.piece.min(self.rest.len()));
        out.reserve(FRAGMENT_HEADER + piece.len());
        out.put_u32(self.id);
        out.put_u16(self.index);
        out.put_u16(self.count);
        out.put_slice(&piece);
        // The last fragment may be number 65,535; nothing reads the index after it.
        self.index = self.index.wrapping_add(1);
        true
    }

    /// Returns how many bytes [`write_next`](Self::write_next) appends next; 0 at the end.
    pub fn next_len(&self) -> usize {
        match self.piece.min(self.rest.len()) {
            0 => 0,
            piece => FRAGMENT_HEADER + piece,
        }
    }
}

/// What a [`Joiner`] may hold at most.
///
/// # Defaults
///
/// 256 KiB, 64 messages, 3 s: some four full messages under way, and longer than any path that is
/// still worth a datagram takes to deliver the rest.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct JoinLimits {
    /// Bytes of incomplete messages. Beyond it the oldest is evicted.
    pub bytes: usize,
    /// Incomplete messages. Beyond it the oldest is evicted.
    pub messages: usize,
    /// How long a message may stay incomplete.
    pub age: Duration,
}

impl Default for JoinLimits {
    fn default() -> Self {
        Self { bytes: 256 * 1024, messages: 64, age: Duration::from_secs(3) }
    }
}

/// Joins fragments into messages, with bounded memory.
///
/// Call [`push`](Self::push) with each fragment and [`handle_timeout`](Self::handle_timeout) when
/// [`poll_timeout`](Self::poll_timeout) has come.
#[derive(Debug)]
pub struct Joiner {
    limits: JoinLimits,
    partial: BTreeMap<u32, Partial>,
    bytes: usize,
    evicted: u64,
    arrivals: u64,
}

#[derive(Debug)]
struct Partial {
    began: Instant,
    /// Order of arrival: ids wrap, so the smallest need not be the oldest.
    arrival: u64,
    pieces: Vec<Option<Bytes>>,
    missing: u16,
    bytes: usize,
}

impl Joiner {
    /// Makes a joiner that holds nothing yet.
    pub fn new(limits: JoinLimits) -> Self {
        Self { limits, partial: BTreeMap::new(), bytes: 0, evicted: 0, arrivals: 0 }
    }

    /// Takes one fragment; returns the message it completes.
    ///
    /// # Errors
    ///
    /// [`BadFragment`] when the fragment cannot belong to any message. A message whose fragments
    /// disagree about their number is dropped and counted as evicted.
    pub fn push(&mut self, now: Instant, mut fragment: Bytes) -> Result<Option<Bytes>, BadFragment> {
        if fragment.len() <= FRAGMENT_HEADER {
            return Err(BadFragment);
        }
        let (id, index, count) = (fragment.get_u32(), fragment.get_u16(), fragment.get_u16());
        if index >= count {
            return Err(BadFragment);
        }
        if count == 1 {
            return Ok(Some(fragment));
        }
        self.handle_timeout(now);
        if self.partial.get(&id).is_some_and(|partial| partial.pieces.len() != usize::from(count)) {
            self.evict(id);
            return Err(BadFragment);
        }
        self.arrivals += 1;
        let cost = usize::from(count) * size_of::<Option<Bytes>>();
        let partial = self.partial.entry(id).or_insert_with(|| {
            self.bytes += cost;
            let pieces = vec![None; usize::from(count)];
            Partial { began: now, arrival: self.arrivals, pieces, missing: count, bytes: cost }
        });
        let slot = &mut partial.pieces[usize::from(index)];
        if slot.is_none() {
            partial.bytes += fragment.len();
            self.bytes += fragment.len();
            *slot = Some(fragment);
            partial.missing -= 1;
        }
        if partial.missing > 0 {
            self.evict_beyond_limits();
            return Ok(None);
        }
        Ok(self.take(id).map(Partial::join))
    }

    /// Evicts what stayed incomplete for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((id, began)) = self.oldest() {
            if now.saturating_duration_since(began) < self.limits.age {
                break;
            }
            self.evict(id);
        }
    }

    /// Returns when the oldest incomplete message is evicted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.oldest().map(|(_, began)| began + self.limits.age)
    }

    /// Returns how many messages were given up incomplete.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Returns the bytes held, bookkeeping included.
    pub fn held_bytes(&self) -> usize {
        self.bytes
    }

    fn oldest(&self) -> Option<(u32, Instant)> {
        self.partial.iter().min_by_key(|(_, p)| p.arrival).map(|(id, p)| (*id, p.began))
    }

    fn evict_beyond_limits(&mut self) {
        while self.bytes > self.limits.bytes || self.partial.len() > self.limits.messages {
            let Some((id, _)) = self.oldest() else { break };
            self.evict(id);
        }
    }

    fn evict(&mut self, id: u32) {
        self.evicted += u64::from(self.take(id).is_some());
    }

    fn take(&mut self, id: u32) -> Option<Partial> {
        let partial = self.partial.remove(&id)?;
        self.bytes -= partial.bytes;
        Some(partial)
    }
}

impl Partial {
    fn join(self) -> Bytes {
        let mut message = BytesMut::with_capacity(self.bytes);
        for piece in self.pieces.iter().flatten() {
            message.extend_from_slice(piece);
        }
        message.freeze()
    }
}

/// A fragment that cannot be read: too short, an index beyond its count, or a count that
/// contradicts an earlier fragment of the same message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fragment that fits no message")]
pub struct BadFragment;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(splitter: &mut Splitter, message: &[u8], limit: usize) -> Vec<Bytes> {
        let limit = NonZeroUsize::new(limit).unwrap();
        let mut fragments = splitter.split(Bytes::copy_from_slice(message), limit).unwrap();
        let mut all = Vec::new();
        while fragments.next_len() > 0 {
            let mut out = BytesMut::new();
            let announced = fragments.next_len();
            assert!(fragments.write_next(&mut out));
            assert_eq!(out.len(), announced);
            all.push(out.freeze());
        }
        all
    }

    #[test]
    fn the_wire_is_pinned() {
        let mut splitter = Splitter { next_id: 0x0102_0304 };
        let all = split(&mut splitter, b"abcde", 11);
        assert_eq!(all, [&b"\x01\x02\x03\x04\0\0\0\x02abc"[..], b"\x01\x02\x03\x04\0\x01\0\x02de"]);
    }

    #[test]
    fn what_cannot_be_split_is_said() {
        let mut splitter = Splitter::default();
        let limit = |n| NonZeroUsize::new(n).unwrap();
        assert!(splitter.split(Bytes::new(), limit(100)).is_none());
        assert!(splitter.split(Bytes::from_static(b"x"), limit(8)).is_none());
        assert!(splitter.split(Bytes::from_static(b"x"), limit(9)).is_some());
        assert!(splitter.split(Bytes::from(vec![0; 65_535]), limit(9)).is_some());
        assert!(splitter.split(Bytes::from(vec![0; 65_536]), limit(9)).is_none());
    }

    #[test]
    fn an_incomplete_message_goes_at_its_age_and_not_before() {
        let start = Instant::now();
        let mut joiner = Joiner::new(JoinLimits::default());
        let all = split(&mut Splitter::default(), &[7; 100], 58);
        joiner.push(start, all[0].clone()).unwrap();
        assert_eq!(joiner.poll_timeout(), Some(start + Duration::from_secs(3)));
        joiner.handle_timeout(start + Duration::from_millis(2_999));
        assert_eq!(joiner.evicted(), 0);
        joiner.handle_timeout(start + Duration::from_secs(3));
        assert_eq!((joiner.evicted(), joiner.held_bytes(), joiner.poll_timeout()), (1, 0, None));
        assert_eq!(joiner.push(start + Duration::from_secs(4), all[1].clone()), Ok(None));
    }

    #[test]
    fn memory_is_bounded_in_bytes_and_in_messages_and_the_oldest_goes_first() {
        let now = Instant::now();
        let limits = JoinLimits { bytes: 1000, messages: 3, age: Duration::from_secs(3) };
        let mut joiner = Joiner::new(limits);
        let mut splitter = Splitter { next_id: u32::MAX - 1 };
        let messages: Vec<_> = (0..5u8).map(|fill| split(&mut splitter, &[fill; 100], 58)).collect();
        for fragments in &messages {
            joiner.push(now, fragments[0].clone()).unwrap();
        }
        assert_eq!(joiner.evicted(), 2);
        // The newest three survive, ids wrapped or not.
        for fragments in &messages[2..] {
            assert!(joiner.push(now, fragments[1].clone()).unwrap().is_some());
        }
        for fill in 0..20 {
            joiner.push(now, split(&mut splitter, &[fill; 900], 508)[0].clone()).unwrap();
            assert!(joiner.held_bytes() <= 1000);
        }
        // A header alone that promises 65,535 pieces buys no memory.
        joiner.push(now, Bytes::from_static(b"\0\0\0\x09\0\0\xff\xffx")).unwrap();
        assert!(joiner.held_bytes() <= 1000);
    }

    #[test]
    fn fragments_that_contradict_each_other_are_refused() {
        let now = Instant::now();
        let mut joiner = Joiner::new(JoinLimits::default());
        for bad in [&b""[..], b"\0\0\0\x01\0\0\0\x01", b"\0\0\0\x01\0\x02\0\x02x", b"\0\0\0\x01\0\0\0\0x"] {
            assert_eq!(joiner.push(now, Bytes::from_static(bad)), Err(BadFragment), "{bad:?}");
        }
        joiner.push(now, Bytes::from_static(b"\0\0\0\x01\0\0\0\x02x")).unwrap();
        assert_eq!(joiner.push(now, Bytes::from_static(b"\0\0\0\x01\0\x01\0\x03x")), Err(BadFragment));
        assert_eq!(joiner.held_bytes(), 0);
    }

    proptest! {
        #[test]
        fn any_order_and_any_duplicates_give_the_message_once(
            message in proptest::collection::vec(any::<u8>(), 1..5_000),
            limit in 9usize..2_000,
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let all = split(&mut Splitter::default(), &message, limit.max(message.len() / 60 + 9));
            let now = Instant::now();
            let mut joiner = Joiner::new(JoinLimits::default());
            let mut joined = Vec::new();
            let mut missing: std::collections::BTreeSet<_> = (0..all.len()).collect();
            for index in order {
                let index = index.index(all.len());
                if joined.is_empty() && (all.len() > 1 || missing.contains(&index)) {
                    missing.remove(&index);
                    joined.extend(joiner.push(now, all[index].clone()).unwrap());
                }
            }
            for index in missing {
                joined.extend(joiner.push(now, all[index].clone()).unwrap());
            }
            prop_assert_eq!(joined, vec![Bytes::from(message)]);
            prop_assert_eq!(joiner.held_bytes(), 0);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_exceed_the_bound(
            all in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..60),
        ) {
            let mut joiner = Joiner::new(JoinLimits { bytes: 4_096, messages: 8, age: Duration::from_secs(3) });
            let now = Instant::now();
            for bytes in all {
                let _ = joiner.push(now, Bytes::from(bytes));
                prop_assert!(joiner.held_bytes() <= 4_096);
            }
        }
    }
}
