//! Paints a screen into a person's terminal: only the rows that changed, in one write.

use std::fmt::Write;

use super::{Screen, glyph::write_row};
use crate::wire::Size;

/// What the terminal shall show.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The shared screen, drawn at the top left with a border where the terminal is larger. Of one that is higher than
    /// the terminal the rows around the cursor are drawn.
    pub screen: &'a Screen,
    /// The size of the person's terminal.
    pub terminal: Size,
    /// The last row: text and escape sequences, not wider than the terminal.
    pub status: &'a str,
    /// Lines that cover the top of the screen, as the status.
    pub overlay: &'a [String],
}

/// What is shown in place of a part of one row, because the host will probably draw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// The row of the shared screen.
    pub row: u16,
    /// The column of the first character.
    pub column: u16,
    /// The characters, each a column wide. They are underlined.
    pub text: String,
    /// Columns behind them that are shown blank.
    pub erased: usize,
    /// The column of the cursor.
    pub cursor: u16,
}

/// Remembers what the terminal shows and writes the difference.
#[derive(Debug, Default)]
pub struct Painter {
    rows: Vec<String>,
    modes: String,
    cursor: String,
    terminal: Option<Size>,
    echo: Option<Echo>,
}

impl Painter {
    /// Lays a guess over the shared screen, in place of the one before.
    pub fn guess(&mut self, echo: Option<Echo>) {
        self.echo = echo;
    }

    /// Returns what must be written so that the terminal shows `frame`; empty when it already does.
    pub fn paint(&mut self, frame: &Frame<'_>) -> String {
        let mut out = String::new();
        if self.terminal != Some(frame.terminal) {
            self.forget();
            self.terminal = Some(frame.terminal);
            out.push_str("\x1b[0m\x1b[2J");
        }
        let rows = rows(frame, self.echo.as_ref());
        self.rows.resize(rows.len(), String::new());
        for (index, (old, new)) in self.rows.iter_mut().zip(rows).enumerate() {
            if *old != new {
                // Writing to a String cannot fail.
                let _ = write!(out, "\x1b[{};1H\x1b[0m\x1b[2K{new}\x1b[0m", index + 1);
                *old = new;
            }
        }
        let modes = frame.screen.model.modes().formatted();
        if modes != self.modes {
            out.push_str(&modes);
            self.modes = modes;
        }
        let cursor = cursor(frame, self.echo.as_ref());
        if cursor != self.cursor || !out.is_empty() {
            out.push_str(&cursor);
            self.cursor = cursor;
        }
        if out.is_empty() { out } else { format!("{BEGIN}{out}{END}") }
    }

    /// Forgets what the terminal shows: everything is painted next time.
    pub fn forget(&mut self) {
        *self = Self { echo: self.echo.take(), ..Self::default() };
    }
}

/// Returns every row of the terminal, each drawable from its first column.
fn rows(frame: &Frame<'_>, echo: Option<&Echo>) -> Vec<String> {
    let Size { columns, rows } = frame.terminal;
    let width = frame.screen.size().columns;
    // Of a screen that is wider than the terminal one column less is shown, lest a wide character wrap at the edge.
    let whole = if width <= columns { width } else { columns - 1 };
    let room = usize::from(rows.saturating_sub(1));
    let mut lines: Vec<String> = (first_row(frame)..frame.screen.size().rows)
        .take(room)
        .map(|index| {
            let mut row = String::new();
            write_row(&mut row, frame.screen.model.row(index), whole);
            if width < columns {
                let _ = write!(row, "\x1b[0m\x1b[{}G\x1b[K{BORDER}│", width + 1);
            }
            row
        })
        .collect();
    if let Some(echo) = echo
        && let Some(line) = lines.get_mut(usize::from(echo.row.wrapping_sub(first_row(frame))))
    {
        let room = usize::from(width.min(columns).saturating_sub(echo.column));
        let text: String = echo.text.chars().take(room).collect();
        let erased = " ".repeat(echo.erased.min(room - text.chars().count()));
        let _ = write!(line, "\x1b[0;4m\x1b[{}G{text}\x1b[0m{erased}", echo.column + 1);
    }
    if lines.len() < room {
        let corner = if width < columns { "┘" } else { "" };
        lines.push(format!("{BORDER}{}{corner}", "─".repeat(usize::from(width.min(columns)))));
    }
    lines.resize(room, String::new());
    for (line, text) in lines.iter_mut().zip(frame.overlay) {
        line.clone_from(text);
    }
    lines.push(frame.status.to_owned());
    lines
}

/// The row of the shared screen that is drawn first.
fn first_row(frame: &Frame<'_>) -> u16 {
    let room = frame.terminal.rows.saturating_sub(1).max(1);
    let (cursor, _) = frame.screen.cursor();
    (cursor + 1).saturating_sub(room)
}

fn cursor(frame: &Frame<'_>, echo: Option<&Echo>) -> String {
    let (row, column) = frame.screen.cursor();
    let column = echo.map_or(column, |echo| echo.cursor);
    let row = row - first_row(frame);
    let inside = row + 1 < frame.terminal.rows && column < frame.terminal.columns;
    if frame.screen.model.hides_cursor() || !inside || !frame.overlay.is_empty() {
        return "\x1b[?25l".to_owned();
    }
    format!("\x1b[{};{}H\x1b[?25h", row + 1, column + 1)
}

/// The edge of a shared screen that is smaller than the terminal: dim.
const BORDER: &str = "\x1b[0;2m";

/// A synchronised update: terminals that know it show the frame at once, the others ignore it.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l";
const END: &str = "\x1b[?2026l";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{glyph::row as row_of, plain},
        *,
    };

    const TERMINAL: Size = Size { columns: 30, rows: 6 };

    fn shown(screen: &Screen, columns: u16) -> Vec<String> {
        let columns = columns.min(screen.size().columns);
        let cells = |row| &screen.model.row(row)[..columns.into()];
        let rows = (0..screen.size().rows).map(|row| plain(&row_of(cells(row))));
        rows.map(|row| row.trim_end().to_owned()).collect()
    }

    /// A terminal, and what was painted into it.
    struct Glass(Screen, Painter);

    impl Glass {
        fn new() -> Self {
            Self(Screen::new(TERMINAL), Painter::default())
        }

        fn show(&mut self, screen: &Screen, status: &str) -> String {
            let frame = Frame { screen, terminal: TERMINAL, status, overlay: &[] };
            let bytes = self.1.paint(&frame);
            self.0.feed(bytes.as_bytes());
            bytes
        }

        fn lines(&self) -> Vec<String> {
            shown(&self.0, TERMINAL.columns)
        }
    }

    #[test]
    fn the_status_owns_the_last_row_whatever_is_printed() {
        let mut screen = Screen::new(Size { columns: 30, rows: 5 });
        let mut glass = Glass::new();
        for _ in 0..20 {
            screen.feed(b"line\r\n\x1b[2J\x1b[5;1Hlast\r\nmore");
            glass.show(&screen, "STATUS");
        }
        assert_eq!(glass.lines(), ["", "", "", "last", "more", "STATUS"]);
    }

    #[test]
    fn an_unchanged_screen_writes_nothing_and_a_changed_row_only_itself() {
        let mut screen = Screen::new(Size { columns: 30, rows: 5 });
        let mut glass = Glass::new();
        screen.feed(b"one\r\ntwo\r\n");
        glass.show(&screen, "s");
        assert_eq!(glass.show(&screen, "s"), "");
        screen.feed(b"three");
        let bytes = glass.show(&screen, "s");
        assert!(bytes.contains("three") && !bytes.contains("two"), "{bytes:?}");
    }

    #[test]
    fn a_screen_smaller_than_the_terminal_has_a_border() {
        let mut screen = Screen::new(Size { columns: 20, rows: 3 });
        screen.feed(b"\x1b[44mone\x1b[K\r\n\r\nthree");
        let mut glass = Glass::new();
        glass.show(&screen, "STATUS");
        let row = |text: &str| format!("{text:20}│");
        assert_eq!(glass.lines()[..3], [row("one"), row(""), row("three")]);
        assert_eq!(glass.lines()[3..], [format!("{}┘", "─".repeat(20)), String::new(), "STATUS".to_owned()]);
        let mut screen = Screen::new(Size { columns: 30, rows: 4 });
        screen.feed(b"as wide");
        let mut glass = Glass::new();
        glass.show(&screen, "STATUS");
        assert_eq!(glass.lines(), ["as wide", "", "", "", &"─".repeat(30), "STATUS"]);
    }

    #[test]
    fn of_a_screen_higher_than_the_terminal_the_rows_around_the_cursor_are_drawn() {
        let mut screen = Screen::new(Size { columns: 30, rows: 8 });
        let mut glass = Glass::new();
        screen.feed(b"1\r\n2\r\n3\r\n4\r\n5");
        glass.show(&screen, "STATUS");
        assert_eq!(glass.lines(), ["1", "2", "3", "4", "5", "STATUS"]);
        screen.feed(b"\r\n6\r\n7");
        let bytes = glass.show(&screen, "STATUS");
        assert_eq!(glass.lines(), ["3", "4", "5", "6", "7", "STATUS"]);
        assert!(bytes.contains("\x1b[5;2H\x1b[?25h"), "{bytes:?}");
    }

    #[test]
    fn a_guess_is_underlined_until_it_goes_and_leaves_nothing() {
        let mut screen = Screen::new(Size { columns: 30, rows: 5 });
        screen.feed(b"$ ls -lx");
        let mut glass = Glass::new();
        glass.show(&screen, "s");
        let echo = Echo { row: 0, column: 6, text: "a".into(), erased: 1, cursor: 7 };
        glass.1.guess(Some(echo));
        let bytes = glass.show(&screen, "s");
        assert!(bytes.contains("\x1b[0;4m\x1b[7Ga\x1b[0m ") && bytes.contains("\x1b[1;8H"), "{bytes:?}");
        assert_eq!(glass.lines()[0], "$ ls -a");
        glass.1.guess(None);
        glass.show(&screen, "s");
        assert_eq!(glass.lines()[0], "$ ls -lx");
    }

    #[test]
    fn an_overlay_covers_the_top_and_goes_again() {
        let mut screen = Screen::new(Size { columns: 30, rows: 5 });
        screen.feed(b"shell");
        let mut glass = Glass::new();
        let overlay = ["help".to_owned()];
        let frame = Frame { screen: &screen, terminal: TERMINAL, status: "s", overlay: &overlay };
        let bytes = glass.1.paint(&frame);
        glass.0.feed(bytes.as_bytes());
        assert_eq!(glass.lines()[0], "help");
        glass.show(&screen, "s");
        assert_eq!(glass.lines()[0], "shell");
    }

    proptest! {
        #[test]
        fn painting_differences_ends_where_painting_everything_would(
            steps in proptest::collection::vec("[ -~äß漢]{0,40}(\r\n)?(\x1b\\[(4[0-7]|7|0)m)?(\x1b\\[[1-5];[1-9]H)?", 1..12),
            columns in 3u16..40,
        ) {
            let mut screen = Screen::new(Size { columns, rows: 5 });
            let mut stepwise = Glass::new();
            for step in steps {
                screen.feed(step.as_bytes());
                stepwise.show(&screen, "status");
            }
            let mut at_once = Glass::new();
            at_once.show(&screen, "status");
            prop_assert_eq!(stepwise.lines(), at_once.lines());
            // A wide character that the narrower terminal cuts in half may differ; whole ones may not.
            if columns <= TERMINAL.columns {
                prop_assert_eq!(&shown(&stepwise.0, columns)[..5], &shown(&screen, columns)[..]);
            }
        }
    }
}
