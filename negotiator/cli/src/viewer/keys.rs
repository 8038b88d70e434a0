//! Tells what is typed for the host from what is typed for this program.

use std::str::FromStr;

use bytes::Bytes;

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
pub enum Typed {
    /// For the host.
    Input(Bytes),
    /// For this program.
    Command(Command),
}

/// What this program can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Show which path is used and why.
    Explain,
    /// Show the keys.
    Help,
    /// Draw everything anew.
    Redraw,
    /// Leave; the session goes on.
    Quit,
}

/// Splits what is typed. No IO.
#[derive(Debug)]
pub struct Keys {
    escape: EscapeKey,
    /// The escape key was the last one typed.
    armed: bool,
}

impl Keys {
    /// Listens for `escape`.
    pub fn new(escape: EscapeKey) -> Self {
        Self { escape, armed: false }
    }

    /// Says whether the next key is a command.
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// Splits `bytes`. The escape key twice is the key itself; before an unknown key it is dropped with it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        let mut plain = Vec::new();
        for &byte in bytes {
            if std::mem::take(&mut self.armed) {
                let command = match byte {
                    b'e' => Command::Explain,
                    b'l' => Command::Redraw,
                    b'q' | b'.' => Command::Quit,
                    b'?' | b'h' => Command::Help,
                    _ if Some(byte) == self.escape.0 => {
                        plain.push(byte);
                        continue;
                    }
                    _ => Command::Help,
                };
                flush(&mut plain, &mut typed);
                typed.push(Typed::Command(command));
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

fn flush(plain: &mut Vec<u8>, typed: &mut Vec<Typed>) {
    if !plain.is_empty() {
        typed.push(Typed::Input(std::mem::take(plain).into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(parts: &[&'static str]) -> Vec<Typed> {
        let mut keys = Keys::new(EscapeKey::DEFAULT);
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
        assert_eq!(feed(&["\x1ez"]), [Typed::Command(Command::Help)]);
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
        let mut keys = Keys::new(key("none").unwrap());
        assert_eq!(keys.feed(b"\x1eq"), [Typed::Input("\x1eq".into())]);
    }
}
