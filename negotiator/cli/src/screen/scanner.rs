//! Follows terminal output just far enough to say what the screen model does not tell: which sequence or
//! character is unfinished, and which rows scroll.

/// A small state machine over output bytes. No IO, bounded memory.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: State,
    /// The bytes since the last complete sequence or character.
    open: Vec<u8>,
    /// Top and bottom row from 1, when set.
    region: Option<(u16, u16)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate: one final byte to come.
    Intermediate,
    /// After ESC [.
    Control,
    /// After ESC ], ESC P, ESC X, ESC ^ or ESC _: until BEL or ESC \.
    Text,
    /// An ESC inside text.
    TextEscape,
    /// So many continuation bytes of a character are to come.
    Character(u8),
}

impl Scanner {
    /// Follows output.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
    }

    /// Returns the bytes of the sequence or character that is not complete.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.open
    }

    /// Returns the rows that scroll, counted from 1, unless all do.
    pub(super) fn region(&self) -> Option<(u16, u16)> {
        self.region
    }

    /// Forgets the rows that scroll, as a resize does.
    pub(super) fn reset_region(&mut self) {
        self.region = None;
    }

    fn step(&mut self, byte: u8) {
        let next = match (self.state, byte) {
            // These end whatever is open, from any state (ECMA-48).
            (_, 0x18 | 0x1A) => State::Ground,
            (State::Text, ESC) => State::TextEscape,
            (_, ESC) => {
                self.open.clear();
                State::Escape
            }
            (State::Ground | State::Character(0), _) => self.ground(byte),
            (State::Character(left), 0x80..=0xBF) => State::Character(left - 1),
            (State::Character(_), _) => self.ground(byte),
            (State::Escape, b'[') => State::Control,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Text,
            (State::Escape, 0x20..=0x2F) | (State::Intermediate, 0x20..=0x2F) => State::Intermediate,
            (State::Escape, b'c') => {
                self.region = None;
                State::Ground
            }
            (State::Control, 0x40..=0x7E) => {
                self.control(byte);
                State::Ground
            }
            (State::Text, 0x07) | (State::TextEscape, b'\\') => State::Ground,
            (State::TextEscape, _) => State::Text,
            (State::Escape | State::Intermediate, 0x30..=0x7E) => State::Ground,
            (same, _) => same,
        };
        self.state = if next == State::Character(0) { State::Ground } else { next };
        if self.state == State::Ground {
            self.open.clear();
        } else if self.open.len() < MAX_OPEN {
            self.open.push(byte);
        }
    }

    fn ground(&mut self, byte: u8) -> State {
        self.open.clear();
        match byte {
            0xC2..=0xDF => State::Character(1),
            0xE0..=0xEF => State::Character(2),
            0xF0..=0xF4 => State::Character(3),
            _ => State::Ground,
        }
    }

    /// Notes `CSI top ; bottom r` and `CSI ! p`; `open` holds everything before the final byte.
    fn control(&mut self, last: u8) {
        let parameters = &self.open[2.min(self.open.len())..];
        match (last, parameters) {
            (b'p', b"!") => self.region = None,
            (b'r', _) => {
                let Ok(text) = std::str::from_utf8(parameters) else { return };
                if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') {
                    let mut numbers = text.split(';').map(|number| number.parse().unwrap_or(0));
                    let (top, bottom) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
                    self.region = (top > 0 || bottom > 0)
                        .then_some((top.max(1), if bottom == 0 { u16::MAX } else { bottom }));
                }
            }
            _ => {}
        }
    }
}

const ESC: u8 = 0x1B;

/// Bytes of an unfinished sequence that are kept. Longer ones are texts that no screen shows.
const MAX_OPEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn unfinished(bytes: &[u8]) -> Vec<u8> {
        let mut scanner = Scanner::default();
        scanner.feed(bytes);
        scanner.unfinished().to_vec()
    }

    #[test]
    fn only_what_is_open_is_kept() {
        for (bytes, open) in [
            (&b"plain"[..], &b""[..]),
            (b"\x1b", b"\x1b"),
            (b"a\x1b[1;3", b"\x1b[1;3"),
            (b"\x1b[1;31mred", b""),
            (b"\x1b]2;ti", b"\x1b]2;ti"),
            (b"\x1b]2;title\x07", b""),
            (b"\x1b]2;title\x1b\\x", b""),
            (b"\x1b(", b"\x1b("),
            (b"\x1b(B", b""),
            (b"caf\xc3", b"\xc3"),
            (b"caf\xc3\xa9", b""),
            (b"\xf0\x9f\x99", b"\xf0\x9f\x99"),
            (b"\xe2x", b""),
            (b"\x1b[12\x18", b""),
        ] {
            assert_eq!(unfinished(bytes), open, "{bytes:?}");
        }
    }

    #[test]
    fn the_scroll_region_is_followed() {
        let mut scanner = Scanner::default();
        for (bytes, region) in [
            (&b"\x1b[2;7r"[..], Some((2, 7))),
            (b"\x1b[?7r", Some((2, 7))),
            (b"\x1b[r", None),
            (b"\x1b[5r", Some((5, u16::MAX))),
            (b"\x1bc", None),
            (b"\x1b[3;4r\x1b[!p", None),
        ] {
            scanner.feed(bytes);
            assert_eq!(scanner.region(), region, "{bytes:?}");
        }
    }

    #[test]
    fn an_endless_title_costs_bounded_memory() {
        let mut scanner = Scanner::default();
        scanner.feed(b"\x1b]2;");
        scanner.feed(&[b'x'; 100_000]);
        assert_eq!(scanner.unfinished().len(), MAX_OPEN);
    }
}
