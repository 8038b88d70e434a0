//! Tells what is typed for the host from what is typed for this program.

use std::str::FromStr;

use bytes::Bytes;

use crate::wire::{CHUNK, Message};

/// The key that begins a command to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EscapeKey(Option<u8>);

impl EscapeKey {
    /// Ctrl-^, which no program uses and every keyboard can type (Ctrl-6 or Ctrl-~ on some).
    pub const DEFAULT: Self = Self(Some(0x1E));

    /// Returns how a person reads it: `Ctrl-^`.
    pub fn name(self) -> Option<String> {
        self.0.map(|byte| format!("Ctrl-{}", char::from(byte ^ 0x40)))
    }
}

impl FromStr for EscapeKey {
    type Err = BadEscapeKey;

    fn from_str(text: &str) -> Result<Self, BadEscapeKey> {
        match text.as_bytes() {
            b"none" => Ok(Self(None)),
            [b'^', key] => match key.to_ascii_uppercase() {
                // Ctrl-M, -J, -I and -[ are keys of their own: return, line feed, tab, escape.
                b'M' | b'J' | b'I' | b'[' => Err(BadEscapeKey),
                key @ b'@'..=b'_' => Ok(Self(Some(key ^ 0x40))),
                _ => Err(BadEscapeKey),
            },
            _ => Err(BadEscapeKey),
        }
    }
}

/// A text that names no usable escape key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as ^^ or ^] or ^A, or 'none'; return, tab and escape cannot be used")]
pub struct BadEscapeKey;

/// What a piece of typing means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed<C> {
    /// For the shared terminal.
    Input(Bytes),
    /// For this program.
    Command(C),
}

/// What a viewer's program can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Take what the shared program copied into the clipboard.
    Copy,
    /// Show which path is used and why.
    Explain,
    /// Show the keys.
    Help,
    /// Show the lines that left the top of the screen.
    History,
    /// Draw everything anew.
    Redraw,
    /// Leave; the session goes on.
    Quit,
    /// Stop this program until the shell brings it back.
    Suspend,
}

impl Command {
    /// Reads the key behind the escape key; an unknown one asks for the list.
    pub fn of(key: u8) -> Self {
        match key {
            b'c' => Self::Copy,
            b'e' => Self::Explain,
            b'h' => Self::History,
            b'l' => Self::Redraw,
            b'q' | b'.' => Self::Quit,
            // Ctrl-Z is what a hand types.
            b'z' | 0x1A => Self::Suspend,
            _ => Self::Help,
        }
    }
}

/// Splits what is typed. No IO.
#[derive(Debug)]
pub struct Keys<C> {
    escape: EscapeKey,
    commands: fn(u8) -> C,
    /// The escape key was the last one typed.
    armed: bool,
}

impl<C> Keys<C> {
    /// Listens for `escape`; `commands` says what the key behind it means.
    pub fn new(escape: EscapeKey, commands: fn(u8) -> C) -> Self {
        Self { escape, commands, armed: false }
    }

    /// Says whether the next key is a command.
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// Splits `bytes`. The escape key twice is the key itself.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Typed<C>> {
        let mut typed = Vec::new();
        let mut plain = Vec::new();
        for &byte in bytes {
            if std::mem::take(&mut self.armed) {
                if Some(byte) == self.escape.0 {
                    plain.push(byte);
                    continue;
                }
                flush(&mut plain, &mut typed);
                typed.push(Typed::Command((self.commands)(byte)));
            } else if Some(byte) == self.escape.0 {
                self.armed = true;
            } else {
                plain.push(byte);
            }
        }
        flush(&mut plain, &mut typed);
        typed
    }
}

fn flush<C>(plain: &mut Vec<u8>, typed: &mut Vec<Typed<C>>) {
    if !plain.is_empty() {
        typed.push(Typed::Input(std::mem::take(plain).into()));
    }
}

/// Typing and pasting, in messages that each hold a piece.
pub fn inputs(bytes: Bytes) -> impl Iterator<Item = Message> {
    let count = bytes.len().div_ceil(CHUNK);
    (0..count).map(move |index| {
        let start = index * CHUNK;
        Message::Input(bytes.slice(start..bytes.len().min(start + CHUNK)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(parts: &[&'static str]) -> Vec<Typed<Command>> {
        let mut keys = Keys::new(EscapeKey::DEFAULT, Command::of);
        parts.iter().flat_map(|part| keys.feed(part.as_bytes())).collect()
    }

    #[test]
    fn commands_are_taken_out_of_the_typing() {
        assert_eq!(
            feed(&["ls\r\x1eecd\r"]),
            [Typed::Input("ls\r".into()), Typed::Command(Command::Explain), Typed::Input("cd\r".into())]
        );
    }

    #[test]
    fn the_command_may_come_in_the_next_read() {
        assert_eq!(feed(&["\x1e", "q"]), [Typed::Command(Command::Quit)]);
    }

    #[test]
    fn twice_is_the_key_itself() {
        assert_eq!(feed(&["a\x1e\x1eb"]), [Typed::Input("a\x1eb".into())]);
    }

    #[test]
    fn an_unknown_key_shows_the_keys() {
        assert_eq!(feed(&["\x1ek"]), [Typed::Command(Command::Help)]);
    }

    #[test]
    fn the_key_can_be_chosen_or_switched_off() {
        let key = |text: &str| text.parse::<EscapeKey>();
        assert_eq!(key("^^"), Ok(EscapeKey::DEFAULT));
        assert_eq!(key("^a").unwrap().name().unwrap(), "Ctrl-A");
        assert_eq!(key("^]").unwrap().name().unwrap(), "Ctrl-]");
        for bad in ["", "x", "^", "^M", "^[", "^1", "^^^"] {
            assert_eq!(key(bad), Err(BadEscapeKey), "{bad}");
        }
        let mut keys = Keys::new(key("none").unwrap(), Command::of);
        assert_eq!(keys.feed(b"\x1eq"), [Typed::Input("\x1eq".into())]);
    }

    #[test]
    fn a_large_paste_is_sent_in_pieces() {
        let sizes: Vec<_> = inputs(vec![0; 150_000].into()).map(|piece| piece.encode().len() - 1).collect();
        assert_eq!(sizes, [61_440, 61_440, 27_120]);
    }
}
