//! A segment as it is written, in a data frame and in a repeat.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Ack, BadFrame, FLAG_ACK, FLAG_LAST, FLAG_MORE, read_u64};

/// A segment of a message, or a piece of one on a transport with small messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The segment's number.
    pub seq: u64,
    /// Where the segment and its message end.
    pub end: End,
    /// An acknowledgement of the other direction.
    pub ack: Option<Ack>,
    /// The bytes: 1 or more.
    pub payload: Bytes,
}

/// What ends with a data frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The message, and the segment with it.
    Message,
    /// Nothing: the segment goes on in the next data frame.
    Nothing,
    /// The segment; its message goes on in the next one.
    Segment,
}

impl Data {
    pub(super) fn write(&self, out: &mut BytesMut) {
        let end = match self.end {
            End::Message => FLAG_LAST,
            End::Nothing => FLAG_MORE,
            End::Segment => 0,
        };
        out.put_u8(end | if self.ack.is_some() { FLAG_ACK } else { 0 });
        out.put_u64(self.seq);
        if let Some(ack) = self.ack {
            ack.write(out);
        }
        out.put_slice(&self.payload);
    }

    pub(super) fn read(mut bytes: Bytes) -> Result<Self, BadFrame> {
        let flags = bytes.try_get_u8().map_err(|_| BadFrame::Length)?;
        let end = match flags & !FLAG_ACK {
            FLAG_LAST => End::Message,
            FLAG_MORE => End::Nothing,
            0 => End::Segment,
            _ => return Err(BadFrame::Flags(flags)),
        };
        let seq = read_u64(&mut bytes)?;
        let ack = if flags & FLAG_ACK != 0 { Some(Ack::read(&mut bytes)?) } else { None };
        if bytes.is_empty() {
            return Err(BadFrame::Length);
        }
        Ok(Self { seq, end, ack, payload: bytes })
    }

    pub(super) fn len(&self) -> usize {
        9 + if self.ack.is_some() { 16 } else { 0 } + self.payload.len()
    }
}
