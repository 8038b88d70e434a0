//! What the two ends of `beach-link` say to each other, one message per session message.
//!
//! Big-endian. Every message is `u8 kind` and a body:
//!
//! | kind | name | from | body |
//! |---|---|---|---|
//! | 1 | hello | viewer with full access | `u8` version, `u8` service |
//! | 2 | welcome | host | `u8` access: 0 full, 1 read-only; once more whenever that changes |
//! | 3 | refused | host | `u8` why, UTF-8 text |
//! | 4 | resize | viewer | `u16` columns, `u16` rows, within 20×4 and 1000×500 |
//! | 5 | snapshot | host | `u16` columns, `u16` rows, within the same, bytes that draw the screen from nothing |
//! | 6 | change | host | 1 or more bytes that turn the screen as it was sent last into the present one |
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
//! | 17 | offer | host | `u64` bytes of the file, UTF-8 name |
//! | 18 | from | both | `u64` bytes that the receiver has, 32 bytes SHA-256 of them; the answer: so many the host goes on behind, all of these or none |
//! | 19 | recall | viewer, read-only ones too | `u64` number of a line, `u16` lines: asks for so many before it at most; one question at a time |
//! | 20 | recalled | host | `u64` number of the first line, `u64` of the oldest that is kept, `u64` behind the newest; the lines, UTF-8 with colours, each with a line feed, 32 KiB at most |
//!
//! No IO, and nothing of a machine: the page in a browser speaks it with this same code.
#![forbid(unsafe_code)]

// The README's code must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod bad_message;
mod codec;
mod past;
mod size;

use bytes::Bytes;
use transport_core::secure::Access;

pub use bad_message::BadMessage;
pub use past::{PAST, Past};
pub use size::Size;

/// The version of this table. Both ends must speak the same one.
pub const VERSION: u8 = 3;

/// Bytes of a change, of input or data in one message: four segments of the session layer.
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
    /// Turns the screen as it was sent last into the present one.
    Change(Bytes),
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
    /// A file that the receiver may have.
    Offer {
        /// How large it is.
        bytes: u64,
        /// What it is called at its sender.
        name: String,
    },
    /// The receiver's: it has so many bytes, with this hash. The host's: it goes on behind so many.
    From(Sum),
    /// The viewer wants lines that left the top of the terminal.
    Recall {
        /// The number of the line behind the last wanted one; one that there is not yet for the newest.
        before: u64,
        /// How many at most.
        lines: u16,
    },
    /// Such lines.
    Recalled(Past),
}

/// What a viewer comes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `beach-link send` and `receive`.
    File,
    /// `beach-link pipe`.
    Pipe,
    /// `beach-link share` and `join`.
    Terminal,
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
    /// Says whether encoded bytes only ask to be shown something: those of who may only watch are read, too.
    pub fn only_asks(bytes: &[u8]) -> bool {
        bytes.first() == Some(&codec::RECALL) && bytes.len() == 11
    }

    /// Splits a snapshot or a change that may be larger than a message of the session: changes that follow at once draw
    /// the rest. Anything else is its own only piece.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        let (first, mut rest) = match self {
            Self::Snapshot { size, mut bytes } => {
                let rest = bytes.split_off(bytes.len().min(CHUNK));
                (Self::Snapshot { size, bytes }, rest)
            }
            Self::Change(mut bytes) => {
                let rest = bytes.split_off(bytes.len().min(CHUNK));
                (Self::Change(bytes), rest)
            }
            other => (other, Bytes::new()),
        };
        let rest = std::iter::from_fn(move || {
            let next = rest.split_to(rest.len().min(CHUNK));
            (!next.is_empty()).then_some(Self::Change(next))
        });
        std::iter::once(first).chain(rest)
    }
}

#[cfg(test)]
mod tests;
