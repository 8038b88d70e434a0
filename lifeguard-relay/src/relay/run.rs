//! Frames of one read that go to the same recipients on the same lane: they leave together.

use std::cell::OnceCell;

use bytes::Bytes;

use super::{outbound::Outgoing, ws::Frame};

/// Consecutive frames in a buffer, in the form in which they are sent.
///
/// A recipient that keeps up gets [`wire`](Self::wire) in one write, from the memory it was read into. Whoever is
/// behind shares one copy with all others that are.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    bytes: &'a [u8],
    frames: &'a [Frame],
    messages: OnceCell<Vec<Outgoing>>,
}

impl<'a> Run<'a> {
    /// `frames` follow each other in `bytes` without a gap.
    pub(crate) fn new(bytes: &'a [u8], frames: &'a [Frame]) -> Self {
        Self { bytes, frames, messages: OnceCell::new() }
    }

    /// All frames as they are sent.
    pub(crate) fn wire(&self) -> &'a [u8] {
        match self.frames {
            [first, .., last] => &self.bytes[first.start..last.end],
            [only] => &self.bytes[only.start..only.end],
            [] => &[],
        }
    }

    pub(crate) fn payloads(&self) -> impl Iterator<Item = &'a [u8]> {
        self.frames.iter().map(|frame| &self.bytes[frame.payload()])
    }

    /// All frames as messages of their own.
    pub(crate) fn messages(&self) -> &[Outgoing] {
        self.messages.get_or_init(|| {
            let message = |frame: &Frame| {
                let payload = Bytes::copy_from_slice(&self.bytes[frame.payload()]);
                if frame.text { Outgoing::Text(payload) } else { Outgoing::Binary(payload) }
            };
            self.frames.iter().map(message).collect()
        })
    }

    /// When the first `sent` bytes are gone: the rest of the frame they end in, and the messages behind it.
    pub(crate) fn after(&self, sent: usize) -> (Bytes, &[Outgoing]) {
        let Some(first) = self.frames.first() else { return (Bytes::new(), &[]) };
        let at = first.start + sent;
        let cut = self.frames.partition_point(|frame| frame.end <= at);
        match self.frames.get(cut) {
            None => (Bytes::new(), &[]),
            Some(frame) if frame.start == at => (Bytes::new(), &self.messages()[cut..]),
            Some(frame) => (Bytes::copy_from_slice(&self.bytes[at..frame.end]), &self.messages()[cut + 1..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_ends_anywhere_leaves_exactly_the_rest() {
        let bytes = *b"..\x82\x02ab\x81\x01c\x82\x00.";
        let frames = [(2, 4, 6, false), (6, 8, 9, true), (9, 11, 11, false)]
            .map(|(start, payload, end, text)| Frame { text, start, payload, end });
        let run = Run::new(&bytes, &frames);
        assert_eq!(run.wire(), &bytes[2..11]);
        let all = [
            Outgoing::Binary(Bytes::from_static(b"ab")),
            Outgoing::Text(Bytes::from_static(b"c")),
            Outgoing::Binary(Bytes::new()),
        ];
        assert_eq!(run.messages(), all);
        let expected: [(&[u8], usize); 10] = [
            (b"", 0),
            (b"\x02ab", 1),
            (b"ab", 1),
            (b"b", 1),
            (b"", 1),
            (b"\x01c", 2),
            (b"c", 2),
            (b"", 2),
            (b"\x00", 3),
            (b"", 3),
        ];
        for (sent, (rest, next)) in expected.into_iter().enumerate() {
            assert_eq!(run.after(sent), (Bytes::copy_from_slice(rest), &all[next..]), "{sent}");
        }
    }
}
