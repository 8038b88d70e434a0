//! Lines that left the top of a shared terminal.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Lines of the past, one behind the other. They are numbered from the first that left the top of the terminal, 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The number of the first line here.
    pub first: u64,
    /// The number of the oldest line that the host still has.
    pub oldest: u64,
    /// The number behind the newest line that the host has.
    pub end: u64,
    /// The lines, UTF-8 with colours, each with a line feed at its end.
    pub text: Bytes,
}

impl Past {
    /// Returns the lines, without their line feeds.
    pub fn lines(&self) -> impl Iterator<Item = Bytes> {
        let mut rest = self.text.clone();
        std::iter::from_fn(move || {
            let length = rest.iter().position(|byte| *byte == b'\n')?;
            let line = rest.split_to(length);
            rest.advance(1);
            Some(line)
        })
    }

    /// Returns the number behind the last line here.
    pub fn behind(&self) -> u64 {
        self.first.saturating_add(self.count())
    }

    fn count(&self) -> u64 {
        self.text.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_u64(self.first);
        out.put_u64(self.oldest);
        out.put_u64(self.end);
    }

    /// Reads what stands behind the kind; `None` for lines that cannot be where they say.
    pub(super) fn take(bytes: &mut Bytes) -> Option<Self> {
        let first = bytes.try_get_u64().ok()?;
        let oldest = bytes.try_get_u64().ok()?;
        let end = bytes.try_get_u64().ok()?;
        let past = Self { first, oldest, end, text: std::mem::take(bytes) };
        let whole = past.text.last().is_none_or(|last| *last == b'\n');
        let there = first.checked_add(past.count()).is_some_and(|behind| behind <= end);
        (whole && there && oldest <= first).then_some(past)
    }
}

/// Bytes of lines in one message: what a narrow path carries in a second.
pub const PAST: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(first: u64, oldest: u64, end: u64, text: &'static str) -> Option<Past> {
        let mut out = BytesMut::new();
        Past { first, oldest, end, text: text.into() }.put(&mut out);
        out.put_slice(text.as_bytes());
        Past::take(&mut out.freeze())
    }

    #[test]
    fn lines_come_one_by_one_with_their_numbers() {
        let past = read(5, 3, 8, "a\n\nb\n").unwrap();
        assert_eq!(past.lines().collect::<Vec<_>>(), ["a", "", "b"]);
        assert_eq!(past.behind(), 8);
        assert_eq!(read(8, 3, 8, "").unwrap().lines().count(), 0);
    }

    #[test]
    fn lines_that_cannot_be_there_are_refused() {
        for (first, oldest, end, text) in
            [(2, 3, 8, "a\n"), (8, 3, 8, "a\n"), (5, 3, 8, "a"), (u64::MAX, 0, u64::MAX, "a\nb\n")]
        {
            assert_eq!(read(first, oldest, end, text), None, "{first} {oldest} {end} {text:?}");
        }
        assert_eq!(Past::take(&mut Bytes::from_static(&[0; 23])), None);
    }
}
