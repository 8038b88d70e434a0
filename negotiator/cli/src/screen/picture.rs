//! A screen at one moment, and the bytes that turn one moment into a later one.
//!
//! A viewer's screen model is only ever fed such bytes. So they depend on nothing but the picture it shows: each place
//! is named, each colour is set from nothing, and no mode of the shared program (scroll region, origin, saved cursor)
//! is taken along.

use std::{
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use alacritty_terminal::term::cell::{Cell, Hyperlink};
use bytes::Bytes;

use super::{
    glyph::{Glyph, Style, row, write_link},
    model::{Model, Modes},
    scroll::Scroll,
};
use crate::wire::Size;

/// What a screen showed at one moment.
#[derive(Debug)]
pub struct Picture {
    size: Size,
    rows: Box<[Box<[Cell]>]>,
    cursor: (u16, u16),
    hides_cursor: bool,
    modes: Modes,
    title: Option<String>,
    /// How often the bell rang so far.
    bells: u64,
    /// How often something was copied so far, and what was last.
    copied: (u64, Option<Arc<str>>),
    /// A hash of each row: rows that were scrolled are found by it.
    hashes: Vec<u64>,
    blank: u64,
}

impl Picture {
    pub(super) fn new(model: &Model) -> Self {
        let size = model.size();
        let rows: Box<[Box<[Cell]>]> = (0..size.rows).map(|index| model.row(index).into()).collect();
        let hashes = rows.iter().map(|cells| hash(&row(cells))).collect();
        let (line, column) = model.cursor();
        Self {
            size,
            rows,
            // Where it is seen: behind the last column it stands in it.
            cursor: (line, column.min(size.columns.saturating_sub(1))),
            hides_cursor: model.hides_cursor(),
            modes: model.modes(),
            title: model.bells.title.clone(),
            bells: model.bells.rung,
            copied: model.bells.copied.clone(),
            hashes,
            blank: hash(&vec![Glyph::BLANK; usize::from(size.columns)]),
        }
    }

    /// Returns the screen's size.
    pub fn size(&self) -> Size {
        self.size
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
            let new = row(&self.rows[usize::from(index)]);
            match source {
                Some((earlier, source)) => pen.row(index, &new, &row(&earlier.rows[usize::from(source)])),
                None => pen.row(index, &new, &vec![Glyph::BLANK; new.len()]),
            }
        }
        let drew = !pen.out.is_empty();
        // The next picture begins without colours and links.
        pen.set(Style::default());
        pen.link(None);
        pen.out.push_str(&self.modes.since(earlier.map(|earlier| earlier.modes)));
        if drew || earlier.is_none_or(|earlier| earlier.cursor != self.cursor) {
            // Writing to a String cannot fail.
            let _ = write!(pen.out, "\x1b[{};{}H", self.cursor.0 + 1, self.cursor.1 + 1);
        }
        let hidden = self.hides_cursor;
        if earlier.map_or(hidden, |earlier| earlier.hides_cursor != hidden) {
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
        // Who comes later has not seen it happen.
        if let Some(text) = &self.copied.1
            && earlier.is_some_and(|earlier| earlier.copied.0 != self.copied.0)
        {
            let _ = write!(pen.out, "\x1b]52;c;{text}\x07");
        }
        pen.out.into()
    }
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
    link: Option<Hyperlink>,
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
            let glyph = &new[column];
            let end = column + usize::from(glyph.width.max(1));
            if new[column..end] == shown[column..end] {
                column = end;
                continue;
            }
            if glyph.letter.is_some() {
                self.go_to(index, column as u16, new);
                self.set(glyph.style);
                self.link(glyph.link.as_ref());
                glyph.draw(&mut self.out);
                self.at = (end < new.len()).then_some((index, end as u16));
                column = end;
                continue;
            }
            // To erase is shorter than to draw: all blanks of this style at once, drawn over or not.
            let blanks = new[column..].iter().take_while(|other| *other == glyph).count();
            let count =
                (0..blanks).rev().find(|nth| shown[column + nth] != *glyph).map_or(1, |last| last + 1);
            self.go_to(index, column as u16, new);
            if self.draws_blanks(&new[column..column + count]) && column + count < new.len() {
                self.blanks(count);
                column += count;
                self.at = Some((index, column as u16));
                continue;
            }
            self.set(glyph.style);
            if column + count == new.len() {
                self.out.push_str("\x1b[K");
            } else {
                let _ = write!(self.out, "\x1b[{count}X");
            }
            column += count;
        }
    }

    /// Goes to a column of a row that shall show `new`.
    fn go_to(&mut self, row: u16, column: u16, new: &[Glyph<'_>]) {
        match self.at {
            Some(at) if at == (row, column) => {}
            Some((at, before)) if at == row && before < column => {
                let between = &new[usize::from(before)..usize::from(column)];
                if self.draws_blanks(between) {
                    self.blanks(between.len());
                } else {
                    let _ = write!(self.out, "\x1b[{}C", column - before);
                }
            }
            _ => {
                let _ = write!(self.out, "\x1b[{};{}H", row + 1, column + 1);
            }
        }
        self.at = Some((row, column));
    }

    /// Says whether these are a few blanks that the present colours draw.
    fn draws_blanks(&self, glyphs: &[Glyph<'_>]) -> bool {
        let erased = self.style.erased();
        glyphs.len() < FEW
            && self.link.is_none()
            && !self.style.shows_on_blanks()
            && glyphs.iter().all(|glyph| glyph.letter.is_none() && glyph.width == 1 && glyph.style == erased)
    }

    fn blanks(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
    }

    fn link(&mut self, link: Option<&Hyperlink>) {
        if self.link.as_ref() != link {
            write_link(&mut self.out, link);
            self.link = link.cloned();
        }
    }

    fn set(&mut self, style: Style) {
        if style != self.style {
            style.write(&mut self.out, self.style);
            self.style = style;
        }
    }
}

/// Blanks that are drawn sooner than erased or passed over: the sequence for it is as long.
const FEW: usize = 5;
