//! How sockets and links end, and whether coming back makes sense.

pub use beach_terms::{CloseCode, RetryClass, Text};
use bytes::{BufMut, Bytes, BytesMut};

use crate::frame::FrameError;

/// The payload of a close frame: the end of one link, not of the socket.
///
/// | offset | length | type | field |
/// |---|---|---|---|
/// | 0 | 2 | u16 be | close code |
/// | 2 | 0–123 | UTF-8 | reason, for a person |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// Why, for a person.
    pub reason: Text,
}

impl CloseFrame {
    /// Describes an end.
    pub fn new(code: CloseCode, reason: impl Into<Text>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Writes the payload.
    pub fn encode(&self) -> Bytes {
        let mut payload = BytesMut::with_capacity(2 + self.reason.len());
        payload.put_u16(self.code.get());
        payload.put_slice(self.reason.as_bytes());
        payload.freeze()
    }

    /// Reads the payload. A code nobody may send reads as [`CloseCode::PROTOCOL_ERROR`].
    ///
    /// # Errors
    ///
    /// [`FrameError`] when the code is missing or the reason is too long or not UTF-8.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        let (code, reason) = payload.split_first_chunk::<2>().ok_or(FrameError::Truncated)?;
        if reason.len() > Text::MAX_BYTES {
            return Err(FrameError::Reason);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| FrameError::Reason)?;
        let code = CloseCode::from_wire(u16::from_be_bytes(*code)).unwrap_or(CloseCode::PROTOCOL_ERROR);
        Ok(Self::new(code, reason.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_nobody_may_send_reads_as_a_broken_protocol() {
        assert_eq!(CloseFrame::decode(&[0x03, 0xEE]).unwrap().code, CloseCode::PROTOCOL_ERROR);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let long = "é".repeat(70);
        let close = CloseFrame::new(CloseCode::NORMAL, long);
        assert_eq!(close.reason.len(), 122);
        assert_eq!(CloseFrame::decode(&close.encode()), Ok(close));
        let longest = CloseFrame::new(CloseCode::NORMAL, "e".repeat(Text::MAX_BYTES));
        assert_eq!(CloseFrame::decode(&longest.encode()), Ok(longest));
        assert_eq!(CloseFrame::decode(&[0; 126]), Err(FrameError::Reason));
        assert_eq!(CloseFrame::decode(&[3]), Err(FrameError::Truncated));
        assert_eq!(CloseFrame::decode(&[3, 0xE8, 0xFF]), Err(FrameError::Reason));
    }
}
