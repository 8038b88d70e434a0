//! Frames of WebSocket itself (RFC 6455 §5.2), for both sides of a relay's socket. Sans-IO.
//!
//! The relay's data path and its client read and write sockets themselves, so that a payload is touched as rarely
//! as possible. What both must agree on is here: heads, masks, and what a goodbye may say. Extensions are not spoken.

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next part of a message.
    Continuation = 0,
    /// A message in UTF-8, or its first part.
    Text = 1,
    /// A message of bytes, or its first part.
    Binary = 2,
    /// The sender's goodbye.
    Close = 8,
    /// Asks for a pong with the same payload.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    fn from_wire(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it may come between the parts of a message, and has no parts itself.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Who sent a frame. A client masks every frame, a server none (§5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The side that dialled.
    Client,
    /// The side that was dialled.
    Server,
}

/// Four bytes that a client lays over a payload, again and again; new for each frame, and not to be guessed (§5.3).
pub type Mask = [u8; MASK_BYTES];

/// Length of a [`Mask`] in bytes.
pub const MASK_BYTES: usize = 4;

/// The head of a frame that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// What lies over the payload; zeros from a server.
    pub mask: Mask,
    /// Bytes of the head, mask included.
    pub header: usize,
    /// Bytes of the payload.
    pub payload: usize,
}

impl Head {
    /// Reads a head; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`Violation::Protocol`], [`Violation::TooBig`] beyond what an address can name.
    pub fn read(bytes: &[u8], sender: Sender) -> Result<Option<Self>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let fin = first & FIN != 0;
        let opcode = Opcode::from_wire(first & 0x0F).ok_or(Violation::Protocol)?;
        let (short, masked) = (usize::from(second & !MASKED), second & MASKED != 0);
        // Nothing was negotiated that would use a reserved bit.
        if first & RESERVED != 0 || masked != (sender == Sender::Client) {
            return Err(Violation::Protocol);
        }
        if opcode.is_control() && (!fin || short > MAX_CONTROL_PAYLOAD) {
            return Err(Violation::Protocol);
        }
        let (extended, payload) = match short {
            TWO_BYTES => match rest.first_chunk::<2>() {
                Some(length) => (2, usize::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            EIGHT_BYTES => match rest.first_chunk::<8>() {
                Some(length) => {
                    (8, usize::try_from(u64::from_be_bytes(*length)).map_err(|_| Violation::TooBig)?)
                }
                None => return Ok(None),
            },
            short => (0, short),
        };
        if !masked {
            return Ok(Some(Self { fin, opcode, mask: [0; MASK_BYTES], header: 2 + extended, payload }));
        }
        let Some(mask) = rest.get(extended..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        Ok(Some(Self { fin, opcode, mask: *mask, header: 2 + extended + MASK_BYTES, payload }))
    }

    /// Reads a head and judges it by what came before: `begun` are the bytes of a message whose last part has not come,
    /// `max` those of the largest message.
    ///
    /// # Errors
    ///
    /// As [`Head::read`]; [`Violation::Protocol`] for parts out of order, [`Violation::TooBig`] beyond `max`.
    pub fn read_next(
        bytes: &[u8],
        sender: Sender,
        begun: Option<usize>,
        max: usize,
    ) -> Result<Option<Self>, Violation> {
        let Some(head) = Self::read(bytes, sender)? else { return Ok(None) };
        let so_far = match (begun, head.opcode) {
            (_, opcode) if opcode.is_control() => 0,
            (Some(begun), Opcode::Continuation) => begun,
            (None, Opcode::Text | Opcode::Binary) => 0,
            _ => return Err(Violation::Protocol),
        };
        if head.payload > max.saturating_sub(so_far) {
            return Err(Violation::TooBig);
        }
        Ok(Some(head))
    }
}

/// The head of a frame to be sent, which is a whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadBytes {
    bytes: [u8; MAX_SERVER_HEAD + MASK_BYTES],
    len: u8,
}

impl HeadBytes {
    /// Writes the head of a server's frame, for `payload` bytes.
    pub fn server(opcode: Opcode, payload: usize) -> Self {
        let mut bytes = [0; MAX_SERVER_HEAD + MASK_BYTES];
        bytes[0] = FIN | opcode as u8;
        let len = if payload <= MAX_CONTROL_PAYLOAD {
            bytes[1] = payload as u8;
            2
        } else if let Ok(short) = u16::try_from(payload) {
            bytes[1] = TWO_BYTES as u8;
            bytes[2..4].copy_from_slice(&short.to_be_bytes());
            4
        } else {
            bytes[1] = EIGHT_BYTES as u8;
            bytes[2..MAX_SERVER_HEAD].copy_from_slice(&(payload as u64).to_be_bytes());
            MAX_SERVER_HEAD as u8
        };
        Self { bytes, len }
    }

    /// Writes the head of a client's frame, whose payload will be under `mask`.
    pub fn client(opcode: Opcode, payload: usize, mask: Mask) -> Self {
        let Self { mut bytes, len } = Self::server(opcode, payload);
        bytes[1] |= MASKED;
        let masked = len + MASK_BYTES as u8;
        bytes[usize::from(len)..usize::from(masked)].copy_from_slice(&mask);
        Self { bytes, len: masked }
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Lays `mask` over `bytes` or takes it off, eight bytes at a time.
pub fn apply_mask(bytes: &mut [u8], mask: Mask) {
    let wide = widen(mask);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// Copies `from` to `to` with `mask` laid over it, in one pass. As much as the shorter of both has.
pub fn copy_masked(to: &mut [u8], from: &[u8], mask: Mask) {
    let wide = widen(mask);
    let len = to.len().min(from.len());
    let (words, rest) = to[..len].as_chunks_mut::<8>();
    let (from_words, from_rest) = from[..len].as_chunks::<8>();
    for (word, from) in words.iter_mut().zip(from_words) {
        *word = (u64::from_ne_bytes(*from) ^ wide).to_ne_bytes();
    }
    for ((byte, from), mask) in rest.iter_mut().zip(from_rest).zip(mask.into_iter().cycle()) {
        *byte = from ^ mask;
    }
}

fn widen([a, b, c, d]: Mask) -> u64 {
    u64::from_ne_bytes([a, b, c, d, a, b, c, d])
}

/// The peer broke the rules; the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A head, an order or a goodbye that RFC 6455 forbids.
    #[error("not what RFC 6455 allows")]
    Protocol,
    /// A message beyond the limit.
    #[error("a message beyond the limit")]
    TooBig,
    /// Text that is none.
    #[error("text that is not UTF-8")]
    Utf8,
}

/// Makes the payload of a close frame. A reason that does not fit is left out.
pub fn close_payload(code: Option<u16>, reason: &str) -> Vec<u8> {
    let reason = if reason.len() + 2 <= MAX_CONTROL_PAYLOAD { reason } else { "" };
    code.map_or_else(Vec::new, |code| [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Reads the payload of a close frame: nothing, or a code that may be sent and a reason (§5.5.1, §7.4).
///
/// # Errors
///
/// [`Violation::Protocol`], [`Violation::Utf8`].
pub fn read_close(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Protocol) };
    };
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => {
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
            Ok(Some((code, reason)))
        }
        _ => Err(Violation::Protocol),
    }
}

/// The largest head of a server's frame in bytes.
pub const MAX_SERVER_HEAD: usize = 10;
const MAX_CONTROL_PAYLOAD: usize = 125;
const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// Lengths from here on stand in the next two bytes …
const TWO_BYTES: usize = 126;
/// … or eight.
const EIGHT_BYTES: usize = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_at_every_boundary_of_their_length() {
        for payload in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
            let mask = [1, 2, 3, 4];
            let server = HeadBytes::server(Opcode::Binary, payload);
            let client = HeadBytes::client(Opcode::Binary, payload, mask);
            for (sender, head, mask) in [(Sender::Server, server, [0; 4]), (Sender::Client, client, mask)] {
                let bytes = head.as_bytes();
                for cut in 0..bytes.len() {
                    assert_eq!(Head::read(&bytes[..cut], sender), Ok(None), "{payload} cut at {cut}");
                }
                let header = bytes.len();
                let read = Head { fin: true, opcode: Opcode::Binary, mask, header, payload };
                assert_eq!(Head::read(bytes, sender), Ok(Some(read)));
            }
        }
    }

    #[test]
    fn every_opcode_is_read_as_it_was_written() {
        use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
        for (opcode, wire) in [(Continuation, 0), (Text, 1), (Binary, 2), (Close, 8), (Ping, 9), (Pong, 10)] {
            // The longest payload that a control frame may have.
            let head = HeadBytes::server(opcode, 125);
            assert_eq!(head.as_bytes(), [0x80 | wire, 125]);
            let read = Head::read(head.as_bytes(), Sender::Server).unwrap().unwrap();
            assert_eq!((read.opcode, read.opcode.is_control()), (opcode, wire >= 8));
        }
    }

    #[test]
    fn what_nobody_may_send() {
        let (client, server) = (Sender::Client, Sender::Server);
        for (bad, sender) in [
            ([0xC2, 0x80], client),
            ([0x82, 0x00], client),
            ([0x83, 0x80], client),
            ([0x8B, 0x80], client),
            ([0x09, 0x80], client),
            ([0x89, 0xFE], client),
            ([0x88, 0xFF], client),
            ([0x92, 0x00], server),
            ([0x82, 0x80], server),
            ([0x0A, 0x00], server),
            ([0x8A, 0x7E], server),
        ] {
            assert_eq!(Head::read(&bad, sender), Err(Violation::Protocol), "{bad:02x?}");
        }
    }

    #[test]
    fn masks_of_every_length_go_on_and_come_off() {
        for len in 0..40 {
            let plain: Vec<u8> = (0..len).collect();
            let mask = [0xA5, 0x01, 0xFF, 0x3C];
            let masked: Vec<u8> = plain.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            let mut bytes = vec![0; plain.len()];
            copy_masked(&mut bytes, &plain, mask);
            assert_eq!(bytes, masked);
            apply_mask(&mut bytes, mask);
            assert_eq!(bytes, plain);
        }
    }

    #[test]
    fn a_goodbye_says_code_and_reason_or_nothing() {
        assert!(close_payload(None, "x").is_empty());
        assert_eq!(close_payload(Some(4001), "drain"), b"\x0F\xA1drain");
        assert_eq!(close_payload(Some(1000), &"x".repeat(123)).len(), 125);
        assert_eq!(close_payload(Some(1000), &"x".repeat(124)), b"\x03\xE8");
        assert_eq!(read_close(b""), Ok(None));
        assert_eq!(read_close(b"\x0F\xA1drain"), Ok(Some((4001, "drain"))));
        for bad in [&b"\x03"[..], b"\x03\xED", b"\x03\xEE", b"\x03\xE7", b"\x13\x88"] {
            assert_eq!(read_close(bad), Err(Violation::Protocol), "{bad:02x?}");
        }
        assert_eq!(read_close(b"\x03\xE8\xC3"), Err(Violation::Utf8));
    }
}
