//! A model of a terminal's screen: what pictures for viewers are made of, and what a viewer's terminal is painted from.

mod bells;
#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod fidelity_tests;
mod glyph;
mod hands;
mod history;
mod model;
mod paint;
mod picture;
mod scroll;
#[cfg(test)]
mod seen;
#[cfg(test)]
mod vector_tests;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use alacritty_terminal::term::cell::Flags;
use bytes::Bytes;

use self::{bells::Bells, glyph::Glyph, history::History, model::Model};
use crate::wire::{Past, Size};

pub use paint::{Echo, Frame, Painter};
pub use picture::Picture;

/// A screen that terminal output was printed on. No IO.
///
/// ```
/// use beach_link::{screen::Screen, wire::Size};
///
/// let size = Size::new(80, 24).unwrap();
/// let mut screen = Screen::new(size);
/// screen.feed(b"hello\r\n\x1b[1mwor");
/// let first = screen.picture();
/// let mut viewer = Screen::restore(size, &first.whole());
/// screen.feed(b"ld");
/// viewer.feed(&screen.picture().since(&first));
/// assert_eq!(viewer.text(), "hello\nworld");
/// ```
pub struct Screen {
    model: Model,
    /// The beginning of a character whose rest was not fed yet.
    begun: Vec<u8>,
}

impl Screen {
    /// Makes an empty screen.
    pub fn new(size: Size) -> Self {
        Self { model: Model::new(size, Bells::default()), begun: Vec::new() }
    }

    /// Keeps the lines that leave its top, `most` bytes of them. What it shows is gone.
    #[must_use]
    pub fn keeping(mut self, most: usize) -> Self {
        let mut bells = std::mem::take(&mut self.model.bells);
        bells.history = History::of(most);
        self.model = Model::new(self.size(), bells);
        self
    }

    /// Makes the screen that [`Picture::whole`] drew.
    pub fn restore(size: Size, bytes: &[u8]) -> Self {
        let mut screen = Self::new(size);
        screen.feed(bytes);
        screen
    }

    /// Prints bytes on it. They may end inside a sequence or a character.
    pub fn feed(&mut self, bytes: &[u8]) {
        // The parser (vte 0.15) swallows what follows a character that comes to it in two pieces, if that is followed
        // by bytes that are no UTF-8.
        let joined;
        let bytes = if self.begun.is_empty() {
            bytes
        } else {
            joined = [&std::mem::take(&mut self.begun), bytes].concat();
            &joined
        };
        let (bytes, begun) = bytes.split_at(bytes.len() - unfinished(bytes));
        self.begun.extend_from_slice(begun);
        // The model is third-party code fed with whatever a program prints. Should it ever panic, a
        // blank screen that the program redraws is better than a dead session.
        if catch_unwind(AssertUnwindSafe(|| self.model.process(bytes))).is_err() {
            self.reset(self.size());
        }
    }

    /// Gives it another size. Lines that were wrapped are wrapped anew.
    pub fn resize(&mut self, size: Size) {
        if catch_unwind(AssertUnwindSafe(|| self.model.resize(size))).is_err() {
            self.reset(size);
        }
    }

    fn reset(&mut self, size: Size) {
        let bells = std::mem::take(&mut self.model.bells);
        self.model = Model::new(size, bells);
        tracing::error!("the screen model failed and was reset");
    }

    /// Returns its size.
    pub fn size(&self) -> Size {
        self.model.size()
    }

    /// Returns row and column of the cursor, from 0. The column may be one beyond the last.
    pub fn cursor(&self) -> (u16, u16) {
        self.model.cursor()
    }

    /// Returns the character in one column, a space where nothing was drawn; `None` for a wide or combined one and beyond
    /// the edge.
    pub fn letter(&self, row: u16, column: usize) -> Option<char> {
        let cell = self.model.row(row).get(column)?;
        let wide = cell.flags.intersects(Flags::WIDE_CHAR.union(Flags::WIDE_CHAR_SPACER));
        let combined = cell.zerowidth().is_some_and(|marks| !marks.is_empty());
        (!wide && !combined).then_some(cell.c)
    }

    /// Returns what it shows now.
    pub fn picture(&self) -> Picture {
        Picture::new(&self.model)
    }

    /// Returns the last `most` lines that left its top before the one of this number, as far as a message holds them.
    pub fn past(&self, before: u64, most: usize) -> Past {
        self.model.bells.history.before(before, most)
    }

    /// Returns the text on it, without colours and trailing blanks. A line that was wrapped is one.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in 0..self.size().rows {
            let cells = self.model.row(row);
            let wrapped = cells.last().is_some_and(|last| last.flags.contains(Flags::WRAPLINE));
            let mut line = plain(&glyph::row(cells));
            if !wrapped {
                line.truncate(line.trim_end().len());
                line.push('\n');
            }
            text += &line;
        }
        text.trim_end().to_owned()
    }

    /// Returns its rows with their colours, each drawable from its first column and not wider than `columns`; none
    /// after the last that shows something.
    pub fn lines(&self, columns: u16) -> Vec<String> {
        let width = columns.min(self.size().columns);
        let rows: Vec<_> = (0..self.size().rows).map(|row| self.model.row(row)).collect();
        let shows = |cells: &&[_]| {
            let mut glyphs = glyph::row(cells);
            glyphs.truncate(width.into());
            !plain(&glyphs).trim_end().is_empty()
        };
        let count = rows.iter().rposition(shows).map_or(0, |last| last + 1);
        let line = |cells: &&[_]| {
            let mut line = String::new();
            glyph::write_row(&mut line, cells, width);
            if !line.ends_with("\x1b[m") {
                line.push_str("\x1b[m");
            }
            line
        };
        rows[..count].iter().map(line).collect()
    }

    /// Returns what was copied by the program (OSC 52) since it was last asked, in base64.
    pub fn take_copied(&mut self) -> Option<String> {
        let bells = &mut self.model.bells;
        if !std::mem::take(&mut bells.copy_waits) {
            return None;
        }
        bells.copied.1.as_deref().map(str::to_owned)
    }

    /// Returns what a terminal answers to the questions that were printed on it: who it is, whether it is well,
    /// where the cursor is. Programs wait for these, so exactly one of several terminals must answer.
    pub fn take_answers(&mut self) -> Bytes {
        self.model.bells.take_answers().into()
    }

    /// Says whether the bell rang since it was last asked.
    pub fn take_bell(&mut self) -> bool {
        let bells = &mut self.model.bells;
        std::mem::replace(&mut bells.told, bells.rung) != bells.rung
    }

    /// Returns the window title if it was set since it was last asked. Free of characters that are not shown.
    pub fn take_title(&mut self) -> Option<String> {
        let bells = &mut self.model.bells;
        if std::mem::take(&mut bells.titled) { bells.title.clone() } else { None }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// Returns how many bytes at the end begin a character without finishing it.
fn unfinished(bytes: &[u8]) -> usize {
    let Some(start) = bytes.iter().rev().take(3).position(|byte| !(0x80..0xC0).contains(byte)) else {
        return 0;
    };
    let end = &bytes[bytes.len() - 1 - start..];
    match str::from_utf8(end) {
        Err(error) if error.error_len().is_none() => end.len(),
        _ => 0,
    }
}

fn plain(glyphs: &[Glyph<'_>]) -> String {
    let mut line = String::new();
    glyphs.iter().filter(|glyph| glyph.width > 0).for_each(|glyph| glyph.draw(&mut line));
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(columns: u16, rows: u16) -> Size {
        Size::new(columns, rows).unwrap()
    }

    #[test]
    fn the_title_and_the_bell_are_passed_on_once() {
        let mut screen = Screen::new(size(10, 4));
        screen.feed(b"\x1b]2;vim\x07\x07");
        assert_eq!((screen.take_title().as_deref(), screen.take_title()), (Some("vim"), None));
        assert_eq!((screen.take_bell(), screen.take_bell()), (true, false));
    }

    #[test]
    fn questions_to_the_terminal_are_answered_once() {
        let mut screen = Screen::new(size(10, 4));
        screen.feed(b"ab\x1b[c\x1b[>c\x1b[5n\x1b[6n\x1b[7n");
        assert_eq!(screen.take_answers(), "\x1b[?62;22c\x1b[>1;10;0c\x1b[0n\x1b[1;3R");
        assert_eq!(screen.take_answers(), "");
    }

    #[test]
    fn a_character_in_two_pieces_costs_none_of_its_neighbours() {
        let mut screen = Screen::new(size(10, 4));
        for piece in
            [&b"a\xC2"[..], b"\x80!\x80\r\n\xE6", b"\xBC", b"\xA2\xF0\x9F", b"\x1b[1mb\xFF\xC3", b"\xA9"]
        {
            screen.feed(piece);
        }
        assert_eq!(screen.text(), "a!\n漢b\u{e9}");
    }

    /// Everything a person could see of a screen: rows, cursor, what the terminal does with keys and mouse, the title.
    pub(super) fn seen(screen: &Screen) -> (Vec<String>, (u16, u16), bool, String, Option<String>) {
        let model = &screen.model;
        let rows = (0..model.size().rows).map(|index| format!("{:?}", glyph::row(model.row(index))));
        let (row, column) = model.cursor();
        let cursor = (row, column.min(model.size().columns - 1));
        let title = model.bells.title.clone();
        (rows.collect(), cursor, model.hides_cursor(), model.modes().formatted(), title)
    }

    #[test]
    fn a_line_at_the_bottom_costs_its_own_bytes_and_not_the_screens() {
        let mut screen = Screen::new(size(80, 24));
        for n in 0..24 {
            screen
                .feed(format!("\r\n{n} some sixty characters of text that fill most of the row").as_bytes());
        }
        let before = screen.picture();
        screen.feed(b"\r\n$ ");
        let change = screen.picture().since(&before);
        assert!(change.len() < 40, "{} bytes: {change:?}", change.len());
        screen.feed(b"x");
        let typed = screen.picture();
        screen.feed(b"y");
        let key = screen.picture().since(&typed);
        assert!(key.len() < 20, "{key:?}");
    }

    #[test]
    fn the_bell_rings_once_and_not_for_who_comes_later() {
        let mut screen = Screen::new(size(10, 4));
        let before = screen.picture();
        let mut viewer = Screen::restore(screen.size(), &before.whole());
        screen.feed(b"\x07\x07\x1b]2;vim\x07");
        let after = screen.picture();
        viewer.feed(&after.since(&before));
        assert_eq!(
            (viewer.take_bell(), viewer.take_bell(), viewer.take_title().as_deref()),
            (true, false, Some("vim"))
        );
        let mut late = Screen::restore(screen.size(), &after.whole());
        assert_eq!((late.take_bell(), late.take_title().as_deref()), (false, Some("vim")));
    }

    #[test]
    fn the_last_screen_can_be_left_behind_row_by_row() {
        let mut screen = Screen::new(size(10, 4));
        screen.feed(b"one\r\n\r\n\x1b[31mthree");
        let lines = screen.lines(10);
        assert_eq!(lines, ["one\x1b[m", "\x1b[m", "\x1b[31mthree\x1b[m"]);
    }

    /// Pieces that a terminal program is made of, and some noise.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => "[a-z ]{1,12}".prop_map(String::into_bytes),
            1 => "[äé漢字🙂]{1,4}".prop_map(String::into_bytes),
            2 => Just(b"\r\n".to_vec()),
            2 => (1u16..12, 1u16..30).prop_map(|(r, c)| format!("\x1b[{r};{c}H").into_bytes()),
            2 => (0u16..110).prop_map(|n| format!("\x1b[{n}m").into_bytes()),
            1 => (0u16..3).prop_map(|n| format!("\x1b[{n}J").into_bytes()),
            1 => (1u16..9, 1u16..9).prop_map(|(a, b)| format!("\x1b[{a};{b}r").into_bytes()),
            2 => proptest::sample::select(vec![
                "\x1b[?1049h", "\x1b[?1049l", "\x1bM", "\x1b[3L", "\x1b[2P", "\x1b[3@", "\x1b[4X", "\x1b[K", "\x1b[2S",
                "\x1b[T", "\x1b[?6h", "\x1b[?6l", "\x1b7", "\x1b8", "\x1bc", "\x1b[?25l", "\x1b[?25h", "\x1b[?1h",
                "\x1b[?1000h", "\x1b[?1003l", "\x1b[?1006h", "\x1b[?2004h", "\x1b[5 q", "\x07", "\x1b[38;2;1;2;3m",
                "\x1b[48;5;200m", "\x1b(0", "\x1b(B", "\x0e", "\x0f", "\x1b)0",
                "\x1b[4:3m", "\x1b[58:5:3m", "\x1b[58:2::1:2:3m", "\x1b]8;;http://a.example/\x07", "\x1b]8;id=1;http://b.example/\x07",
                "\x1b]8;;\x07", "\x1b[?1004h", "\x1b[?1002h", "\x1b[?1002l", "\x1b[4h", "\x1b[9P", "\x1b#8", "\x1b[22t", "\x1b[23t",
                "\u{2764}\u{fe0f}", "\u{301}", "\u{fe0f}", "\u{1f469}\u{200d}\u{1f4bb}", "\x08",
            ])
                .prop_map(|text| text.as_bytes().to_vec()),
            1 => Just(b"\x1b]2;title\x07".to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 1..6),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn arbitrary_output_and_sizes_never_panic(bytes: Vec<u8>, more in output(), sizes in proptest::collection::vec((1u16..40, 1u16..12), 1..5)) {
            let mut screen = Screen::new(size(10, 5));
            for (columns, rows) in sizes {
                screen.feed(&bytes);
                screen.resize(size(columns, rows));
                screen.feed(&more);
                prop_assert_eq!(screen.size(), size(columns, rows));
                let _ = Screen::restore(screen.size(), &screen.picture().whole());
            }
        }

        #[test]
        fn a_viewer_that_is_sent_only_some_pictures_shows_each_of_these(
            steps in proptest::collection::vec((output(), any::<bool>()), 1..8),
            columns in 2u16..24,
            rows in 1u16..9,
        ) {
            let size = size(columns, rows);
            let mut screen = Screen::new(size);
            let mut shown = screen.picture();
            let mut viewer = Screen::restore(size, &shown.whole());
            for (bytes, sent) in steps {
                screen.feed(&bytes);
                if sent {
                    let picture = screen.picture();
                    viewer.feed(&picture.since(&shown));
                    prop_assert_eq!(seen(&viewer), seen(&screen));
                    prop_assert_eq!(seen(&Screen::restore(size, &picture.whole())), seen(&screen));
                    shown = picture;
                }
            }
        }

        #[test]
        fn output_may_be_cut_anywhere(bytes in output(), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(bytes.len() + 1);
            let mut whole = Screen::new(size(20, 8));
            whole.feed(&bytes);
            let mut parts = Screen::new(size(20, 8));
            parts.feed(&bytes[..cut]);
            parts.feed(&bytes[cut..]);
            prop_assert_eq!(parts.text(), whole.text());
        }
    }
}
