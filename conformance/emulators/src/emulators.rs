//! Emulators, each behind the same three calls; those upon `termwiz` stand beside.

use std::num::NonZeroU16;

use alacritty_terminal::{
    event::VoidListener,
    grid::Dimensions,
    index::{Column, Line},
    term::{Config, Term, cell::Flags},
    vte::ansi::{Color, Processor},
};

use crate::seen::{Colour, Seen};

/// A terminal that is fed and looked at.
pub trait Emulator {
    /// Crate and version.
    const NAME: &str;
    /// `history`: lines kept behind the screen.
    fn new(columns: u16, rows: u16, history: usize) -> Self;
    fn feed(&mut self, bytes: &[u8]);
    /// What is seen in each column.
    fn row(&self, row: u16) -> Vec<Seen>;
}

pub struct Vt100(vt100::Parser, u16);

impl Emulator for Vt100 {
    const NAME: &str = "`vt100` 0.18";

    fn new(columns: u16, rows: u16, history: usize) -> Self {
        let side = |length| NonZeroU16::new(length).expect("not zero");
        Self(vt100::Parser::new(side(rows), side(columns), history), columns)
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.0.process(bytes);
    }

    fn row(&self, row: u16) -> Vec<Seen> {
        let colour = |colour| match colour {
            vt100::Color::Default => None,
            vt100::Color::Idx(index) => Some(Colour::Index(index)),
            vt100::Color::Rgb(red, green, blue) => Some(Colour::Rgb(red, green, blue)),
        };
        let seen = |column| {
            let cell = self.0.screen().cell(row, column).expect("within the screen");
            let width = if cell.is_wide_continuation() { 0 } else { 1 + u8::from(cell.is_wide()) };
            Seen {
                letter: cell.contents().chars().next().unwrap_or(' '),
                width,
                foreground: colour(cell.fgcolor()),
                background: colour(cell.bgcolor()),
                on: [cell.bold(), cell.dim(), cell.italic(), cell.underline(), false, cell.inverse(), false],
            }
        };
        (0..self.1).map(seen).collect()
    }
}

pub struct Avt(avt::Terminal);

impl Emulator for Avt {
    const NAME: &str = "`avt` 0.19";

    fn new(columns: u16, rows: u16, history: usize) -> Self {
        Self(avt::Terminal::with_scrollback(columns.into(), rows.into(), Some(history)).expect("not zero"))
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(std::str::from_utf8(bytes).expect("whole characters"));
    }

    fn row(&self, row: u16) -> Vec<Seen> {
        let colour = |colour| match colour {
            avt::Color::Indexed(index) => Colour::Index(index),
            avt::Color::RGB(avt::Rgb { r, g, b }) => Colour::Rgb(r, g, b),
        };
        let seen = |cell: &avt::Cell| {
            let pen = cell.pen();
            Seen {
                letter: cell.char(),
                width: cell.width(),
                foreground: pen.foreground().map(colour),
                background: pen.background().map(colour),
                on: [
                    pen.is_bold(),
                    pen.is_faint(),
                    pen.is_italic(),
                    pen.is_underline(),
                    pen.is_blink(),
                    pen.is_inverse(),
                    pen.is_strikethrough(),
                ],
            }
        };
        self.0.screen().line(row.into()).expect("within the screen").cells().iter().map(seen).collect()
    }
}

/// As it comes: without what `negotiator/cli/src/screen/hands.rs` puts right.
pub struct Alacritty(Term<VoidListener>, Processor);

struct Sides(u16, u16);

impl Dimensions for Sides {
    fn total_lines(&self) -> usize {
        self.1.into()
    }

    fn screen_lines(&self) -> usize {
        self.1.into()
    }

    fn columns(&self) -> usize {
        self.0.into()
    }
}

impl Emulator for Alacritty {
    const NAME: &str = "`alacritty_terminal` 0.26";

    fn new(columns: u16, rows: u16, history: usize) -> Self {
        let config = Config { scrolling_history: history, ..Config::default() };
        Self(Term::new(config, &Sides(columns, rows), VoidListener), Processor::new())
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.1.advance(&mut self.0, bytes);
    }

    fn row(&self, row: u16) -> Vec<Seen> {
        let colour = |colour| match colour {
            Color::Named(named) => {
                u8::try_from(named as usize).ok().filter(|index| *index < 16).map(Colour::Index)
            }
            Color::Indexed(index) => Some(Colour::Index(index)),
            Color::Spec(rgb) => Some(Colour::Rgb(rgb.r, rgb.g, rgb.b)),
        };
        let seen = |column| {
            let cell = &self.0.grid()[Line(row.into())][Column(column)];
            let is = |flags| cell.flags.intersects(flags);
            let width = if is(Flags::WIDE_CHAR_SPACER) { 0 } else { 1 + u8::from(is(Flags::WIDE_CHAR)) };
            Seen {
                letter: if is(Flags::HIDDEN) { ' ' } else { cell.c },
                width,
                foreground: colour(cell.fg),
                background: colour(cell.bg),
                on: [
                    is(Flags::BOLD),
                    is(Flags::DIM),
                    is(Flags::ITALIC),
                    is(Flags::ALL_UNDERLINES),
                    false,
                    is(Flags::INVERSE),
                    is(Flags::STRIKEOUT),
                ],
            }
        };
        (0..self.0.columns()).map(seen).collect()
    }
}
