//! The client's half of WebSocket: however a stream is cut, the same messages come out, or the same violation.
//!
//! Input: one byte that says how long the pieces are, and the stream. The reader is private to the transport and is
//! compiled in here as it is.
#![no_main]
#![allow(dead_code, unreachable_pub, reason = "the transport uses all of it")]

#[path = "../../../transport-ws-fallback/src/ws/reader.rs"]
mod reader;

use beach_lifeguard_client::websocket::Violation;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use reader::{Item, Reader};

const MAX: usize = 4_096;

fuzz_target!(|input: &[u8]| {
    let [piece, stream @ ..] = input else { return };
    let whole = read(stream, stream.len().max(1));
    let pieces = read(stream, usize::from(*piece).max(1));
    assert_eq!(whole, pieces);
});

/// Until the stream ends, a rule is broken, or the server says goodbye.
fn read(stream: &[u8], piece: usize) -> (Vec<Item>, Result<(), Violation>) {
    let (mut reader, mut items) = (Reader::new(BytesMut::new(), MAX), Vec::new());
    for chunk in stream.chunks(piece) {
        reader.room().extend_from_slice(chunk);
        loop {
            match reader.next() {
                Ok(None) => break,
                Err(violation) => return (items, Err(violation)),
                Ok(Some(item)) => items.push(item),
            }
            match items.last() {
                Some(Item::Binary(payload) | Item::Text(payload)) => assert!(payload.len() <= MAX),
                Some(Item::Ping(payload)) => assert!(payload.len() <= 125),
                Some(Item::Close(_)) => return (items, Ok(())),
                Some(Item::Pong) | None => {}
            }
        }
    }
    (items, Ok(()))
}
