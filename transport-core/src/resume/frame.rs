//! The frames two resume machines exchange, inside the seal. All numbers are big-endian.
//!
//! | kind | frame | after the kind byte |
//! |---|---|---|
//! | 1 | data | flags u8, seq u64, \[received u64, credit u64\], payload of 1 byte or more |
//! | 2 | ack | received u64, credit u64 |
//! | 3 | attach | version u8, generation u32, instance u64, next expected u64, credit u64 |
//! | 4 | datagram | one fragment, see [`crate::fragment`] |
//! | 5 | ping | id u64 |
//! | 6 | pong | id u64 |
//! | 7 | drain | nothing |
//! | 8 | fin | seq u64 |
//! | 9 | close | code u16, reason of at most 123 bytes UTF-8 |
//! | 10 | repeat | id u64, then as data |
//! | 11 | heard | id u64, next on the reliable lane u64, received u64, credit u64 |
//!
//! Data flags: bit 0, the segment ends its message; bit 1, the segment goes on in the next frame;
//! bit 2, an ack is aboard. The others are 0.
//!
//! Datagram, repeat and heard go on the datagram lane, all others on the reliable lane. A repeat is a whole segment that
//! goes on the reliable lane too; it never has bit 1. Heard answers the newest one. A ping whose id has the highest bit set
//! ([`TAKES_REPEATS`]) says that its sender reads both; nobody else is sent a repeat.

mod data;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    close::{CloseCode, Text},
    ids::Generation,
};

pub use self::data::{Data, End};

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What the sender has received and what it grants.
    Ack(Ack),
    /// The first frame of each side on a new generation.
    Attach(Attach),
    /// The session ends.
    Close {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for a person.
        reason: Text,
    },
    /// A segment of a message, or a piece of one.
    Data(Data),
    /// One fragment of a datagram, with its fragment header.
    Datagram(Bytes),
    /// The sender moved to a newer generation and sends nothing more on this one.
    Drain,
    /// The sender's messages end before this sequence number, which the frame itself takes.
    Fin {
        /// The number after the last segment.
        seq: u64,
    },
    /// What arrived, in answer to a repeat.
    Heard(Heard),
    /// Asks for a pong.
    Ping(u64),
    /// Answers a ping with its id.
    Pong(u64),
    /// A segment once more.
    Repeat {
        /// Numbers the repeats of a side, so that an answer tells how long it took.
        id: u64,
        /// The segment, whole.
        data: Data,
    },
}

/// What arrived, said on the datagram lane in answer to a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The repeat that is answered.
    pub id: u64,
    /// The number that the reliable lane of this generation brings next: behind what was received while it waits for
    /// a lost packet.
    pub lane: u64,
    /// What was received on either lane.
    pub ack: Ack,
}

/// A cumulative acknowledgement, and how far the other side may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The next sequence number expected: everything below arrived.
    pub received: u64,
    /// The total weight of segments the receiver grants, counted from the session's start.
    pub credit: u64,
}

/// Introduces a resume machine to the other on a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attach {
    /// The form of these frames: [`VERSION`].
    pub version: u8,
    /// The generation it is sent on, so that a mixed-up link is noticed.
    pub generation: Generation,
    /// Random, chosen when the state was made: tells a machine that lost its state from one that
    /// kept it.
    pub instance: u64,
    /// What it expects next, and grants.
    pub ack: Ack,
}

impl Frame {
    /// Writes the frame, with room behind it for a seal to be appended without a copy.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.len() + ROOM_FOR_SEAL);
        match self {
            Self::Data(data) => {
                out.put_u8(KIND_DATA);
                data.write(&mut out);
            }
            Self::Repeat { id, data } => {
                put_numbered(&mut out, KIND_REPEAT, *id);
                data.write(&mut out);
            }
            Self::Heard(heard) => {
                put_numbered(&mut out, KIND_HEARD, heard.id);
                out.put_u64(heard.lane);
                heard.ack.write(&mut out);
            }
            Self::Ack(ack) => {
                out.put_u8(KIND_ACK);
                ack.write(&mut out);
            }
            Self::Attach(attach) => {
                out.put_u8(KIND_ATTACH);
                out.put_u8(attach.version);
                out.put_u32(attach.generation.0);
                out.put_u64(attach.instance);
                attach.ack.write(&mut out);
            }
            Self::Datagram(fragment) => {
                out.put_u8(KIND_DATAGRAM);
                out.put_slice(fragment);
            }
            Self::Ping(id) => put_numbered(&mut out, KIND_PING, *id),
            Self::Pong(id) => put_numbered(&mut out, KIND_PONG, *id),
            Self::Drain => out.put_u8(KIND_DRAIN),
            Self::Fin { seq } => put_numbered(&mut out, KIND_FIN, *seq),
            Self::Close { code, reason } => {
                out.put_u8(KIND_CLOSE);
                out.put_u16(code.get());
                out.put_slice(reason.as_bytes());
            }
        }
        out.freeze()
    }

    /// Reads a frame. Payloads share memory with `bytes`.
    ///
    /// # Errors
    ///
    /// [`BadFrame`] for everything that [`encode`](Self::encode) does not write.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BadFrame> {
        let kind = bytes.try_get_u8().map_err(|_| BadFrame::Length)?;
        let frame = match kind {
            KIND_DATA => return Data::read(bytes).map(Self::Data),
            KIND_REPEAT => return Self::decode_repeat(bytes),
            KIND_DATAGRAM => return Ok(Self::Datagram(bytes)),
            KIND_CLOSE => return Self::decode_close(bytes),
            KIND_ACK => Self::Ack(Ack::read(&mut bytes)?),
            KIND_ATTACH => Self::Attach(Attach {
                version: bytes.try_get_u8().map_err(|_| BadFrame::Length)?,
                generation: Generation(bytes.try_get_u32().map_err(|_| BadFrame::Length)?),
                instance: read_u64(&mut bytes)?,
                ack: Ack::read(&mut bytes)?,
            }),
            KIND_PING => Self::Ping(read_u64(&mut bytes)?),
            KIND_PONG => Self::Pong(read_u64(&mut bytes)?),
            KIND_DRAIN => Self::Drain,
            KIND_FIN => Self::Fin { seq: read_u64(&mut bytes)? },
            KIND_HEARD => Self::Heard(Heard {
                id: read_u64(&mut bytes)?,
                lane: read_u64(&mut bytes)?,
                ack: Ack::read(&mut bytes)?,
            }),
            other => return Err(BadFrame::Kind(other)),
        };
        if bytes.is_empty() { Ok(frame) } else { Err(BadFrame::Length) }
    }

    fn decode_repeat(mut bytes: Bytes) -> Result<Self, BadFrame> {
        let id = read_u64(&mut bytes)?;
        let data = Data::read(bytes)?;
        if data.end == End::Nothing { Err(BadFrame::Flags(FLAG_MORE)) } else { Ok(Self::Repeat { id, data }) }
    }

    fn decode_close(mut bytes: Bytes) -> Result<Self, BadFrame> {
        let code = bytes.try_get_u16().map_err(|_| BadFrame::Length)?;
        let code = CloseCode::from_wire(code).ok_or(BadFrame::CloseCode(code))?;
        if bytes.len() > Text::MAX_BYTES {
            return Err(BadFrame::Length);
        }
        let reason = String::from_utf8(bytes.into()).map_err(|_| BadFrame::Text)?;
        Ok(Self::Close { code, reason: reason.into() })
    }

    fn len(&self) -> usize {
        match self {
            Self::Ack(_) => 17,
            Self::Attach(_) => 30,
            Self::Close { reason, .. } => 3 + reason.len(),
            Self::Data(data) => 1 + data.len(),
            Self::Heard(_) => 33,
            Self::Repeat { data, .. } => 9 + data.len(),
            Self::Datagram(fragment) => 1 + fragment.len(),
            Self::Drain => 1,
            Self::Fin { .. } | Self::Ping(_) | Self::Pong(_) => 9,
        }
    }
}

impl Ack {
    fn write(self, out: &mut BytesMut) {
        out.put_u64(self.received);
        out.put_u64(self.credit);
    }

    fn read(bytes: &mut Bytes) -> Result<Self, BadFrame> {
        Ok(Self { received: read_u64(bytes)?, credit: read_u64(bytes)? })
    }
}

/// Bytes that are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFrame {
    /// A close code nobody may send.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// Data flags that contradict each other or are not known.
    #[error("data flags {0:#04x} are not known")]
    Flags(u8),
    /// An unknown kind of frame.
    #[error("frame kind {0} is not known")]
    Kind(u8),
    /// Too short or too long for its kind.
    #[error("a frame of the wrong length")]
    Length,
    /// A reason that is not UTF-8.
    #[error("a reason that is not text")]
    Text,
}

/// The form of the frames in this file.
pub const VERSION: u8 = 1;
/// The most a data frame adds to its payload, in bytes.
pub const DATA_OVERHEAD: usize = 26;
/// The most a repeat adds to its payload, in bytes.
pub const REPEAT_OVERHEAD: usize = DATA_OVERHEAD + 8;
/// The bit of a ping's id that says that its sender reads repeats.
pub const TAKES_REPEATS: u64 = 1 << 63;

/// Room left behind an encoded frame: the seal's trailer fits.
pub(super) const ROOM_FOR_SEAL: usize = crate::secure::SEAL_OVERHEAD;

const KIND_DATA: u8 = 1;
const KIND_ACK: u8 = 2;
const KIND_ATTACH: u8 = 3;
pub(super) const KIND_DATAGRAM: u8 = 4;
const KIND_PING: u8 = 5;
const KIND_PONG: u8 = 6;
const KIND_DRAIN: u8 = 7;
const KIND_FIN: u8 = 8;
const KIND_CLOSE: u8 = 9;
const KIND_REPEAT: u8 = 10;
const KIND_HEARD: u8 = 11;

const FLAG_LAST: u8 = 1;
const FLAG_MORE: u8 = 2;
const FLAG_ACK: u8 = 4;

fn put_numbered(out: &mut BytesMut, kind: u8, number: u64) {
    out.put_u8(kind);
    out.put_u64(number);
}

fn read_u64(bytes: &mut Bytes) -> Result<u64, BadFrame> {
    bytes.try_get_u64().map_err(|_| BadFrame::Length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secure::testing::hex;

    /// Pins the wire: other implementations read these vectors.
    const VECTORS: &str = include_str!("../../tests/vectors/session_frames.txt");

    fn examples() -> Vec<Frame> {
        let ack = Ack { received: 0x0102, credit: 0x11_0000 };
        let data = |end, ack, payload: &'static str| {
            Frame::Data(Data { seq: 7, end, ack, payload: Bytes::from_static(payload.as_bytes()) })
        };
        vec![
            data(End::Message, None, "hi"),
            data(End::Segment, None, "hi"),
            data(End::Nothing, Some(ack), "hi"),
            Frame::Ack(ack),
            Frame::Attach(Attach { version: 1, generation: Generation(3), instance: 0xABCD, ack }),
            Frame::Datagram(Bytes::from_static(b"\0\0\0\x05\0\0\0\x01x")),
            Frame::Ping(9),
            Frame::Pong(9),
            Frame::Drain,
            Frame::Fin { seq: 8 },
            Frame::Close { code: CloseCode::NORMAL, reason: "bye".into() },
            Frame::Repeat {
                id: 4,
                data: Data { seq: 7, end: End::Message, ack: Some(ack), payload: Bytes::from_static(b"hi") },
            },
            Frame::Heard(Heard { id: 4, lane: 0x0100, ack }),
            Frame::Ping(TAKES_REPEATS | 9),
        ]
    }

    #[test]
    fn the_wire_is_pinned_by_its_vectors() {
        let lines: Vec<&str> = VECTORS.lines().filter(|line| !line.starts_with('#')).collect();
        let examples = examples();
        assert_eq!(lines.len(), examples.len());
        for (frame, line) in examples.into_iter().zip(lines) {
            assert_eq!(hex(&frame.encode()), line.split_whitespace().last().unwrap(), "{frame:?}");
            assert_eq!(Frame::decode(frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn a_frame_is_written_into_one_piece_of_memory_in_which_the_seal_fits_exactly() {
        for frame in examples() {
            let written = frame.encode();
            let len = written.len();
            let memory = written.try_into_mut().expect("nobody else holds it");
            assert_eq!(memory.capacity(), len + ROOM_FOR_SEAL, "{frame:?}");
        }
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_refused_or_reads_as_another_payload() {
        for frame in examples() {
            let whole = frame.encode();
            let open_ended = matches!(
                frame,
                Frame::Data(_) | Frame::Datagram(_) | Frame::Close { .. } | Frame::Repeat { .. }
            );
            for cut in 0..whole.len() {
                let read = Frame::decode(whole.slice(..cut));
                assert!(read.is_err() || (open_ended && read != Ok(frame.clone())), "{frame:?} cut at {cut}");
            }
            let mut longer = BytesMut::from(&whole[..]);
            longer.put_u8(b'x');
            assert_eq!(Frame::decode(longer.freeze()).is_ok(), open_ended, "{frame:?}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = Frame::Close { code: CloseCode::POLICY, reason: "ü".repeat(100).into() };
        let Ok(Frame::Close { reason, .. }) = Frame::decode(frame.encode()) else { panic!("reads back") };
        assert_eq!(reason, "ü".repeat(61).as_str());
    }

    #[test]
    fn a_reason_has_one_hundred_and_twenty_three_bytes_at_most() {
        let close =
            |len: usize| Frame::decode([&[KIND_CLOSE, 0x03, 0xE8][..], &vec![b'x'; len]].concat().into());
        assert!(close(Text::MAX_BYTES).is_ok());
        assert_eq!(close(Text::MAX_BYTES + 1), Err(BadFrame::Length));
    }

    #[test]
    fn words_of_a_peer_cannot_steer_a_terminal() {
        let wire = [&[KIND_CLOSE, 0x03, 0xE8][..], b"bye\x1b[2J\r\n\x07 ok"].concat();
        let close = Frame::Close { code: CloseCode::NORMAL, reason: "bye[2J ok".into() };
        assert_eq!(Frame::decode(wire.into()), Ok(close));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_what_reads_writes_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            if let Ok(frame) = Frame::decode(bytes.clone()) {
                // A reason is cleaned as it is read: only then may the bytes differ, and only once.
                if let Frame::Close { code, reason } = &frame {
                    let code = code.get().to_be_bytes();
                    let words = Text::from_bytes(&bytes[3..]);
                    prop_assert_eq!((&code[..], reason), (&bytes[1..3], &words));
                    prop_assert_eq!(Frame::decode(frame.encode()), Ok(frame));
                } else {
                    prop_assert_eq!(frame.encode(), bytes);
                }
            }
        }
    }
}
