//! Holds `docs/wire.md` to the code: what a program prints, the messages that a viewer is sent, and what it shows then.

use bytes::Bytes;

use super::Screen;
use crate::wire::{Message, Size};

const VECTORS: &str = include_str!("vectors/pictures.txt");
const SIZE: Size = Size { columns: 20, rows: 4 };

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Names and values, one a line.
fn vectors() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = VECTORS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap())
}

/// What a host with this screen says next.
fn told(screen: &Screen, said: &Message, earlier: Option<&super::Picture>) -> Message {
    match (said, earlier) {
        (Message::Snapshot { .. }, _) => Message::Snapshot { size: SIZE, bytes: screen.picture().whole() },
        (Message::Change(_), Some(earlier)) => Message::Change(screen.picture().since(earlier)),
        (Message::Recalled(past), _) => Message::Recalled(screen.past(past.behind(), 2)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_pictures_are_those_of_the_vectors() {
    let mut screen = Screen::new(SIZE).keeping(4096);
    let mut viewer = Screen::new(SIZE);
    let mut sent = None;
    let mut wrong = Vec::new();
    for (name, value) in vectors() {
        match name {
            "prints" => screen.feed(&unhex(value)),
            "shows" => assert_eq!(format!("{:?}", viewer.text()), value),
            "says" => {
                let said = Message::decode(unhex(value)).unwrap();
                let told = told(&screen, &said, sent.as_ref());
                if told != said {
                    wrong.push(format!("{value}\n{}", hex(&told.encode())));
                }
                match said {
                    Message::Snapshot { size, bytes } => viewer = Screen::restore(size, &bytes),
                    Message::Change(bytes) => viewer.feed(&bytes),
                    _ => continue,
                }
                sent = Some(screen.picture());
            }
            other => panic!("{other}"),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
