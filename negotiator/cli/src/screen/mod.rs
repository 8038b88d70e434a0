//! A model of a terminal's screen: what a late viewer is shown, and what a viewer's terminal is painted from.

mod paint;
mod scanner;

use std::{
    fmt,
    num::NonZeroU16,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use transport_core::Text;

use crate::wire::Size;

pub use paint::{Frame, Painter};
use scanner::Scanner;

/// A screen that terminal output was printed on. No IO.
///
/// ```
/// use beach_link::{screen::Screen, wire::Size};
///
/// let size = Size::new(80, 24).unwrap();
/// let mut screen = Screen::new(size);
/// screen.feed(b"hello\r\n\x1b[1mwor");
/// let mut late = Screen::restore(size, &screen.snapshot());
/// late.feed(b"ld");
/// assert_eq!(late.text(), "hello\nworld");
/// ```
pub struct Screen {
    parser: vt100::Parser<Bells>,
    scanner: Scanner,
}

/// What the model does not draw but passes on.
#[derive(Debug, Default)]
struct Bells {
    rung: bool,
    title: Option<String>,
    answers: Vec<u8>,
}

impl Screen {
    /// Makes an empty screen.
    pub fn new(size: Size) -> Self {
        Self { parser: parser(size), scanner: Scanner::default() }
    }

    /// Makes the screen that `snapshot` describes.
    pub fn restore(size: Size, snapshot: &[u8]) -> Self {
        let mut screen = Self::new(size);
        screen.feed(snapshot);
        screen
    }

    /// Prints bytes on it. They may end inside a sequence or a character.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.scanner.feed(bytes);
        // The model is third-party code fed with whatever a program prints. Should it ever panic, a
        // blank screen that the program redraws is better than a dead session.
        let size = self.size();
        if catch_unwind(AssertUnwindSafe(|| self.parser.process(bytes))).is_err() {
            self.parser = parser(size);
            tracing::error!("the screen model failed and was reset");
        }
    }

    /// Gives it another size.
    pub fn resize(&mut self, size: Size) {
        let (rows, columns) = sides(size);
        if catch_unwind(AssertUnwindSafe(|| self.parser.screen_mut().set_size(rows, columns))).is_err() {
            self.parser = parser(size);
            tracing::error!("the screen model failed and was reset");
        }
        self.scanner.reset_region();
    }

    /// Returns its size.
    pub fn size(&self) -> Size {
        let (rows, columns) = self.parser.screen().size();
        Size { columns: columns.get(), rows: rows.get() }
    }

    /// Returns bytes that draw it on an empty screen of its size, such that whatever is fed to both
    /// afterwards gives the same picture.
    pub fn snapshot(&self) -> Bytes {
        let screen = self.parser.screen();
        let mut bytes = Vec::new();
        if screen.alternate_screen() {
            bytes.extend_from_slice(b"\x1b[?1049h");
        }
        bytes.extend_from_slice(screen.state_formatted().as_bytes());
        if let Some((top, bottom)) = self.scanner.region() {
            let (row, column) = screen.cursor_position();
            let (row, column) = (row + 1, column + 1);
            bytes.extend_from_slice(format!("\x1b[{top};{bottom}r\x1b[{row};{column}H").as_bytes());
        }
        bytes.extend_from_slice(self.scanner.unfinished());
        bytes.into()
    }

    /// Returns the text on it, without colours and trailing blanks.
    pub fn text(&self) -> String {
        self.parser.screen().contents().trim_end().to_owned()
    }

    /// Returns what a terminal answers to the questions that were printed on it: who it is, whether it is well,
    /// where the cursor is. Programs wait for these, so exactly one of several terminals must answer.
    pub fn take_answers(&mut self) -> Bytes {
        std::mem::take(&mut self.parser.callbacks_mut().answers).into()
    }

    /// Says whether the bell rang since it was last asked.
    pub fn take_bell(&mut self) -> bool {
        std::mem::take(&mut self.parser.callbacks_mut().rung)
    }

    /// Returns the window title if it was set since it was last asked. Free of characters that are not shown.
    pub fn take_title(&mut self) -> Option<String> {
        self.parser.callbacks_mut().title.take()
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl vt100::Callbacks for Bells {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.rung = true;
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        let title = String::from_utf8_lossy(&title[..title.len().min(MAX_TITLE)]);
        self.title = Some(title.chars().filter(|&c| Text::shows(c)).collect());
    }

    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        mark: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        action: char,
    ) {
        let first = parameters.first().and_then(|values| values.first()).copied().unwrap_or(0);
        let answer = match (mark, action, first) {
            // A VT220 with colours; what it draws is what the model draws.
            (None, 'c', 0) => "\x1b[?62;22c".to_owned(),
            (Some(b'>'), 'c', 0) => "\x1b[>1;10;0c".to_owned(),
            (None, 'n', 5) => "\x1b[0n".to_owned(),
            (None, 'n', 6) => {
                let (row, column) = screen.cursor_position();
                format!("\x1b[{};{}R", row + 1, column + 1)
            }
            _ => return,
        };
        if self.answers.len() < MAX_ANSWERS {
            self.answers.extend_from_slice(answer.as_bytes());
        }
    }
}

fn parser(size: Size) -> vt100::Parser<Bells> {
    let (rows, columns) = sides(size);
    vt100::Parser::new_with_callbacks(rows, columns, 0, Bells::default())
}

fn sides(size: Size) -> (NonZeroU16, NonZeroU16) {
    let side = |side: u16| NonZeroU16::new(side).unwrap_or(NonZeroU16::MIN);
    (side(size.rows), side(size.columns))
}

/// Bytes of answers that may wait to be taken.
const MAX_ANSWERS: usize = 1024;

/// Bytes of a window title that are kept.
const MAX_TITLE: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(columns: u16, rows: u16) -> Size {
        Size::new(columns, rows).unwrap()
    }

    #[test]
    fn a_late_viewer_sees_what_the_others_see() {
        let mut screen = Screen::new(size(20, 5));
        screen.feed(b"one\r\n\x1b[31mtwo\x1b[m\r\n\x1b[?1049h\x1b[2Jalternate\x1b[?25l");
        let late = Screen::restore(screen.size(), &screen.snapshot());
        assert_eq!(late.text(), "alternate");
        assert_eq!(late.parser.screen().state_formatted(), screen.parser.screen().state_formatted());
        assert!(late.parser.screen().alternate_screen());
    }

    #[test]
    fn a_snapshot_keeps_the_scroll_region() {
        let mut screen = Screen::new(size(10, 4));
        screen.feed(b"top\x1b[4;1Hbottom\x1b[2;3r\x1b[3;1Hmid");
        let mut late = Screen::restore(screen.size(), &screen.snapshot());
        for screen in [&mut screen, &mut late] {
            screen.feed(b"\nnew");
        }
        assert_eq!(screen.text(), "top\nmid\n   new\nbottom");
        assert_eq!(late.text(), screen.text());
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
            1 => prop_oneof![Just("\x1b[?1049h"), Just("\x1b[?1049l"), Just("\x1bM"), Just("\x1b[3L"), Just("\x1b[2P")]
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
                let _ = Screen::restore(screen.size(), &screen.snapshot());
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
