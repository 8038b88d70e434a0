use proptest::prelude::*;
use transport_core::secure::Access;

use super::*;

fn examples() -> Vec<(Message, &'static str)> {
    let size = Size::new(80, 24).unwrap();
    vec![
        (Message::Hello { version: 3, service: Service::Terminal }, "010301"),
        (Message::Hello { version: 3, service: Service::Pipe }, "010302"),
        (Message::Welcome(Access::ReadOnly), "0201"),
        (Message::Refused { why: Refusal::Full, text: "full".into() }, "030366756c6c"),
        (Message::Resize(size), "0400500018"),
        (Message::Snapshot { size, bytes: "x".into() }, "050050001878"),
        (Message::Change("hi".into()), "066869"),
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
        (Message::Hello { version: 3, service: Service::File }, "010303"),
        (Message::Offer { bytes: 5, name: "ü".into() }, "110000000000000005c3bc"),
        (Message::Recall { before: 258, lines: 7 }, "1300000000000001020007"),
        (
            Message::Recalled(Past { first: 5, oldest: 3, end: 8, text: "a\n\n".into() }),
            "14000000000000000500000000000000030000000000000008610a0a",
        ),
        (
            Message::From(Sum { bytes: 258, sha256: [7; 32] }),
            "1200000000000001020707070707070707070707070707070707070707070707070707070707070707",
        ),
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
fn a_large_picture_goes_in_pieces_that_draw_the_same() {
    let size = Size { columns: 430, rows: 110 };
    let bytes: Bytes = (0..1_800_000_u32).map(|n| n as u8).collect::<Vec<_>>().into();
    for (whole, changes) in
        [(Message::Snapshot { size, bytes: bytes.clone() }, false), (Message::Change(bytes.clone()), true)]
    {
        let mut drawn = Vec::new();
        for (nth, piece) in whole.pieces().enumerate() {
            let (Message::Snapshot { bytes, .. } | Message::Change(bytes)) = &piece else { panic!() };
            assert_eq!(nth > 0 || changes, matches!(piece, Message::Change(_)));
            assert!(bytes.len() <= CHUNK);
            drawn.extend_from_slice(bytes);
        }
        assert_eq!(drawn, bytes);
    }
    for (message, _) in examples() {
        assert_eq!(message.clone().pieces().collect::<Vec<_>>(), [message]);
    }
}

#[test]
fn only_a_recall_only_asks() {
    for (message, _) in examples() {
        assert_eq!(
            Message::only_asks(&message.encode()),
            matches!(message, Message::Recall { .. }),
            "{message:?}"
        );
    }
    assert!(!Message::only_asks(&[19]) && !Message::only_asks(&[]) && !Message::only_asks(&[19; 12]));
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
