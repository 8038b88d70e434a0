//! From what a socket gave to whole messages. Sans-IO.

use beach_lifeguard_client::websocket::{Head, Opcode, Sender, Violation, read_close};
use bytes::{Buf, Bytes, BytesMut};

use crate::wire::{Goodbye, Item};

/// The state between two reads.
pub(crate) struct Reader {
    /// Largest message in bytes.
    max: usize,
    /// Read, and not looked at yet.
    buffer: BytesMut,
    /// The parts of a message whose last one has not come; whether it is text.
    message: Option<(bool, BytesMut)>,
}

impl Reader {
    pub(crate) fn new(ahead: BytesMut, max: usize) -> Self {
        Self { max, buffer: ahead, message: None }
    }

    /// What was read behind the items that were taken.
    pub(crate) fn into_ahead(self) -> BytesMut {
        self.buffer
    }

    /// Where the next read goes: at least as much room as the frame lacks that has begun.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        let frame = self.head().ok().flatten().map_or(0, |head| head.header + head.payload);
        let (len, room) = (self.buffer.len(), self.buffer.capacity() - self.buffer.len());
        if room < LEAST_ROOM.max(frame.saturating_sub(len)) {
            // As much as it had, and no more: then its memory is used again once its slices are gone.
            self.buffer.reserve(BUFFER.max(frame).saturating_sub(len).max(LEAST_ROOM));
        }
        &mut self.buffer
    }

    /// Takes the next item out of what was read; `None` when more is needed.
    ///
    /// # Errors
    ///
    /// The [`Violation`] that ends the connection, as soon as a head shows it.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, Violation> {
        while let Some(head) = self.head()? {
            if self.buffer.len() < head.header + head.payload {
                break;
            }
            self.buffer.advance(head.header);
            let payload = self.buffer.split_to(head.payload).freeze();
            let text = head.opcode == Opcode::Text;
            return Ok(Some(match head.opcode {
                Opcode::Ping => Item::Ping(payload),
                Opcode::Pong => Item::Pong,
                Opcode::Close => Item::Close(
                    read_close(&payload)?.map(|(code, reason)| Goodbye { code, reason: reason.to_owned() }),
                ),
                Opcode::Text | Opcode::Binary if head.fin => whole(text, payload)?,
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    let (text, mut message) = self.message.take().unwrap_or((text, BytesMut::new()));
                    message.extend_from_slice(&payload);
                    if !head.fin {
                        self.message = Some((text, message));
                        continue;
                    }
                    whole(text, message.freeze())?
                }
            }));
        }
        Ok(None)
    }

    /// The next head, judged by what came before.
    fn head(&self) -> Result<Option<Head>, Violation> {
        let begun = self.message.as_ref().map(|(_, message)| message.len());
        Head::read_next(&self.buffer, Sender::Server, begun, self.max)
    }
}

fn whole(text: bool, payload: Bytes) -> Result<Item, Violation> {
    if !text {
        return Ok(Item::Binary(payload));
    }
    std::str::from_utf8(&payload).map_err(|_| Violation::Utf8)?;
    Ok(Item::Text(payload))
}

/// What is read into: a relay's largest burst for one peer, most of the time.
const BUFFER: usize = 64 << 10;

/// With less room, reads would be short.
const LEAST_ROOM: usize = 16 << 10;

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
