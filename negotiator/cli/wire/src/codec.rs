//! Messages as bytes, and back.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use transport_core::{Text, secure::Access};

use super::{BadMessage, Message, Past, Refusal, Service, Size, Sum, VERSION};

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
            Self::End(sum) | Self::From(sum) => {
                out.put_u64(sum.bytes);
                out.put_slice(&sum.sha256);
            }
            Self::Done(bytes) => out.put_u64(*bytes),
            Self::Record { number, .. } => out.put_u64(*number),
            Self::Offer { bytes, .. } => out.put_u64(*bytes),
            Self::Recall { before, lines } => {
                out.put_u64(*before);
                out.put_u16(*lines);
            }
            Self::Recalled(past) => past.put(&mut out),
            _ => {}
        }
        out.put_slice(self.tail());
        out.freeze()
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
            6 => Self::Change(body(kind, &mut bytes)?),
            7 => Self::Input(body(kind, &mut bytes)?),
            8 => Self::Resync,
            9 => Self::Viewers(bytes.try_get_u16().map_err(short)?),
            10 => Self::Notice(text(kind, &mut bytes)?),
            11 => Self::Exit(bytes.try_get_u8().map_err(short)?),
            12 => Self::Data(body(kind, &mut bytes)?),
            13 => Self::End(sum(kind, &mut bytes)?),
            14 => Self::Done(bytes.try_get_u64().map_err(short)?),
            15 => Self::Failed(text(kind, &mut bytes)?),
            16 => {
                let number = bytes.try_get_u64().map_err(short)?;
                Self::Record { number, body: std::mem::take(&mut bytes) }
            }
            17 => {
                let count = bytes.try_get_u64().map_err(short)?;
                Self::Offer { bytes: count, name: text(kind, &mut bytes)? }
            }
            18 => Self::From(sum(kind, &mut bytes)?),
            RECALL => Self::Recall {
                before: bytes.try_get_u64().map_err(short)?,
                lines: bytes.try_get_u16().map_err(short)?,
            },
            20 => Self::Recalled(Past::take(&mut bytes).ok_or(BadMessage::Length { kind })?),
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
            Self::Change(_) => 6,
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
            Self::Offer { .. } => 17,
            Self::From(_) => 18,
            Self::Recall { .. } => RECALL,
            Self::Recalled(_) => 20,
        }
    }

    /// The part of the body that has no fixed length.
    fn tail(&self) -> &[u8] {
        match self {
            Self::Refused { text, .. } | Self::Notice(text) | Self::Failed(text) => text.as_bytes(),
            Self::Snapshot { bytes, .. } | Self::Change(bytes) | Self::Input(bytes) | Self::Data(bytes) => {
                bytes
            }
            Self::Record { body, .. } => body,
            Self::Offer { name, .. } => name.as_bytes(),
            Self::Recalled(past) => &past.text,
            _ => &[],
        }
    }
}

/// The kind that a viewer may send who only watches.
pub(super) const RECALL: u8 = 19;

/// A closed set that travels as a byte.
trait Coded: Sized {
    fn code(self) -> u8;
    fn from_code(code: u8) -> Option<Self>;
}

macro_rules! codes {
    ($name:ident { $($variant:ident = $code:literal),+ }) => {
        impl Coded for $name {
            fn code(self) -> u8 {
                match self { $(Self::$variant => $code),+ }
            }

            fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

codes!(Service { Terminal = 1, Pipe = 2, File = 3 });
codes!(Access { Full = 0, ReadOnly = 1 });
codes!(Refusal { Version = 1, Service = 2, Full = 3 });

fn size(kind: u8, bytes: &mut Bytes) -> Result<Size, BadMessage> {
    let columns = bytes.try_get_u16().map_err(|_| BadMessage::Length { kind })?;
    let rows = bytes.try_get_u16().map_err(|_| BadMessage::Length { kind })?;
    let size = Size { columns, rows };
    // Whoever asks for a terminal of four billion cells must not get one.
    if size == size.shared() { Ok(size) } else { Err(BadMessage::Size { kind, columns, rows }) }
}

fn sum(kind: u8, bytes: &mut Bytes) -> Result<Sum, BadMessage> {
    let count = bytes.try_get_u64().map_err(|_| BadMessage::Length { kind })?;
    let mut sha256 = [0; 32];
    bytes.try_copy_to_slice(&mut sha256).map_err(|_| BadMessage::Length { kind })?;
    Ok(Sum { bytes: count, sha256 })
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
