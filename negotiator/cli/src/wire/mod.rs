//! What the two ends of `beach-link` say to each other, one message per session message.
//!
//! Big-endian. Every message is `u8 kind` and a body:
//!
//! | kind | name | from | body |
//! |---|---|---|---|
//! | 1 | hello | viewer with full access | `u8` version, `u8` service |
//! | 2 | welcome | host | `u8` access: 0 full, 1 read-only |
//! | 3 | refused | host | `u8` why, UTF-8 text |
//! | 4 | resize | viewer | `u16` columns, `u16` rows, within 20×4 and 1000×500 |
//! | 5 | snapshot | host | `u16` columns, `u16` rows, within the same, bytes that draw the screen from nothing |
//! | 6 | output | host | 1 or more bytes of the terminal |
//! | 7 | input | viewer | 1 or more bytes that were typed |
//! | 8 | resync | viewer | nothing: asks for a snapshot |
//! | 9 | viewers | host | `u16` viewers present |
//! | 10 | notice | host | UTF-8 text for the person |
//! | 11 | exit | host | `u8` status of the command, 128 + n for signal n |
//! | 12 | data | both | 1 or more bytes of a pipe |
//! | 13 | end | both | `u64` bytes sent in all, 32 bytes SHA-256 of them |
//! | 14 | done | both | `u64` bytes written in all: the answer to *end* |
//! | 15 | failed | both | UTF-8 text: this side cannot go on |
//! | 16 | record | host | `u64` number, bytes: the demo's bulk stream |

mod size;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use transport_core::Text;

pub use size::Size;

/// The version of this table. Both ends must speak the same one.
pub const VERSION: u8 = 1;

/// Bytes of output, input or data in one message: four segments of the session layer.
pub const CHUNK: usize = 60 * 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first message of a joining side.
    Hello {
        /// The [`VERSION`] it speaks.
        version: u8,
        /// What it came for.
        service: Service,
    },
    /// The host's answer: come in.
    Welcome(Access),
    /// The host's answer: no.
    Refused {
        /// For programs.
        why: Refusal,
        /// For people.
        text: String,
    },
    /// The viewer's terminal has this size.
    Resize(Size),
    /// The whole screen.
    Snapshot {
        /// Its size.
        size: Size,
        /// Draws it on an empty screen of that size.
        bytes: Bytes,
    },
    /// The terminal printed this.
    Output(Bytes),
    /// The viewer typed this.
    Input(Bytes),
    /// The viewer wants a snapshot.
    Resync,
    /// So many viewers are present.
    Viewers(u16),
    /// Something the person should know.
    Notice(String),
    /// The command ended.
    Exit(u8),
    /// A piece of a pipe.
    Data(Bytes),
    /// The pipe has no more bytes in this direction.
    End(Sum),
    /// Everything up to the *end* was written.
    Done(u64),
    /// This side cannot go on.
    Failed(String),
    /// One numbered record of the demo's stream.
    Record {
        /// From 0.
        number: u64,
        /// Its bytes.
        body: Bytes,
    },
}

/// What a viewer comes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `beach-link pipe`.
    Pipe,
    /// `beach-link share` and `join`.
    Terminal,
}

/// What a viewer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Watch and type.
    Full,
    /// Watch.
    ReadOnly,
}

/// Why a host refuses a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No more viewers fit, or the pipe has its one peer.
    Full,
    /// The host offers another service.
    Service,
    /// The host speaks another version.
    Version,
}

/// How many bytes went, and their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
}

impl Message {
    /// Encodes the message.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + self.tail().len());
        out.put_u8(self.kind());
        match self {
            Self::Hello { version, service } => {
                out.put_u8(*version);
                out.put_u8(service.code());
            }
            Self::Welcome(access) => out.put_u8(access.code()),
            Self::Refused { why, .. } => out.put_u8(why.code()),
            Self::Resize(size) | Self::Snapshot { size, .. } => {
                out.put_u16(size.columns);
                out.put_u16(size.rows);
            }
            Self::Viewers(count) => out.put_u16(*count),
            Self::Exit(status) => out.put_u8(*status),
            Self::End(sum) => {
                out.put_u64(sum.bytes);
                out.put_slice(&sum.sha256);
            }
            Self::Done(bytes) => out.put_u64(*bytes),
            Self::Record { number, .. } => out.put_u64(*number),
            _ => {}
        }
        out.put_slice(self.tail());
        out.freeze()
    }

    /// Splits a snapshot that may be larger than a message of the session: output that follows at once draws the
    /// rest. Anything else is its own only piece.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        let (first, mut rest) = match self {
            Self::Snapshot { size, mut bytes } => {
                let rest = bytes.split_off(bytes.len().min(CHUNK));
                (Self::Snapshot { size, bytes }, rest)
            }
            other => (other, Bytes::new()),
        };
        let rest = std::iter::from_fn(move || {
            let next = rest.split_to(rest.len().min(CHUNK));
            (!next.is_empty()).then_some(Self::Output(next))
        });
        std::iter::once(first).chain(rest)
    }

    /// Decodes a message. Bodies share the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// [`BadMessage`] for anything that is not in the table.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BadMessage> {
        let kind = bytes.try_get_u8().map_err(|_| BadMessage::Empty)?;
        let short = |_| BadMessage::Length { kind };
        let value = |code: u8| BadMessage::Value { kind, code };
        let message = match kind {
            1 => {
                let version = bytes.try_get_u8().map_err(short)?;
                let code = bytes.try_get_u8().map_err(short)?;
                // A newer version may say more: it is answered with a refusal, not with silence.
                if version != VERSION {
                    bytes.clear();
                }
                Self::Hello { version, service: Service::from_code(code).ok_or(value(code))? }
            }
            2 => {
                let code = bytes.try_get_u8().map_err(short)?;
                Self::Welcome(Access::from_code(code).ok_or(value(code))?)
            }
            3 => {
                let code = bytes.try_get_u8().map_err(short)?;
                let why = Refusal::from_code(code).ok_or(value(code))?;
                Self::Refused { why, text: text(kind, &mut bytes)? }
            }
            4 => Self::Resize(size(kind, &mut bytes)?),
            5 => Self::Snapshot { size: size(kind, &mut bytes)?, bytes: std::mem::take(&mut bytes) },
            6 => Self::Output(body(kind, &mut bytes)?),
            7 => Self::Input(body(kind, &mut bytes)?),
            8 => Self::Resync,
            9 => Self::Viewers(bytes.try_get_u16().map_err(short)?),
            10 => Self::Notice(text(kind, &mut bytes)?),
            11 => Self::Exit(bytes.try_get_u8().map_err(short)?),
            12 => Self::Data(body(kind, &mut bytes)?),
            13 => {
                let count = bytes.try_get_u64().map_err(short)?;
                let mut sha256 = [0; 32];
                bytes.try_copy_to_slice(&mut sha256).map_err(short)?;
                Self::End(Sum { bytes: count, sha256 })
            }
            14 => Self::Done(bytes.try_get_u64().map_err(short)?),
            15 => Self::Failed(text(kind, &mut bytes)?),
            16 => {
                let number = bytes.try_get_u64().map_err(short)?;
                Self::Record { number, body: std::mem::take(&mut bytes) }
            }
            _ => return Err(BadMessage::Kind(kind)),
        };
        if bytes.has_remaining() { Err(BadMessage::Length { kind }) } else { Ok(message) }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::Welcome(_) => 2,
            Self::Refused { .. } => 3,
            Self::Resize(_) => 4,
            Self::Snapshot { .. } => 5,
            Self::Output(_) => 6,
            Self::Input(_) => 7,
            Self::Resync => 8,
            Self::Viewers(_) => 9,
            Self::Notice(_) => 10,
            Self::Exit(_) => 11,
            Self::Data(_) => 12,
            Self::End(_) => 13,
            Self::Done(_) => 14,
            Self::Failed(_) => 15,
            Self::Record { .. } => 16,
        }
    }

    /// The part of the body that has no fixed length.
    fn tail(&self) -> &[u8] {
        match self {
            Self::Refused { text, .. } | Self::Notice(text) | Self::Failed(text) => text.as_bytes(),
            Self::Snapshot { bytes, .. } | Self::Output(bytes) | Self::Input(bytes) | Self::Data(bytes) => {
                bytes
            }
            Self::Record { body, .. } => body,
            _ => &[],
        }
    }
}

/// Why bytes are not a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Not even a kind.
    #[error("an empty message")]
    Empty,
    /// A kind that is not in the table.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// Too short or too long for its kind.
    #[error("a message of kind {kind} with the wrong length")]
    Length {
        /// The kind.
        kind: u8,
    },
    /// A terminal that is smaller or larger than one may be shared.
    #[error("a message of kind {kind} with a terminal of {columns}×{rows}")]
    Size {
        /// The kind.
        kind: u8,
        /// The columns it names.
        columns: u16,
        /// The rows it names.
        rows: u16,
    },
    /// Text that is not UTF-8.
    #[error("a message of kind {kind} whose text is not UTF-8")]
    Text {
        /// The kind.
        kind: u8,
    },
    /// A code outside its set.
    #[error("a message of kind {kind} with the unknown code {code}")]
    Value {
        /// The kind.
        kind: u8,
        /// The code.
        code: u8,
    },
}

macro_rules! codes {
    ($name:ident { $($variant:ident = $code:literal),+ }) => {
        impl $name {
            const fn code(self) -> u8 {
                match self { $(Self::$variant => $code),+ }
            }

            const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

codes!(Service { Terminal = 1, Pipe = 2 });
codes!(Access { Full = 0, ReadOnly = 1 });
codes!(Refusal { Version = 1, Service = 2, Full = 3 });

fn size(kind: u8, bytes: &mut Bytes) -> Result<Size, BadMessage> {
    let columns = bytes.try_get_u16().map_err(|_| BadMessage::Length { kind })?;
    let rows = bytes.try_get_u16().map_err(|_| BadMessage::Length { kind })?;
    let size = Size { columns, rows };
    // Whoever asks for a terminal of four billion cells must not get one.
    if size == size.shared() { Ok(size) } else { Err(BadMessage::Size { kind, columns, rows }) }
}

fn body(kind: u8, bytes: &mut Bytes) -> Result<Bytes, BadMessage> {
    if bytes.is_empty() { Err(BadMessage::Length { kind }) } else { Ok(std::mem::take(bytes)) }
}

/// Text from the other side is shown in a terminal: what steers one, or hides from the reader, stays out of it.
fn text(kind: u8, bytes: &mut Bytes) -> Result<String, BadMessage> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadMessage::Text { kind })?;
    let text = text.chars().map(|c| if Text::shows(c) { c } else { ' ' }).collect();
    bytes.clear();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn examples() -> Vec<(Message, &'static str)> {
        let size = Size::new(80, 24).unwrap();
        vec![
            (Message::Hello { version: 1, service: Service::Terminal }, "010101"),
            (Message::Hello { version: 1, service: Service::Pipe }, "010102"),
            (Message::Welcome(Access::ReadOnly), "0201"),
            (Message::Refused { why: Refusal::Full, text: "full".into() }, "030366756c6c"),
            (Message::Resize(size), "0400500018"),
            (Message::Snapshot { size, bytes: "x".into() }, "050050001878"),
            (Message::Output("hi".into()), "066869"),
            (Message::Input("\r".into()), "070d"),
            (Message::Resync, "08"),
            (Message::Viewers(3), "090003"),
            (Message::Notice("ü".into()), "0ac3bc"),
            (Message::Exit(130), "0b82"),
            (Message::Data("d".into()), "0c64"),
            (
                Message::End(Sum { bytes: 258, sha256: [7; 32] }),
                "0d00000000000001020707070707070707070707070707070707070707070707070707070707070707",
            ),
            (Message::Done(1), "0e0000000000000001"),
            (Message::Failed("no".into()), "0f6e6f"),
            (Message::Record { number: 5, body: "r".into() }, "10000000000000000572"),
        ]
    }

    #[test]
    fn the_wire_is_pinned_and_read_back() {
        for (message, expected) in examples() {
            let bytes = message.encode();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected, "{message:?}");
            assert_eq!(Message::decode(bytes), Ok(message));
        }
    }

    #[test]
    fn every_shortened_message_is_an_error_or_another_message() {
        for (message, _) in examples() {
            let bytes = message.encode();
            for end in 0..bytes.len() {
                assert_ne!(Message::decode(bytes.slice(..end)), Ok(message.clone()));
            }
        }
    }

    #[test]
    fn a_large_snapshot_goes_in_pieces_that_draw_the_same() {
        let size = Size { columns: 430, rows: 110 };
        let bytes: Bytes = (0..1_800_000_u32).map(|n| n as u8).collect::<Vec<_>>().into();
        let mut drawn = Vec::new();
        for (nth, piece) in (Message::Snapshot { size, bytes: bytes.clone() }).pieces().enumerate() {
            let (Message::Snapshot { bytes, .. } | Message::Output(bytes)) = &piece else { panic!() };
            assert_eq!(nth == 0, matches!(piece, Message::Snapshot { .. }));
            assert!(bytes.len() <= CHUNK);
            drawn.extend_from_slice(bytes);
        }
        assert_eq!(drawn, bytes);
        for (message, _) in examples() {
            assert_eq!(message.clone().pieces().collect::<Vec<_>>(), [message]);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let decode = |bytes: &'static [u8]| Message::decode(Bytes::from_static(bytes)).unwrap_err();
        assert_eq!(decode(b""), BadMessage::Empty);
        assert_eq!(decode(&[99]), BadMessage::Kind(99));
        assert_eq!(decode(&[8, 0]), BadMessage::Length { kind: 8 });
        assert_eq!(decode(&[6]), BadMessage::Length { kind: 6 });
        assert_eq!(decode(&[2, 9]), BadMessage::Value { kind: 2, code: 9 });
        for (columns, rows) in [(0, 1), (19, 4), (20, 3), (1001, 500), (1000, 501), (u16::MAX, u16::MAX)] {
            for kind in [4, 5] {
                let message = [&[kind][..], &columns.to_be_bytes(), &rows.to_be_bytes()].concat();
                let error = Message::decode(message.into()).unwrap_err();
                assert_eq!(error, BadMessage::Size { kind, columns, rows });
            }
        }
        assert_eq!(decode(&[10, 0xFF]), BadMessage::Text { kind: 10 });
    }

    #[test]
    fn a_hello_of_another_version_is_readable_whatever_follows() {
        let hello = Message::decode(Bytes::from_static(&[1, 9, 1, 42, 42])).unwrap();
        assert_eq!(hello, Message::Hello { version: 9, service: Service::Terminal });
    }

    #[test]
    fn text_from_the_other_side_cannot_drive_the_terminal() {
        let notice = Message::decode(Bytes::from_static(b"\x0aa\x1b[2Jb\nc")).unwrap();
        assert_eq!(notice, Message::Notice("a [2Jb c".into()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(message) = Message::decode(bytes.into()) {
                prop_assert_eq!(Message::decode(message.encode()), Ok(message));
            }
        }
    }
}
