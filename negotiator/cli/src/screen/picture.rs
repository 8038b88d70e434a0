//! A screen at one moment, and the bytes that turn one moment into a later one.
//!
//! A viewer's screen model is only ever fed such bytes. So they depend on nothing but the picture it shows: each place
//! is named, each colour is set from nothing, and no mode of the shared program (scroll region, origin, saved cursor)
//! is taken along.

use std::{
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;

use super::{
    glyph::{Glyph, Style, row},
    scroll::Scroll,
};
use crate::wire::Size;

/// What a screen showed at one moment.
#[derive(Debug)]
pub struct Picture {
    pub(super) screen: vt100::Screen,
    pub(super) title: Option<String>,
    /// How often the bell rang so far.
    pub(super) bells: u64,
    /// A hash of each row: rows that were scrolled are found by it.
    hashes: Vec<u64>,
    blank: u64,
}

impl Picture {
    pub(super) fn new(screen: vt100::Screen, title: Option<String>, bells: u64) -> Self {
        let (rows, columns) = screen.size();
        let hashes = (0..rows.get()).map(|index| hash(&row(&screen, index))).collect();
        let blank = hash(&vec![Glyph::BLANK; usize::from(columns.get())]);
        Self { screen, title, bells, hashes, blank }
    }

    /// Returns the screen's size.
    pub fn size(&self) -> Size {
        let (rows, columns) = self.screen.size();
        Size { columns: columns.get(), rows: rows.get() }
    }

    /// Returns bytes that draw this picture on an empty screen of its size.
    pub fn whole(&self) -> Bytes {
        self.drawn(None)
    }

    /// Returns bytes that draw this picture over `earlier`, which has the same size. Empty when nothing changed.
    pub fn since(&self, earlier: &Self) -> Bytes {
        debug_assert_eq!(self.size(), earlier.size());
        self.drawn(Some(earlier))
    }

    fn drawn(&self, earlier: Option<&Self>) -> Bytes {
        let mut pen = Pen::default();
        let scroll = earlier.and_then(|earlier| Scroll::find(&earlier.hashes, &self.hashes, self.blank));
        if let Some(scroll) = scroll {
            pen.scroll(scroll);
        }
        for (index, hash) in (0_u16..).zip(&self.hashes) {
            // Where the row that is shown now comes from; nowhere: it is blank.
            let source = earlier.and_then(|earlier| match scroll {
                Some(scroll) => scroll.source(index).map(|source| (earlier, source)),
                None => Some((earlier, index)),
            });
            let shown = source.map_or(self.blank, |(earlier, source)| earlier.hashes[usize::from(source)]);
            if shown == *hash {
                continue;
            }
            let new = row(&self.screen, index);
            match source {
                Some((earlier, source)) => pen.row(index, &new, &row(&earlier.screen, source)),
                None => pen.row(index, &new, &vec![Glyph::BLANK; new.len()]),
            }
        }
        let drew = !pen.out.is_empty();
        // The next picture begins without colours.
        pen.set(Style::default());
        let cursor = cursor(&self.screen);
        match earlier {
            Some(earlier) => pen.out.push_str(&self.screen.input_mode_diff(&earlier.screen)),
            None => pen.out.push_str(&self.screen.input_mode_formatted()),
        }
        if drew || earlier.is_none_or(|earlier| self::cursor(&earlier.screen) != cursor) {
            // Writing to a String cannot fail.
            let _ = write!(pen.out, "\x1b[{};{}H", cursor.0 + 1, cursor.1 + 1);
        }
        let hidden = self.screen.hide_cursor();
        if earlier.map_or(hidden, |earlier| earlier.screen.hide_cursor() != hidden) {
            pen.out.push_str(if hidden { "\x1b[?25l" } else { "\x1b[?25h" });
        }
        if let Some(title) = &self.title
            && earlier.is_none_or(|earlier| earlier.title.as_ref() != Some(title))
        {
            let _ = write!(pen.out, "\x1b]2;{title}\x07");
        }
        if earlier.is_some_and(|earlier| earlier.bells != self.bells) {
            pen.out.push('\x07');
        }
        pen.out.into()
    }
}

/// Where the cursor is seen: behind the last column it stands in it.
fn cursor(screen: &vt100::Screen) -> (u16, u16) {
    let (row, column) = screen.cursor_position();
    (row, column.min(screen.size().1.get() - 1))
}

fn hash(row: &[Glyph<'_>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}

/// Writes what a terminal needs to show something else, and remembers where its cursor and colours are.
#[derive(Debug, Default)]
struct Pen {
    out: String,
    /// Row and column of the terminal's cursor, where that is sure.
    at: Option<(u16, u16)>,
    style: Style,
}

impl Pen {
    fn scroll(&mut self, Scroll { top, bottom, by }: Scroll) {
        let (count, way) = if by > 0 { (by, 'S') } else { (-by, 'T') };
        let _ = write!(self.out, "\x1b[{};{}r\x1b[{count}{way}\x1b[r", top + 1, bottom + 1);
    }

    /// Draws the glyphs of a row that differ from the ones that are shown.
    ///
    /// Half of a wide glyph goes when the other is drawn over. Both halves differ then, and what is disturbed to the
    /// right is drawn after.
    fn row(&mut self, index: u16, new: &[Glyph<'_>], shown: &[Glyph<'_>]) {
        let mut column = 0;
        while column < new.len() {
            let glyph = new[column];
            let end = column + usize::from(glyph.width.max(1));
            if new[column..end] == shown[column..end] {
                column = end;
                continue;
            }
            if !glyph.text.is_empty() {
                self.go_to(index, column as u16);
                self.set(glyph.style);
                self.out.push_str(glyph.text);
                self.at = (end < new.len()).then_some((index, end as u16));
                column = end;
                continue;
            }
            // To erase is shorter than to draw: all blanks of this style at once, drawn over or not.
            let blanks = new[column..].iter().take_while(|other| **other == glyph).count();
            let count = (0..blanks).rev().find(|nth| shown[column + nth] != glyph).map_or(1, |last| last + 1);
            self.go_to(index, column as u16);
            self.set(glyph.style);
            if column + count == new.len() {
                self.out.push_str("\x1b[K");
            } else {
                let _ = write!(self.out, "\x1b[{count}X");
            }
            column += count;
        }
    }

    fn go_to(&mut self, row: u16, column: u16) {
        match self.at {
            Some(at) if at == (row, column) => {}
            Some((at, before)) if at == row && before < column => {
                let _ = write!(self.out, "\x1b[{}C", column - before);
            }
            _ => {
                let _ = write!(self.out, "\x1b[{};{}H", row + 1, column + 1);
            }
        }
        self.at = Some((row, column));
    }

    fn set(&mut self, style: Style) {
        if style != self.style {
            style.write(&mut self.out);
            self.style = style;
        }
    }
}
