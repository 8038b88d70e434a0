//! The emulator behind a [`Screen`](super::Screen): what it is asked for, and where it is put right.

use alacritty_terminal::{
    event::VoidListener,
    grid::{Dimensions, Row},
    index::{Column, Line},
    term::{Config, Term, TermMode, cell::Cell},
    vte::ansi::{CursorShape, Processor, Timeout},
};

use super::{bells::Bells, hands::Hands};
use crate::wire::Size;

/// A terminal that is fed with what a program prints.
pub(super) struct Model {
    term: Term<VoidListener>,
    parser: Processor<Never>,
    size: Size,
    /// Rows that scroll, first and behind the last. The emulator does not show them.
    region: (i32, i32),
    pub(super) bells: Bells,
}

impl Model {
    pub(super) fn new(size: Size, bells: Bells) -> Self {
        // What leaves the top passes through the emulator's own history, where it stays for one operation.
        let history = if bells.history.keeps() { MOST_ROWS } else { 0 };
        let config = Config { scrolling_history: history, ..Config::default() };
        let term = Term::new(config, &Sides(size), VoidListener);
        Self { term, parser: Processor::new(), size, region: (0, Sides(size).rows()), bells }
    }

    pub(super) fn process(&mut self, bytes: &[u8]) {
        let Self { term, parser, region, bells, .. } = self;
        parser.advance(&mut Hands { term, region, bells }, bytes);
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
        self.term.resize(Sides(size));
        self.region = (0, Sides(size).rows());
        self.bells.history.drain(&mut self.term);
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Returns row and column of the cursor; the column is one beyond the last where the next character wraps.
    pub(super) fn cursor(&self) -> (u16, u16) {
        let cursor = &self.term.grid().cursor;
        let column = cursor.point.column.0 + usize::from(cursor.input_needs_wrap);
        let column = u16::try_from(column).unwrap_or(u16::MAX).min(self.size.columns);
        (u16::try_from(cursor.point.line.0).unwrap_or(0).min(self.size.rows.saturating_sub(1)), column)
    }

    /// Returns the cells of a row.
    pub(super) fn row(&self, row: u16) -> &[Cell] {
        self.grid_row(row).map_or(&[], |cells| &cells[Column(0)..Column(self.size.columns.into())])
    }

    fn grid_row(&self, row: u16) -> Option<&Row<Cell>> {
        (row < self.size.rows).then(|| &self.term.grid()[Line(row.into())])
    }

    pub(super) fn modes(&self) -> Modes {
        let style = self.term.cursor_style();
        let shape = match style.shape {
            CursorShape::Block => 2,
            CursorShape::Underline => 4,
            CursorShape::Beam => 6,
            _ => 0,
        };
        Modes {
            set: *self.term.mode() & KEPT,
            // Without a word of the program the viewer's own cursor stays.
            cursor: if self.bells.cursor_chosen { shape - u8::from(style.blinking) } else { 0 },
        }
    }

    pub(super) fn hides_cursor(&self) -> bool {
        !self.term.mode().contains(TermMode::SHOW_CURSOR)
    }
}

/// What the viewer's terminal does with keys, the mouse and its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modes {
    set: TermMode,
    cursor: u8,
}

impl Modes {
    /// Returns the sequences that set all of it, whatever was set before.
    pub(super) fn formatted(self) -> String {
        self.since(None)
    }

    /// Returns the sequences that turn the earlier ones into these.
    pub(super) fn since(self, earlier: Option<Self>) -> String {
        let mut out = String::new();
        // Off first: one kind of mouse report switched off may switch off all of them.
        for on in [false, true] {
            for (mode, set, reset) in SWITCHES {
                let known =
                    earlier.is_some_and(|earlier| earlier.set.contains(mode) == self.set.contains(mode));
                let mouse = TermMode::MOUSE_MODE.contains(mode);
                let again = mouse
                    && on
                    && earlier
                        .is_some_and(|earlier| (earlier.set ^ self.set).intersects(TermMode::MOUSE_MODE));
                if self.set.contains(mode) == on && (!known || again) {
                    out.push_str(if on { set } else { reset });
                }
            }
        }
        if earlier.is_none_or(|earlier| earlier.cursor != self.cursor) {
            out.push_str(&format!("\x1b[{} q", self.cursor));
        }
        out
    }
}

const SWITCHES: [(TermMode, &str, &str); 9] = [
    (TermMode::APP_KEYPAD, "\x1b=", "\x1b>"),
    (TermMode::APP_CURSOR, "\x1b[?1h", "\x1b[?1l"),
    (TermMode::BRACKETED_PASTE, "\x1b[?2004h", "\x1b[?2004l"),
    (TermMode::FOCUS_IN_OUT, "\x1b[?1004h", "\x1b[?1004l"),
    (TermMode::MOUSE_REPORT_CLICK, "\x1b[?1000h", "\x1b[?1000l"),
    (TermMode::MOUSE_DRAG, "\x1b[?1002h", "\x1b[?1002l"),
    (TermMode::MOUSE_MOTION, "\x1b[?1003h", "\x1b[?1003l"),
    (TermMode::UTF8_MOUSE, "\x1b[?1005h", "\x1b[?1005l"),
    (TermMode::SGR_MOUSE, "\x1b[?1006h", "\x1b[?1006l"),
];

const KEPT: TermMode = TermMode::APP_KEYPAD
    .union(TermMode::APP_CURSOR)
    .union(TermMode::BRACKETED_PASTE)
    .union(TermMode::FOCUS_IN_OUT)
    .union(TermMode::MOUSE_MODE)
    .union(TermMode::UTF8_MOUSE)
    .union(TermMode::SGR_MOUSE);

/// Rows that one operation can push off the top.
const MOST_ROWS: usize = 1024;

/// A size as the emulator takes it. It fails with fewer than two columns; more are not shown then.
struct Sides(Size);

impl Sides {
    fn rows(&self) -> i32 {
        self.0.rows.max(1).into()
    }
}

impl Dimensions for Sides {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        self.0.rows.max(1).into()
    }

    fn columns(&self) -> usize {
        self.0.columns.max(2).into()
    }
}

/// Lets a synchronised update be drawn as it comes: a picture is made when there is time for one, and a program that
/// never ends its update must not stop the screen.
#[derive(Debug, Default)]
struct Never;

impl Timeout for Never {
    fn set_timeout(&mut self, _: std::time::Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}
