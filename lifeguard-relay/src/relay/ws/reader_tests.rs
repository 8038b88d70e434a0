use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

fn client(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let head = HeadBytes::server(opcode, payload.len());
    let mut frame = head.as_bytes().to_vec();
    frame[0] = u8::from(fin) << 7 | opcode as u8;
    frame[1] |= 0x80;
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    frame
}

/// What came out, and the bytes a server would send for it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    messages: Vec<(bool, Vec<u8>)>,
    wire: Vec<u8>,
    pings: Vec<Vec<u8>>,
    pongs: usize,
    close: Option<Option<u16>>,
}

impl Seen {
    fn add(&mut self, bytes: &[u8], items: Vec<Item>) {
        let mut message = |bytes: &[u8], frame: Frame| {
            self.messages.push((frame.text, bytes[frame.payload()].to_vec()));
            self.wire.extend_from_slice(&bytes[frame.start..frame.end]);
        };
        for item in items {
            match item {
                Item::Data(frame) => message(bytes, frame),
                Item::Assembled(bytes, frame) => message(&bytes, frame),
                Item::Ping(payload) => self.pings.push(payload),
                Item::Pong(_) => self.pongs += 1,
                Item::Close(code) => self.close = Some(code),
            }
        }
    }
}

/// Feeds `wire` in pieces that end at `cuts`, as a socket would.
fn read(max: usize, wire: &[u8], cuts: &[usize]) -> (Seen, Result<(), Violation>) {
    let (mut reader, mut seen, mut from) = (Reader::new(max), Seen::default(), 0);
    for to in cuts.iter().copied().chain([wire.len()]) {
        let mut chunk = wire[from..to.max(from)].to_vec();
        from = to.max(from);
        let fed = reader.feed(&mut chunk, &mut Vec::new(), |bytes, items| {
            seen.add(bytes, std::mem::take(items));
            // A connection ends with its goodbye.
            if seen.close.is_some() { Err(Stop::Goodbye) } else { Ok(()) }
        });
        match fed {
            Ok(()) => {}
            Err(Stop::Goodbye) => break,
            Err(Stop::Violation(violation)) => return (seen, Err(violation)),
        }
    }
    (seen, Ok(()))
}

enum Stop {
    Goodbye,
    Violation(Violation),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

fn violation(wire: &[u8]) -> Violation {
    read(1_000, wire, &[]).1.unwrap_err()
}

#[test]
fn frames_of_one_read_are_packed_as_a_server_sends_them() {
    let wire = [
        client(Opcode::Binary, true, &[1; 300]),
        client(Opcode::Ping, true, b"hello"),
        client(Opcode::Text, true, "ä".as_bytes()),
        client(Opcode::Binary, true, &[]),
    ]
    .concat();
    let mut bytes = wire.clone();
    let mut items = Vec::new();
    assert_eq!(Reader::new(1_000).read(&mut bytes, false, &mut items), Ok(wire.len()));
    let frames: Vec<Frame> = items
        .iter()
        .filter_map(|item| if let Item::Data(frame) = item { Some(*frame) } else { None })
        .collect();
    assert!(frames.windows(2).all(|pair| pair[0].end == pair[1].start), "{frames:?}");
    let packed = &bytes[frames[0].start..frames[2].end];
    let expected = [
        HeadBytes::server(Opcode::Binary, 300).as_bytes(),
        &[1; 300],
        HeadBytes::server(Opcode::Text, 2).as_bytes(),
        "ä".as_bytes(),
        HeadBytes::server(Opcode::Binary, 0).as_bytes(),
    ]
    .concat();
    assert_eq!(packed, expected);
    assert_eq!(items[1], Item::Ping(b"hello".to_vec()));
}

#[test]
fn a_stop_after_the_first_message_leaves_the_rest_unread() {
    let first = [client(Opcode::Pong, true, b""), client(Opcode::Text, true, b"hello")].concat();
    let mut bytes = [first.clone(), client(Opcode::Binary, true, b"more")].concat();
    let mut items = Vec::new();
    let mut reader = Reader::new(1_000);
    assert_eq!(reader.read(&mut bytes, true, &mut items), Ok(first.len()));
    assert_eq!(items.len(), 2);
    assert!(!reader.is_partial());
}

#[test]
fn length_wider_than_needed_is_read_and_written_short() {
    let mut wire = vec![0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 7, 8, 9];
    let mut items = Vec::new();
    Reader::new(1_000).read(&mut wire, false, &mut items).unwrap();
    let [Item::Data(frame)] = items[..] else { panic!("{items:?}") };
    assert_eq!(wire[frame.start..frame.end], [0x82, 3, 7, 8, 9]);
}

#[test]
fn too_much_is_refused_before_it_is_kept() {
    assert_eq!(violation(&client(Opcode::Binary, true, &[0; 1_001])[..20]), Violation::TooBig);
    let parts =
        [client(Opcode::Binary, false, &[0; 600]), client(Opcode::Continuation, true, &[0; 401])].concat();
    assert_eq!(violation(&parts[..parts.len() - 300]), Violation::TooBig);
    let exact =
        [client(Opcode::Binary, false, &[0; 600]), client(Opcode::Continuation, true, &[0; 400])].concat();
    assert_eq!(read(1_000, &exact, &[]).0.messages[0].1.len(), 1_000);
}

#[test]
fn messages_in_parts_are_in_order_or_refused() {
    assert_eq!(violation(&client(Opcode::Continuation, true, b"x")), Violation::Protocol);
    let two = [client(Opcode::Text, false, b"x"), client(Opcode::Binary, true, b"y")].concat();
    assert_eq!(violation(&two), Violation::Protocol);
    // A character may be cut between two frames, and not at the end.
    let cut = |fin: &[u8]| {
        [client(Opcode::Text, false, &"ä".as_bytes()[..1]), client(Opcode::Continuation, true, fin)].concat()
    };
    assert_eq!(read(9, &cut(&"ä".as_bytes()[1..]), &[]).0.messages, [(true, "ä".into())]);
    assert_eq!(violation(&cut(b"")), Violation::Utf8);
}

#[test]
fn goodbyes_are_checked_and_the_last_word() {
    let close = |payload: &[u8]| {
        let wire = [client(Opcode::Close, true, payload), client(Opcode::Binary, true, b"late")].concat();
        let (seen, done) = read(1_000, &wire, &[]);
        assert!(seen.messages.is_empty());
        done.map(|()| seen.close.unwrap())
    };
    assert_eq!(close(b""), Ok(None));
    assert_eq!(close(&1000u16.to_be_bytes()), Ok(Some(1000)));
    assert_eq!(close(b"\x0F\xA1bye"), Ok(Some(4001)));
    for bad in [&b"\x03"[..], b"\x03\xED", b"\x03\xEE", b"\x03\xE7", b"\x13\x88"] {
        assert_eq!(close(bad), Err(Violation::Protocol), "{bad:02x?}");
    }
    assert_eq!(close(b"\x03\xE8\xC3"), Err(Violation::Utf8));
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
                0 | 1 => client(Opcode::Binary, true, &payload),
                2 => client(Opcode::Text, true, &payload),
                3 => client(Opcode::Ping, true, &payload[..len.min(125)]),
                4 => client(Opcode::Pong, true, &payload[..len.min(125)]),
                _ => [
                    client(Opcode::Binary, false, &payload),
                    client(Opcode::Ping, true, b"between"),
                    client(Opcode::Continuation, true, &payload),
                ].concat(),
            });
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(wire.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read(1_000, &wire, &cuts), read(1_000, &wire, &[]));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_keep_more_than_one_message(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(0usize..600, 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (seen, _) = read(64, &bytes, &cuts);
        prop_assert!(seen.messages.iter().all(|(_, message)| message.len() <= 64));
    }
}
