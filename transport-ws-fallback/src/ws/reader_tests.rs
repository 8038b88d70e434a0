use beach_lifeguard_client::websocket::HeadBytes;
use proptest::prelude::*;

use super::*;

fn server(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = [HeadBytes::server(opcode, payload.len()).as_bytes(), payload].concat();
    frame[0] = u8::from(fin) << 7 | opcode as u8;
    frame
}

/// Feeds `wire` in pieces that end at `cuts`, as a socket would.
fn read(max: usize, wire: &[u8], cuts: &[usize]) -> (Vec<Item>, Result<(), Violation>) {
    let (mut reader, mut items, mut from) = (Reader::new(BytesMut::new(), max), Vec::new(), 0);
    for to in cuts.iter().copied().chain([wire.len()]) {
        let to = to.max(from);
        reader.room().extend_from_slice(&wire[from..to]);
        from = to;
        loop {
            match reader.next() {
                Ok(None) => break,
                Err(violation) => return (items, Err(violation)),
                Ok(Some(item)) => {
                    items.push(item);
                    // A connection ends with its goodbye.
                    if matches!(items.last(), Some(Item::Close(_))) {
                        return (items, Ok(()));
                    }
                }
            }
        }
    }
    (items, Ok(()))
}

fn items(wire: &[u8]) -> Vec<Item> {
    let (items, done) = read(1_000, wire, &[]);
    assert_eq!(done, Ok(()));
    items
}

fn violation(wire: &[u8]) -> Violation {
    read(1_000, wire, &[]).1.unwrap_err()
}

#[test]
fn messages_come_out_whole_and_in_order() {
    let wire = [
        server(Opcode::Binary, true, &[1; 300]),
        server(Opcode::Text, true, "ä".as_bytes()),
        server(Opcode::Binary, false, b"on"),
        server(Opcode::Ping, true, b"between"),
        server(Opcode::Continuation, false, b""),
        server(Opcode::Pong, true, b"unasked"),
        server(Opcode::Continuation, true, b"e"),
        server(Opcode::Binary, true, &[]),
    ];
    let binary = |payload: &'static [u8]| Item::Binary(Bytes::from_static(payload));
    let wanted = [
        binary(&[1; 300]),
        Item::Text("ä".into()),
        Item::Ping("between".into()),
        Item::Pong,
        binary(b"one"),
        binary(b""),
    ];
    assert_eq!(items(&wire.concat()), wanted);
}

#[test]
fn what_was_read_ahead_of_the_first_read_counts() {
    let ahead = server(Opcode::Text, true, b"early");
    let mut reader = Reader::new(ahead.as_slice().into(), 1_000);
    assert_eq!(reader.next(), Ok(Some(Item::Text("early".into()))));
    assert_eq!(reader.next(), Ok(None));
}

#[test]
fn limits_hold_for_heads_and_for_messages_in_parts() {
    assert_eq!(items(&server(Opcode::Binary, true, &[0; 1_000])).len(), 1);
    let beyond = server(Opcode::Binary, true, &[0; 1_001]);
    assert_eq!(violation(&beyond[..4]), Violation::TooBig);
    let parts = |last: &[u8]| {
        [server(Opcode::Binary, false, &[0; 600]), server(Opcode::Continuation, true, last)].concat()
    };
    assert_eq!(items(&parts(&[0; 400])).len(), 1);
    assert_eq!(violation(&parts(&[0; 401])), Violation::TooBig);
}

#[test]
fn parts_out_of_order_masks_and_broken_text_are_refused() {
    assert_eq!(violation(&server(Opcode::Continuation, true, b"x")), Violation::Protocol);
    let two = [server(Opcode::Text, false, b"x"), server(Opcode::Binary, true, b"y")].concat();
    assert_eq!(violation(&two), Violation::Protocol);
    assert_eq!(violation(b"\x82\x81\0\0\0\0x"), Violation::Protocol);
    // A character may be cut between two frames, and not at the end.
    let [first, second] = "ä".as_bytes() else { unreachable!("two bytes") };
    let cut = |last: &[u8]| {
        [server(Opcode::Text, false, &[*first]), server(Opcode::Continuation, true, last)].concat()
    };
    assert_eq!(items(&cut(&[*second])), [Item::Text("ä".into())]);
    assert_eq!(violation(&cut(b"")), Violation::Utf8);
}

#[test]
fn a_goodbye_is_read_with_its_reason() {
    let close = |payload: &[u8]| items(&server(Opcode::Close, true, payload));
    assert_eq!(close(b""), [Item::Close(None)]);
    let goodbye = Goodbye { code: 4001, reason: "drain".to_owned() };
    assert_eq!(close(b"\x0F\xA1drain"), [Item::Close(Some(goodbye))]);
    assert_eq!(violation(&server(Opcode::Close, true, b"\x03")), Violation::Protocol);
}

#[test]
fn a_frame_that_has_begun_finds_room_and_memory_is_used_again() {
    let mut reader = Reader::new(BytesMut::new(), 1 << 20);
    let large = server(Opcode::Binary, true, &vec![7; 1 << 20]);
    reader.room().extend_from_slice(&large[..20]);
    assert_eq!(reader.next(), Ok(None));
    let room = reader.room();
    assert!(room.capacity() >= large.len());
    room.extend_from_slice(&large[20..]);
    assert_eq!(reader.next(), Ok(Some(Item::Binary(vec![7; 1 << 20].into()))));

    let mut reader = Reader::new(BytesMut::new(), 1 << 20);
    let frame = server(Opcode::Binary, true, &[7; 10_000]);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let room = reader.room();
        assert!(room.capacity() - room.len() >= LEAST_ROOM && room.capacity() <= 2 * BUFFER);
        room.extend_from_slice(&frame);
        let Ok(Some(Item::Binary(payload))) = reader.next() else { panic!("a whole frame") };
        places.insert(payload.as_ptr() as usize / (2 * BUFFER));
    }
    assert!(places.len() <= 4, "a buffer is not taken again: {places:?}");
}

proptest! {
    #[test]
    fn cuts_anywhere_change_nothing(
        script in prop::collection::vec((0u8..6, 0usize..400, any::<u8>()), 1..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut wire = Vec::new();
        for (what, len, fill) in script {
            let payload = vec![fill & 0x7F; len];
            wire.extend(match what {
                0 | 1 => server(Opcode::Binary, true, &payload),
                2 => server(Opcode::Text, true, &payload),
                3 => server(Opcode::Ping, true, &payload[..len.min(125)]),
                4 => server(Opcode::Pong, true, &payload[..len.min(125)]),
                _ => [
                    server(Opcode::Binary, false, &payload),
                    server(Opcode::Ping, true, b"between"),
                    server(Opcode::Continuation, true, &payload),
                ].concat(),
            });
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(wire.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read(1_000, &wire, &cuts), read(1_000, &wire, &[]));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_give_more_than_the_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(0usize..600, 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (items, _) = read(64, &bytes, &cuts);
        for item in items {
            if let Item::Binary(payload) | Item::Text(payload) | Item::Ping(payload) = item {
                prop_assert!(payload.len() <= 64);
            }
        }
    }
}
