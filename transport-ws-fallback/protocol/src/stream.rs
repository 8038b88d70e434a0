//! The relay's HTTP carrier, version 2: for networks that let no WebSocket through.
//!
//! One streaming answer carries what the relay's WebSocket would send, numbered requests carry what the client's would:
//! the same bytes, frames of [`websocket`](crate::websocket) on both ways. So hello, frames, close codes and limits are
//! those of the WebSocket, and what is here is only what HTTP adds: an id and numbers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hello::HelloError;

/// The path of the request that opens a carrier; `/ID/NUMBER` behind it, that of an upload.
pub const STREAM_PATH: &str = "/v2/stream";

/// Largest body of one request, in bytes; the relay's first record may name less.
pub const MAX_UPLOAD_BYTES: usize = 128 * 1024;

/// Type of every body, in both directions.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// The reasons of a relay that answers a request with a status, beside those of the WebSocket's.
pub mod reason {
    /// The node takes nobody new; another one may. 503, for every carrier, and nothing of the request was looked at.
    pub const DRAINING: &str = "draining";
    /// The carrier is switched off here. 410.
    pub const OFF: &str = "stream_off";
    /// An upload came before the one it follows. 409.
    pub const OUT_OF_ORDER: &str = "out_of_order";
    /// A body of more than [`MAX_UPLOAD_BYTES`](super::MAX_UPLOAD_BYTES). 413.
    pub const TOO_LARGE: &str = "too_large";
    /// More uploads of one carrier at once than one and its repetition. 429.
    pub const TOO_MANY: &str = "too_many_uploads";
    /// No carrier of that id is open here, or it was never one. 404.
    pub const UNKNOWN: &str = "unknown_stream";
}

/// Names one open carrier. Whoever knows it can send in its client's place while it is open, so it is drawn at random,
/// and `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CarrierId(#[serde(with = "uuid::serde::simple")] Uuid);

impl CarrierId {
    /// Takes 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The path of upload `number`, of which the first is 1.
    pub fn upload_path(&self, number: u64) -> String {
        format!("{STREAM_PATH}/{}/{number}", self.0.simple())
    }
}

/// 32 hexadecimal digits.
impl FromStr for CarrierId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
    }
}

impl fmt::Debug for CarrierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarrierId(…)")
    }
}

/// Not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a carrier")]
pub struct NotAnId;

/// The first record of the answer, a text message: sent at once, so that a client learns whether answers come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Where uploads go.
    pub carrier: CarrierId,
    /// The largest upload this relay takes, in bytes.
    pub upload_bytes: u32,
}

impl Opened {
    /// Reads the record.
    ///
    /// # Errors
    ///
    /// [`HelloError::TooLarge`], [`HelloError::InvalidPayload`].
    pub fn decode(json: &[u8]) -> Result<Self, HelloError> {
        if json.len() > MAX_OPENED_BYTES {
            return Err(HelloError::TooLarge);
        }
        let opened: Self = serde_json::from_slice(json).map_err(|_| HelloError::InvalidPayload)?;
        if opened.upload_bytes == 0 { Err(HelloError::InvalidPayload) } else { Ok(opened) }
    }

    /// Writes the record. It contains the id: never log it.
    pub fn encode(&self) -> String {
        // Text and a number: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Which upload is taken, so that each is delivered once and in order, however often a proxy or a client repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    next: u64,
}

/// What is done with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Refuse it: one before it is missing.
    Early,
    /// Take it.
    Next,
    /// Acknowledge it, and deliver nothing.
    Repeated,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { next: 1 }
    }
}

impl Sequence {
    /// Judges an upload by its number.
    pub fn judge(&self, number: u64) -> Turn {
        match number.cmp(&self.next) {
            std::cmp::Ordering::Less => Turn::Repeated,
            std::cmp::Ordering::Equal => Turn::Next,
            std::cmp::Ordering::Greater => Turn::Early,
        }
    }

    /// The number that is taken next, or that the next upload has.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Notes that the next upload was taken.
    pub fn advance(&mut self) {
        self.next = self.next.saturating_add(1);
    }
}

/// The record is less than a hundred bytes; later fields have room.
const MAX_OPENED_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_is_pinned() {
        let opened = Opened { carrier: CarrierId::from_bytes([0xAB; 16]), upload_bytes: 131_072 };
        let json = r#"{"carrier":"abababababababababababababababab","upload_bytes":131072}"#;
        assert_eq!((opened.encode().as_str(), Opened::decode(json.as_bytes())), (json, Ok(opened)));
        assert_eq!(opened.carrier.upload_path(7), "/v2/stream/abababababababababababababababab/7");
        assert!(!format!("{opened:?}").contains("abab"));
    }

    #[test]
    fn what_is_no_first_record_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"carrier":"abab","upload_bytes":1}"#,
            r#"{"carrier":"abababababababababababababababab","upload_bytes":0}"#,
            r#"{"carrier":"abababababababababababababababab","upload_bytes":-1}"#,
        ] {
            assert_eq!(Opened::decode(bad.as_bytes()), Err(HelloError::InvalidPayload), "{bad}");
        }
        assert_eq!(Opened::decode(&[b' '; MAX_OPENED_BYTES + 1]), Err(HelloError::TooLarge));
    }

    #[test]
    fn an_upload_is_taken_once_and_in_its_turn() {
        let mut sequence = Sequence::default();
        assert_eq!([0, 1, 2].map(|n| sequence.judge(n)), [Turn::Repeated, Turn::Next, Turn::Early]);
        sequence.advance();
        assert_eq!([0, 1, 2, 3].map(|n| sequence.judge(n))[1..], [Turn::Repeated, Turn::Next, Turn::Early]);
    }
}
