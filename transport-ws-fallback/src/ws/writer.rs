//! From messages to what a socket takes. Sans-IO.

use beach_lifeguard_client::websocket::{HeadBytes, MASK_BYTES, Mask, Opcode, copy_masked};

/// Frames that wait to be sent, one behind the other. Keeps its memory, which is as much as was put at once.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// What was put and not sent yet: from here …
    start: usize,
    /// … to here.
    end: usize,
}

impl Writer {
    /// Puts a message of `parts` behind the others. `mask` must be new, and not to be guessed.
    pub(crate) fn put(&mut self, opcode: Opcode, parts: &[&[u8]], mut mask: Mask) {
        let payload = parts.iter().map(|part| part.len()).sum();
        let head = HeadBytes::client(opcode, payload, mask);
        self.append(head.as_bytes().len(), |room| room.copy_from_slice(head.as_bytes()));
        for part in parts {
            self.append(part.len(), |room| copy_masked(room, part, mask));
            mask.rotate_left(part.len() % MASK_BYTES);
        }
    }

    /// What is to be sent.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Notes that the socket took so much of it.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    fn append(&mut self, len: usize, write: impl FnOnce(&mut [u8])) {
        let end = self.end + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        write(&mut self.bytes[self.end..end]);
        self.end = end;
    }
}

#[cfg(test)]
mod tests {
    use beach_lifeguard_client::websocket::{Head, Sender, apply_mask};

    use super::*;

    #[test]
    fn a_message_in_parts_is_one_frame_under_one_mask() {
        let mut writer = Writer::default();
        let message: Vec<u8> = (0..=255).collect();
        for cut in 0..message.len() {
            let (one, other) = message.split_at(cut);
            writer.put(Opcode::Binary, &[one, other], [1, 2, 3, 4]);
            let head = Head::read(writer.pending(), Sender::Client).unwrap().unwrap();
            let mut payload = writer.pending()[head.header..].to_vec();
            apply_mask(&mut payload, head.mask);
            assert_eq!((head.opcode, head.mask, payload), (Opcode::Binary, [1, 2, 3, 4], message.clone()));
            writer.sent(writer.pending().len());
        }
    }

    #[test]
    fn what_is_left_goes_first_and_memory_is_used_again() {
        let mut writer = Writer::default();
        writer.put(Opcode::Text, &[b"one"], [0; 4]);
        writer.sent(2);
        writer.put(Opcode::Pong, &[b"two"], [0; 4]);
        assert_eq!(writer.pending(), b"\0\0\0\0one\x8A\x83\0\0\0\0two");
        writer.sent(7);
        assert_eq!(writer.pending(), b"\x8A\x83\0\0\0\0two");
        writer.sent(9);
        assert!(writer.pending().is_empty());
        let kept = writer.bytes.len();
        writer.put(Opcode::Binary, &[b"three"], [0; 4]);
        assert_eq!((writer.pending(), writer.bytes.len()), (&b"\x82\x85\0\0\0\0three"[..], kept));
    }
}
