//! Frame headers and masks (RFC 6455 §5.2).

use super::reader::Violation;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
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

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: [u8; MASK_BYTES],
    /// Bytes of the header, mask included.
    pub(crate) header: usize,
    /// Bytes of the payload.
    pub(crate) payload: usize,
}

impl Head {
    /// Reads a header; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`Violation::Protocol`], [`Violation::TooBig`] beyond what an address can name.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let fin = first & FIN != 0;
        let opcode = Opcode::from_wire(first & 0x0F).ok_or(Violation::Protocol)?;
        let (short, masked) = (usize::from(second & !MASKED), second & MASKED != 0);
        // Nothing was negotiated that would use a reserved bit, and a client masks everything (§5.1).
        if first & RESERVED != 0 || !masked {
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
        let Some(mask) = rest.get(extended..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        Ok(Some(Self { fin, opcode, mask: *mask, header: 2 + extended + MASK_BYTES, payload }))
    }
}

/// The header of a server's frame: whole, not masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerHead {
    bytes: [u8; MAX_SERVER_HEAD],
    len: u8,
}

impl ServerHead {
    pub(crate) fn new(opcode: Opcode, payload: usize) -> Self {
        let mut bytes = [0; MAX_SERVER_HEAD];
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
            bytes[2..].copy_from_slice(&(payload as u64).to_be_bytes());
            MAX_SERVER_HEAD as u8
        };
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A whole close frame. Reasons are words of a closed set; one that does not fit is left out.
pub(crate) fn close_frame(code: Option<u16>, reason: &str) -> Vec<u8> {
    let reason = if reason.len() + 2 <= MAX_CONTROL_PAYLOAD { reason } else { "" };
    let payload = code.map_or(0, |_| 2 + reason.len());
    let mut frame = ServerHead::new(Opcode::Close, payload).as_bytes().to_vec();
    if let Some(code) = code {
        frame.extend_from_slice(&code.to_be_bytes());
        frame.extend_from_slice(reason.as_bytes());
    }
    frame
}

/// Takes the mask off, eight bytes at a time.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; MASK_BYTES]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

pub(super) const MASK_BYTES: usize = 4;
/// The largest header a server writes.
pub(super) const MAX_SERVER_HEAD: usize = 10;
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
    fn headers_at_every_boundary_of_their_length() {
        for payload in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
            let server = ServerHead::new(Opcode::Binary, payload);
            let mut client = server.as_bytes().to_vec();
            client[1] |= MASKED;
            client.extend([1, 2, 3, 4]);
            for cut in 0..client.len() {
                assert_eq!(Head::read(&client[..cut]), Ok(None), "{payload} cut at {cut}");
            }
            let head = Head::read(&client).unwrap().unwrap();
            let expected =
                Head { fin: true, opcode: Opcode::Binary, mask: [1, 2, 3, 4], header: client.len(), payload };
            assert_eq!(head, expected);
        }
    }

    #[test]
    fn what_no_client_may_send() {
        for bad in
            [[0xC2, 0x80], [0x82, 0x00], [0x83, 0x80], [0x8B, 0x80], [0x09, 0x80], [0x89, 0xFE], [0x88, 0xFF]]
        {
            assert_eq!(Head::read(&bad), Err(Violation::Protocol), "{bad:02x?}");
        }
    }

    #[test]
    fn masks_of_every_length_come_off() {
        for len in 0..40 {
            let plain: Vec<u8> = (0..len).collect();
            let mask = [0xA5, 0x01, 0xFF, 0x3C];
            let mut bytes: Vec<u8> = plain.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            unmask(&mut bytes, mask);
            assert_eq!(bytes, plain);
        }
    }

    #[test]
    fn a_close_frame_says_code_and_reason() {
        assert_eq!(close_frame(None, ""), [0x88, 0]);
        assert_eq!(close_frame(Some(4001), "drain"), [b"\x88\x07\x0F\xA1".as_slice(), b"drain"].concat());
        assert_eq!(close_frame(Some(1000), &"x".repeat(124)), [0x88, 2, 0x03, 0xE8]);
    }
}
