//! The relay's half of WebSocket: however a stream is cut, the same messages come out, or the same violation.
//!
//! Input: one byte that says how long the pieces are, and the stream. The reader is private to the relay and is compiled
//! in here as it is.
#![no_main]
#![allow(dead_code, unreachable_pub, unused_imports, reason = "the relay uses all of it")]

#[path = "../../../lifeguard-relay/src/relay/ws/mod.rs"]
mod ws;

use beach_lifeguard_client::websocket::Violation;
use libfuzzer_sys::fuzz_target;
use ws::{Item, Reader};

const MAX: usize = 4_096;

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong(usize),
    Close(Option<u16>),
}

/// Why reading stopped: a violation, or the peer's goodbye.
type Stop = Option<Violation>;

fuzz_target!(|input: &[u8]| {
    let [piece, stream @ ..] = input else { return };
    let whole = read(stream, stream.len().max(1));
    let pieces = read(stream, usize::from(*piece).max(1));
    assert_eq!(whole, pieces);
});

fn read(stream: &[u8], piece: usize) -> (Vec<Seen>, Result<(), Stop>) {
    let (mut reader, mut seen) = (Reader::new(MAX), Vec::new());
    for chunk in stream.chunks(piece) {
        let fed = reader.feed(&mut chunk.to_vec(), &mut Vec::new(), |bytes, items| {
            let mut ended = Ok(());
            for item in items.drain(..) {
                seen.push(match item {
                    Item::Data(frame) => Seen::Message(frame.text, bytes[frame.payload()].to_vec()),
                    Item::Assembled(own, frame) => Seen::Message(frame.text, own[frame.payload()].to_vec()),
                    Item::Ping(payload) => Seen::Ping(payload),
                    Item::Pong(length) => Seen::Pong(length),
                    Item::Close(code) => {
                        ended = Err(None);
                        Seen::Close(code)
                    }
                });
                let longest = seen.iter().map(|seen| match seen {
                    Seen::Message(_, bytes) | Seen::Ping(bytes) => bytes.len(),
                    Seen::Pong(length) => *length,
                    Seen::Close(_) => 0,
                });
                assert!(longest.max().unwrap_or(0) <= MAX);
            }
            ended
        });
        if let Err(stop) = fed {
            return (seen, Err(stop));
        }
    }
    (seen, Ok(()))
}
