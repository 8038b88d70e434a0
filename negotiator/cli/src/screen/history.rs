//! The lines that left the top of a screen, as far as they are kept. No IO.

use std::collections::VecDeque;

use alacritty_terminal::{
    event::EventListener,
    grid::Dimensions,
    index::Line,
    term::{Term, cell::Cell},
};
use bytes::{BufMut, BytesMut};

use super::glyph;
use crate::wire::{PAST, Past};

/// The newest lines that left the top of a screen, with their colours. Those of a second screen, which editors use, are
/// none of them.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: VecDeque<Box<str>>,
    /// The number of the oldest line that is kept.
    oldest: u64,
    weight: usize,
    most: usize,
}

impl History {
    /// Keeps `most` bytes of lines, and what they cost.
    pub(super) fn of(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub(super) fn keeps(&self) -> bool {
        self.most > 0
    }

    /// Takes the lines that left the top since it was last asked. Those of a second screen leave none.
    pub(super) fn drain<T: EventListener>(&mut self, term: &mut Term<T>) {
        let count = term.grid().history_size();
        if count == 0 {
            return;
        }
        for line in (1..=i32::try_from(count).unwrap_or(0)).rev() {
            self.push(&term.grid()[Line(-line)][..]);
        }
        term.grid_mut().clear_history();
    }

    fn push(&mut self, cells: &[Cell]) {
        if self.most == 0 {
            return;
        }
        let mut line = String::new();
        // Each row begins without colours.
        glyph::write_row(&mut line, cells, u16::MAX);
        if line.len() > LONGEST {
            line.clear();
            glyph::row(cells).iter().filter(|glyph| glyph.width > 0).for_each(|glyph| glyph.draw(&mut line));
        }
        let line = line.trim_end().to_owned().into_boxed_str();
        self.weight += weight(&line);
        self.lines.push_back(line);
        while self.weight > self.most
            && let Some(line) = self.lines.pop_front()
        {
            self.weight -= weight(&line);
            self.oldest += 1;
        }
    }

    pub(super) fn clear(&mut self) {
        self.oldest += self.lines.len() as u64;
        self.lines.clear();
        self.weight = 0;
    }

    /// Returns the last `most` lines before the one of this number, as far as a message holds them; of one that is not
    /// there, the newest.
    pub(super) fn before(&self, number: u64, most: usize) -> Past {
        let end = self.oldest + self.lines.len() as u64;
        let behind = number.clamp(self.oldest, end);
        let older = usize::try_from(behind - self.oldest).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let wanted = self.lines.range(..older).rev().take(most).take_while(|line| {
            bytes += line.len() + 1;
            bytes <= PAST
        });
        let count = wanted.count();
        let mut text = BytesMut::new();
        for line in self.lines.range(older - count..older) {
            text.put_slice(line.as_bytes());
            text.put_u8(b'\n');
        }
        Past { first: behind - count as u64, oldest: self.oldest, end, text: text.freeze() }
    }
}

/// What a line costs: its bytes, and as much as its place in memory.
fn weight(line: &str) -> usize {
    line.len() + 32
}

/// Bytes of a line that is kept with its colours. Without them the widest row has 25 KiB: a message holds it.
const LONGEST: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::super::Screen;
    use crate::wire::{PAST, Past, Size};

    fn screen(most: usize) -> Screen {
        Screen::new(Size { columns: 20, rows: 4 }).keeping(most)
    }

    fn lines(past: &Past) -> Vec<String> {
        past.lines().map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
    }

    #[test]
    fn lines_that_left_the_top_are_kept_with_their_colours() {
        let mut screen = screen(10_000);
        screen.feed(b"\x1b[31mred\x1b[m one\r\ntwo\r\n\r\nfour\r\nfive\r\nsix\r\n");
        let past = screen.past(u64::MAX, 10);
        assert_eq!((past.first, past.oldest, past.end), (0, 0, 3));
        assert_eq!(lines(&past), ["\x1b[31mred\x1b[m one", "two", ""]);
        assert_eq!(lines(&screen.past(2, 1)), ["two"]);
        assert_eq!(lines(&screen.past(0, 10)), [""; 0]);
    }

    #[test]
    fn of_too_many_the_oldest_go_and_a_message_holds_what_fits() {
        let mut screen = screen(200_000);
        for nth in 0..10_000 {
            screen.feed(format!("line {nth}\r\n").as_bytes());
        }
        let past = screen.past(u64::MAX, usize::MAX);
        assert_eq!(past.end, 9_997);
        assert!(past.oldest > 4_000 && past.first > past.oldest && past.text.len() <= PAST);
        let before = screen.past(past.first, 5);
        assert_eq!(before.behind(), past.first);
        assert_eq!(lines(&screen.past(past.oldest, 5)).len(), 0);
    }

    #[test]
    fn the_widest_row_fits_into_a_message() {
        let mut screen = Screen::new(Size::LARGEST).keeping(1 << 20);
        let mut row = String::new();
        for nth in 0..1_000 {
            row += &format!(
                "\x1b[38;2;{};{};{}me\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}",
                nth % 256,
                nth % 7,
                nth % 11
            );
        }
        screen.feed(row.as_bytes());
        screen.feed("\r\n".repeat(500).as_bytes());
        let past = screen.past(1, 1);
        assert_eq!(lines(&past).len(), 1);
        assert!(past.text.len() > 5_000, "{}", past.text.len());
    }

    #[test]
    fn a_second_screen_leaves_no_lines_and_clear_forgets_them() {
        let mut screen = screen(10_000);
        screen.feed(b"\x1b[?1049h");
        screen.feed("editor\r\n".repeat(20).as_bytes());
        screen.feed(b"\x1b[?1049l");
        assert_eq!(screen.past(u64::MAX, 10).end, 0);
        screen.feed("secret\r\n".repeat(20).as_bytes());
        screen.feed(b"\x1b[H\x1b[2J\x1b[");
        screen.feed(b"3Jafter\r\n\r\n\r\n\r\n\r\n");
        let past = screen.past(u64::MAX, 10);
        assert_eq!((past.oldest, past.end), (17, 19));
        assert_eq!(lines(&past), ["after", ""]);
    }

    #[test]
    fn whoever_keeps_nothing_has_nothing() {
        let mut screen = screen(0);
        screen.feed("line\r\n".repeat(20).as_bytes());
        assert_eq!(screen.past(u64::MAX, 10).end, 0);
    }
}
