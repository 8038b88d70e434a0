//! From what a socket gave to whole messages.

use std::ops::Range;

use beach_lifeguard_client::websocket::{
    Head, HeadBytes, MASK_BYTES, MAX_SERVER_HEAD, Opcode, Sender, Violation, apply_mask, read_close,
};

/// A data message in a buffer, in the form in which a server sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) text: bool,
    /// Where the server's header begins.
    pub(crate) start: usize,
    /// Where the payload begins.
    pub(crate) payload: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

impl Frame {
    pub(crate) fn payload(&self) -> Range<usize> {
        self.payload..self.end
    }
}

/// What was read. Ranges are places in the buffer that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Data(Frame),
    /// A message that came in several frames, in a buffer of its own.
    Assembled(Vec<u8>, Frame),
    /// Its payload, which the pong gives back.
    Ping(Vec<u8>),
    /// Its length.
    Pong(usize),
    /// The peer's goodbye, with its code when it gave one. Nothing comes behind it.
    Close(Option<u16>),
}

/// The state between two reads. Owns memory only while a frame or a message is incomplete.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Largest message in bytes.
    max: usize,
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// The beginning of a message, behind room for a server's header.
    message: Option<(bool, Vec<u8>)>,
}

impl Reader {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, partial: Vec::new(), message: None }
    }

    /// Reads `bytes`, all of them or up to and with the first message when `one`. Returns how many: what an
    /// incomplete frame leaves behind is kept and counts as read.
    ///
    /// # Errors
    ///
    /// The [`Violation`] behind the items that were found before it.
    pub(crate) fn read(
        &mut self,
        bytes: &mut [u8],
        one: bool,
        items: &mut Vec<Item>,
    ) -> Result<usize, Violation> {
        // Where the next frame may be packed to; never ahead of what is still to be read.
        let (mut at, mut packed) = (0, 0);
        while let Some(head) = self.head(&bytes[at..])? {
            let end = at + head.header + head.payload;
            if end > bytes.len() {
                break;
            }
            let payload = at + head.header..end;
            apply_mask(&mut bytes[payload.clone()], head.mask);
            at = end;
            match head.opcode {
                Opcode::Ping => items.push(Item::Ping(bytes[payload].to_vec())),
                Opcode::Pong => items.push(Item::Pong(head.payload)),
                Opcode::Close => {
                    let close = read_close(&bytes[payload])?;
                    items.push(Item::Close(close.map(|(code, _)| code)));
                    return Ok(bytes.len());
                }
                Opcode::Text | Opcode::Binary if head.fin => {
                    let text = head.opcode == Opcode::Text;
                    check(text, &bytes[payload.clone()])?;
                    let frame = pack(bytes, packed, payload, text);
                    packed = frame.end;
                    items.push(Item::Data(frame));
                    if one {
                        return Ok(at);
                    }
                }
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    let Some(whole) = self.assemble(head, &bytes[payload])? else { continue };
                    items.push(whole);
                    if one {
                        return Ok(at);
                    }
                }
            }
        }
        self.partial.extend_from_slice(&bytes[at..]);
        Ok(bytes.len())
    }

    /// Reads all of `bytes` and passes each buffer in which something was found, with what was found, to `take`,
    /// which empties the list: first a frame that was waiting for its rest, then the others where they are.
    ///
    /// # Errors
    ///
    /// The first of a [`Violation`] and what `take` says.
    pub(crate) fn feed<E: From<Violation>>(
        &mut self,
        mut bytes: &mut [u8],
        items: &mut Vec<Item>,
        mut take: impl FnMut(&mut [u8], &mut Vec<Item>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.is_partial() {
            let (whole, taken) = self.complete(bytes)?;
            bytes = &mut bytes[taken..];
            if let Some(mut whole) = whole {
                let read = self.read(&mut whole, false, items);
                take(&mut whole, items)?;
                read?;
            }
        }
        // What came before a violation counts.
        let read = self.read(bytes, false, items);
        take(bytes, items)?;
        read?;
        Ok(())
    }

    /// Whether the beginning of a frame waits for its rest.
    pub(crate) fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Completes the frame that waits; returns it when it is whole, and how many of `bytes` it took.
    ///
    /// # Errors
    ///
    /// The [`Violation`] its header shows.
    pub(crate) fn complete(&mut self, bytes: &[u8]) -> Result<(Option<Vec<u8>>, usize), Violation> {
        let mut taken = 0;
        loop {
            let wanted = match self.head(&self.partial)? {
                Some(head) => head.header + head.payload - self.partial.len(),
                // A byte at a time is slow, and a header has fourteen.
                None => 1,
            };
            if wanted == 0 {
                return Ok((Some(std::mem::take(&mut self.partial)), taken));
            }
            let more = &bytes[taken..];
            let more = &more[..wanted.min(more.len())];
            if more.is_empty() {
                return Ok((None, taken));
            }
            self.partial.extend_from_slice(more);
            taken += more.len();
        }
    }

    /// The next header, judged by what came before.
    fn head(&self, bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let begun = self.message.as_ref().map(|(_, message)| message.len() - MAX_SERVER_HEAD);
        Head::read_next(bytes, Sender::Client, begun, self.max)
    }

    fn assemble(&mut self, head: Head, payload: &[u8]) -> Result<Option<Item>, Violation> {
        let text = head.opcode == Opcode::Text;
        let (text, mut message) =
            self.message.take().unwrap_or_else(|| (text, Vec::from([0; MAX_SERVER_HEAD])));
        message.extend_from_slice(payload);
        if !head.fin {
            self.message = Some((text, message));
            return Ok(None);
        }
        check(text, &message[MAX_SERVER_HEAD..])?;
        let payload = MAX_SERVER_HEAD..message.len();
        let frame = head_before(&mut message, payload, text);
        Ok(Some(Item::Assembled(message, frame)))
    }
}

/// Moves a payload down to where the packed frames end, if there are any, and writes its header.
fn pack(bytes: &mut [u8], packed: usize, payload: Range<usize>, text: bool) -> Frame {
    if packed == 0 {
        return head_before(bytes, payload, text);
    }
    let len = payload.len();
    let head = HeadBytes::server(opcode(text), len);
    let at = packed + head.as_bytes().len();
    bytes.copy_within(payload, at);
    head_before(bytes, at..at + len, text)
}

/// Writes a server's header right before a payload. A client's is longer by its mask, so there is room.
fn head_before(bytes: &mut [u8], payload: Range<usize>, text: bool) -> Frame {
    let head = HeadBytes::server(opcode(text), payload.len());
    let start = payload.start - head.as_bytes().len();
    bytes[start..payload.start].copy_from_slice(head.as_bytes());
    Frame { text, start, payload: payload.start, end: payload.end }
}

fn opcode(text: bool) -> Opcode {
    if text { Opcode::Text } else { Opcode::Binary }
}

fn check(text: bool, payload: &[u8]) -> Result<(), Violation> {
    if text && std::str::from_utf8(payload).is_err() { Err(Violation::Utf8) } else { Ok(()) }
}

/// A client's frame is longer than a server's by exactly this, which is what packing stands on.
const _: () = assert!(MASK_BYTES == 4);

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
