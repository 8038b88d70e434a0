//! The server's half of WebSocket (RFC 6455), without IO: what the relay's data path needs and no more.
//!
//! A client's frame carries a mask of four bytes, a server's does not. So a frame that is read becomes the frame
//! that is sent in the memory it was read into: unmasked in place, its header moved up by four bytes. Several frames
//! of one read are packed together, and leave with one write.

mod reader;

pub(crate) use self::reader::{Frame, Item, Reader};
