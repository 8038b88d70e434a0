//! What is printed outside a shared terminal: lasting lines, and a few live ones beneath them.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use transport_core::Text;

use crate::{
    exit::Failure,
    files::{self, Readers},
};

/// Lasting lines with a live region beneath. On something that is no terminal only the lasting ones appear.
#[derive(Debug)]
pub struct Lines {
    to: To,
    terminal: bool,
    live: usize,
}

/// Where to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Standard error, when standard output carries data.
    Stderr,
    /// Standard output.
    Stdout,
}

impl Lines {
    /// Prints to `to`.
    pub fn new(to: To) -> Self {
        let terminal = match to {
            To::Stderr => io::stderr().is_terminal(),
            To::Stdout => io::stdout().is_terminal(),
        };
        Self { to, terminal, live: 0 }
    }

    /// Says whether live lines are shown at all.
    pub fn is_live(&self) -> bool {
        self.terminal
    }

    /// Prints a line that stays.
    pub fn say(&mut self, line: &str) {
        let text = self.lasting(line);
        self.write(&text);
    }

    fn lasting(&mut self, line: &str) -> String {
        format!("{}{}\n", self.clear_sequence(), printable(line))
    }

    /// Replaces the live lines. Call it at most a few times a second.
    pub fn show(&mut self, lines: &[String]) {
        if !self.terminal {
            return;
        }
        let columns = columns();
        let mut out = self.clear_sequence();
        for line in lines {
            // A wrapped line could not be cleared again.
            out.extend(line.chars().filter(|&c| Text::shows(c)).take(columns.saturating_sub(1)));
            out.push('\n');
        }
        self.live = lines.len();
        self.write(&out);
    }

    /// Replaces the live lines by a text that is broken into as many as it needs.
    pub fn show_whole(&mut self, text: &str) {
        let text: Vec<char> = text.chars().filter(|&c| Text::shows(c)).collect();
        let rows = text.chunks(columns().saturating_sub(1).max(1));
        self.show(&rows.map(String::from_iter).collect::<Vec<_>>());
    }

    /// Prints a question that is answered behind it, on the same line.
    pub fn ask(&mut self, question: &str) {
        let clear = self.clear_sequence();
        self.write(&format!("{clear}{}", printable(question)));
    }

    /// Removes the live lines.
    pub fn clear(&mut self) {
        let clear = self.clear_sequence();
        self.write(&clear);
    }

    fn clear_sequence(&mut self) -> String {
        match std::mem::take(&mut self.live) {
            0 => String::new(),
            lines => format!("\x1b[{lines}F\x1b[J"),
        }
    }

    /// A reader that went away is no reason to end a session.
    fn write(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let result = match self.to {
            To::Stderr => {
                let mut stderr = io::stderr().lock();
                stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush())
            }
            To::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a line could not be printed");
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A text as it may be printed: without what steers a terminal or hides from the reader. Line breaks stay.
fn printable(text: &str) -> String {
    text.chars().filter(|&c| c == '\n' || Text::shows(c)).collect()
}

fn columns() -> usize {
    usize::from(crossterm::terminal::size().map_or(80, |(columns, _)| columns))
}

/// Writes a join link for its owner's eyes only. The file appears whole or not at all.
///
/// # Errors
///
/// [`Failure::Io`].
pub fn write_link(path: &Path, link: &str) -> Result<(), Failure> {
    files::write(path, format!("{link}\n").as_bytes(), Readers::Owner).map_err(Failure::io("the link file"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use negotiator::{CloseCode, Closed, Obstacle, SessionEnd, SignalingError};

    use super::*;
    use crate::{
        screen::Screen,
        wire::{Message, Size},
    };

    #[test]
    fn a_link_file_is_for_its_owner_even_when_an_old_one_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link");
        fs::write(&path, "old").unwrap();
        write_link(&path, "http://h/s#x").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "http://h/s#x\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// What can be done to a terminal by words: set its clipboard, clear it, the same in C1, turn text around,
    /// hide it.
    const HOSTILE: &str = "a\u{1b}]52;c;ZXZpbA==\u{7}b\u{1b}[2Jc\u{9b}2Jd\u{202e}e\u{2066}f\u{200b}g\u{7f}h";

    fn steering(text: &str) -> usize {
        text.chars().filter(|&c| c != '\n' && !Text::shows(c)).count()
    }

    #[test]
    fn nothing_that_others_say_steers_the_terminal_it_is_printed_on() {
        assert!(steering(HOSTILE) >= 8);
        let said = |tag: u8| {
            let bytes = [&[tag][..], if tag == 3 { &[3] } else { &[] }, HOSTILE.as_bytes()].concat();
            Message::decode(bytes.into()).unwrap()
        };
        let (Message::Notice(notice), Message::Failed(failed)) = (said(10), said(15)) else { panic!() };
        let Message::Refused { why, text } = said(3) else { panic!() };
        let mut screen = Screen::new(Size::new(80, 24).unwrap());
        let worded = HOSTILE.replace(['\u{7}', '\u{1b}', ';'], "");
        screen.feed(format!("\u{1b}]2;x{worded}y\u{7}").as_bytes());
        let title = screen.take_title().unwrap();
        for text in [&notice, &failed, &text, &title] {
            assert_eq!(steering(text), 0, "{text:?}");
        }
        let goodbye = SignalingError::Refused { label: HOSTILE.into(), detail: HOSTILE.into() };
        let closed = SessionEnd::Closed(Closed::peer(CloseCode::GOING_AWAY, HOSTILE.to_owned()));
        let down = SignalingError::Unreachable { detail: HOSTILE.to_owned(), obstacle: Obstacle::Untrusted };
        let mut lines = Lines { to: To::Stderr, terminal: false, live: 0 };
        for failure in [
            goodbye.into(),
            down.into(),
            Failure::SessionLost(closed),
            Failure::declined(why, text),
            Failure::NoPath(HOSTILE.to_owned()),
        ] {
            let printed = lines.lasting(&failure.to_string());
            assert_eq!(steering(&printed), 0, "{printed:?}");
            assert!(printed.contains("]52;c;ZXZpbA=="), "the words stay: {printed:?}");
        }
        assert_eq!(steering(&lines.lasting(HOSTILE)), 0);
    }
}
