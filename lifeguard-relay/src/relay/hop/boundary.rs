//! Where in a server's stream of frames (RFC 6455 §5.2) the bytes that were passed on end.

/// Follows the headers of frames, and nothing else of them. Servers do not mask.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    head: [u8; MAX_HEAD],
    have: usize,
    /// Payload bytes that are still to come.
    left: u64,
    /// A message that came in part.
    fragmented: bool,
    goodbye: bool,
}

impl Boundary {
    /// These bytes were passed on.
    pub(super) fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[skipped..];
                self.left -= skipped as u64;
                continue;
            }
            self.head[self.have] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have == self.head_len() {
                self.begin();
            }
        }
    }

    /// Whether a frame of one's own may follow: between two messages.
    pub(super) fn is_between_messages(&self) -> bool {
        self.is_between_frames() && !self.fragmented
    }

    /// Whether a control frame may follow.
    pub(super) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether a close frame was passed on whole.
    pub(super) fn said_goodbye(&self) -> bool {
        self.goodbye && self.is_between_frames()
    }

    fn head_len(&self) -> usize {
        match (self.have, self.head[1] & 0x7F) {
            (0 | 1, _) => 2,
            (_, 126) => 4,
            (_, 127) => MAX_HEAD,
            _ => 2,
        }
    }

    fn begin(&mut self) {
        self.left = match self.have {
            2 => u64::from(self.head[1] & 0x7F),
            4 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            _ => self.head[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.have = 0;
        let (is_final, opcode) = (self.head[0] & 0x80 != 0, self.head[0] & 0x0F);
        match opcode {
            CLOSE => self.goodbye = true,
            0..CLOSE => self.fragmented = !is_final,
            _ => {}
        }
    }
}

const CLOSE: u8 = 8;
/// Two bytes and the longest length; no mask.
const MAX_HEAD: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = match payload {
            0..126 => vec![first, payload as u8],
            126..65_536 => [&[first, 126][..], &(payload as u16).to_be_bytes()].concat(),
            _ => [&[first, 127][..], &(payload as u64).to_be_bytes()].concat(),
        };
        frame.resize(frame.len() + payload, 0x88);
        frame
    }

    #[test]
    fn frames_of_every_length_end_where_they_end_however_they_are_cut() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
        let frames: Vec<_> = lengths.iter().map(|length| frame(0x82, *length)).collect();
        for step in [1, 2, 3, 7, 1_000, usize::MAX] {
            let mut boundary = Boundary::default();
            for frame in &frames {
                for piece in frame.chunks(step.min(frame.len())) {
                    boundary.note(piece);
                }
                assert!(boundary.is_between_messages(), "{step}");
            }
            assert!(!boundary.said_goodbye());
            boundary.note(&frames[7][..69_999]);
            assert!(!boundary.is_between_frames());
        }
    }

    #[test]
    fn a_goodbye_counts_when_it_is_whole_and_what_is_in_payloads_does_not() {
        let mut boundary = Boundary::default();
        boundary.note(&frame(0x82, 500));
        let close = frame(0x88, 2);
        boundary.note(&close[..3]);
        assert!(!boundary.said_goodbye());
        boundary.note(&close[3..]);
        assert!(boundary.said_goodbye());
    }

    #[test]
    fn between_two_parts_of_a_message_there_is_room_for_control_frames_only() {
        let mut boundary = Boundary::default();
        boundary.note(&frame(0x02, 5));
        assert!(boundary.is_between_frames() && !boundary.is_between_messages());
        boundary.note(&frame(0x89, 0));
        assert!(!boundary.is_between_messages());
        boundary.note(&frame(0x80, 5));
        assert!(boundary.is_between_messages());
    }
}
