//! What one message on a data channel looks like.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 1 | kind: 0 data, 1 ping, 2 pong, 3 close, 4 datagram on the reliable channel |
//! | 1 | n | data, datagram: the application's bytes, 1 to 16,383 |
//! | 1 | 4 | ping, pong: `u32` number, big-endian |
//! | 1 | 2 + n | close: `u16` code, big-endian, then a UTF-8 reason of at most 123 bytes |
//!
//! Data on the reliable channel belongs to the reliable lane, data on the other to the datagram lane.

use bytes::{BufMut, Bytes, BytesMut};
use transport_core::{CloseCode, Text};

/// Largest message on a data channel in bytes, prefix included: larger ones are cut into pieces by
/// some stack somewhere.
pub(crate) const MAX_FRAME: usize = 16 * 1024;

/// Bytes in front of the application's.
pub(crate) const PREFIX: usize = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Close { code: CloseCode, reason: Text },
    Data(Bytes),
    Datagram(Bytes),
    Ping(u32),
    Pong(u32),
}

/// A message that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of an unknown form")]
pub(crate) struct BadFrame;

impl Frame {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(PREFIX + self.body_len());
        match self {
            Self::Data(payload) => {
                out.put_u8(DATA);
                out.put_slice(payload);
            }
            Self::Datagram(payload) => {
                out.put_u8(DATAGRAM);
                out.put_slice(payload);
            }
            Self::Ping(number) => {
                out.put_u8(PING);
                out.put_u32(*number);
            }
            Self::Pong(number) => {
                out.put_u8(PONG);
                out.put_u32(*number);
            }
            Self::Close { code, reason } => {
                out.put_u8(CLOSE);
                out.put_u16(code.get());
                out.put_slice(reason.as_bytes());
            }
        }
        out.freeze()
    }

    pub(crate) fn decode(message: &[u8]) -> Result<Self, BadFrame> {
        let (&kind, body) = message.split_first().ok_or(BadFrame)?;
        let number = || body.try_into().map(u32::from_be_bytes).map_err(|_| BadFrame);
        match kind {
            DATA if !body.is_empty() => Ok(Self::Data(Bytes::copy_from_slice(body))),
            DATAGRAM if !body.is_empty() => Ok(Self::Datagram(Bytes::copy_from_slice(body))),
            PING => Ok(Self::Ping(number()?)),
            PONG => Ok(Self::Pong(number()?)),
            CLOSE => {
                let (code, reason) = body.split_first_chunk::<2>().ok_or(BadFrame)?;
                let code = CloseCode::from_wire(u16::from_be_bytes(*code)).ok_or(BadFrame)?;
                if reason.len() > Text::MAX_BYTES {
                    return Err(BadFrame);
                }
                let reason = std::str::from_utf8(reason).map_err(|_| BadFrame)?.to_owned();
                Ok(Self::Close { code, reason: reason.into() })
            }
            _ => Err(BadFrame),
        }
    }

    fn body_len(&self) -> usize {
        match self {
            Self::Close { reason, .. } => 2 + reason.len(),
            Self::Data(payload) | Self::Datagram(payload) => payload.len(),
            Self::Ping(_) | Self::Pong(_) => 4,
        }
    }
}

const DATA: u8 = 0;
const PING: u8 = 1;
const PONG: u8 = 2;
const CLOSE: u8 = 3;
const DATAGRAM: u8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_wire_is_pinned() {
        let close = Frame::Close { code: CloseCode::DRAIN, reason: "bye".into() };
        for (frame, wire) in [
            (Frame::Data(Bytes::from_static(b"hi")), "006869"),
            (Frame::Ping(0x0102_0304), "0101020304"),
            (Frame::Pong(u32::MAX), "02ffffffff"),
            (close, "030fa1627965"),
            (Frame::Datagram(Bytes::from_static(b"hi")), "046869"),
        ] {
            assert_eq!(hex(&frame.encode()), wire);
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn messages_of_no_known_form_are_refused() {
        let long = [&[CLOSE, 3, 232][..], &[b'x'; Text::MAX_BYTES + 1]].concat();
        for bad in [
            &[][..],
            &[DATA],
            &[DATAGRAM],
            &[PING, 0, 0, 0],
            &[PONG, 0, 0, 0, 0, 0],
            &[CLOSE, 3],
            &[CLOSE, 3, 238], // 1006 may not be sent
            &[CLOSE, 3, 232, 0xFF],
            &[5, 0],
            &long,
        ] {
            assert_eq!(Frame::decode(bad), Err(BadFrame), "{bad:?}");
        }
    }

    #[test]
    fn a_long_reason_is_clipped_between_characters() {
        let frame = Frame::Close { code: CloseCode::NORMAL, reason: "é".repeat(100).into() };
        let Ok(Frame::Close { reason, .. }) = Frame::decode(&frame.encode()) else { panic!("not a close") };
        assert_eq!(reason, "é".repeat(61).as_str());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(frame) = Frame::decode(&bytes) {
                // A reason is cleaned as it is read: only then may the bytes differ, and only once.
                if let Frame::Close { code, reason } = &frame {
                    let code = code.get().to_be_bytes();
                    let words = Text::from_bytes(&bytes[3..]);
                    prop_assert_eq!((&code[..], reason), (&bytes[1..3], &words));
                    prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
                } else {
                    prop_assert_eq!(frame.encode(), Bytes::from(bytes));
                }
            }
        }
    }
}
