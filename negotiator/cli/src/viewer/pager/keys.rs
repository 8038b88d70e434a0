//! The keys of the pager.

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Take the pager away: q, escape alone.
    Close,
    Down,
    First,
    Last,
    NextNewer,
    NextOlder,
    /// Nothing: what else a terminal sends, the mouse included.
    Other,
    PageDown,
    PageUp,
    Search,
    Up,
}

/// Reads the first key of what was typed, and its length. `typed` is not empty.
pub(super) fn keys(typed: &[u8]) -> (Key, usize) {
    match typed {
        [0x1B] => (Key::Close, 1),
        [0x1B, b'O', letter, ..] => (cursor(*letter), 3),
        // A mouse of the older kind: three bytes behind the M.
        [0x1B, b'[', b'M', ..] => (Key::Other, typed.len().min(6)),
        [0x1B, b'[', rest @ ..] => {
            let length = rest.iter().position(|byte| (0x40..=0x7E).contains(byte));
            let Some(length) = length else { return (Key::Other, typed.len()) };
            let key = match &rest[..=length] {
                b"5~" => Key::PageUp,
                b"6~" => Key::PageDown,
                b"1~" | b"7~" => Key::First,
                b"4~" | b"8~" => Key::Last,
                [letter] => cursor(*letter),
                _ => Key::Other,
            };
            (key, length + 3)
        }
        [0x1B, _, ..] => (Key::Other, 2),
        [byte, ..] => (letter(*byte), 1),
        [] => (Key::Other, 0),
    }
}

fn cursor(letter: u8) -> Key {
    match letter {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'F' => Key::Last,
        b'H' => Key::First,
        _ => Key::Other,
    }
}

fn letter(byte: u8) -> Key {
    match byte {
        b'q' | 0x03 => Key::Close,
        b'j' | b'\r' | b'\n' => Key::Down,
        b'k' => Key::Up,
        b' ' | b'f' | 0x06 => Key::PageDown,
        b'b' | 0x02 => Key::PageUp,
        b'g' => Key::First,
        b'G' => Key::Last,
        b'/' => Key::Search,
        b'n' => Key::NextOlder,
        b'N' => Key::NextNewer,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_several_bytes_are_taken_whole() {
        for (typed, key, length) in [
            (&b"q"[..], Key::Close, 1),
            (b"\x1b", Key::Close, 1),
            (b"\x1b[Aq", Key::Up, 3),
            (b"\x1bOBq", Key::Down, 3),
            (b"\x1b[5~q", Key::PageUp, 4),
            (b"\x1b[6~", Key::PageDown, 4),
            (b"\x1b[1;5Cq", Key::Other, 6),
            (b"\x1b[<64;1;1Mq", Key::Other, 10),
            (b"\x1b[M !!q", Key::Other, 6),
            (b"\x1b[20", Key::Other, 4),
            (b"\x1bxq", Key::Other, 2),
            (b"Gg", Key::Last, 1),
        ] {
            assert_eq!(keys(typed), (key, length), "{typed:?}");
        }
    }
}
