//! Carries out what a program prints: on the emulator, and beside it what the emulator drops or does otherwise than
//! xterm. Each place where it is put right says how.

use alacritty_terminal::{
    event::VoidListener,
    grid::Dimensions,
    index::{Column, Line},
    term::{
        Term,
        cell::{Cell, Flags},
    },
    vte::ansi::{
        Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, LineClearMode, Mode,
        NamedColor, PrivateMode, Rgb, StandardCharset, TabulationClearMode,
    },
};
use transport_core::Text;

use super::{bells::Bells, glyph::BLINK};

/// The emulator and what stands beside it, for the time of one feeding.
pub(super) struct Hands<'a> {
    pub(super) term: &'a mut Term<VoidListener>,
    /// Rows that scroll, first and behind the last.
    pub(super) region: &'a mut (i32, i32),
    pub(super) bells: &'a mut Bells,
}

impl Hands<'_> {
    /// Takes what left the top.
    fn drain(&mut self) {
        self.bells.history.drain(self.term);
    }

    fn line(&self) -> i32 {
        self.term.grid().cursor.point.line.0
    }

    /// Moves within the rows that scroll, from outside of them within the screen. The emulator adds the first of these
    /// rows once more where a program counts from it, and leaves them.
    fn vertically(&mut self, by: i64) {
        let line = i64::from(self.line());
        let rows = i64::from(self.rows());
        let (top, end) = (i64::from(self.region.0), i64::from(self.region.1));
        let least = if line >= top { top } else { 0 };
        let most = if line < end { end - 1 } else { rows - 1 };
        let line = (line + by).clamp(least, most.max(least));
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.line = Line(i32::try_from(line).unwrap_or(0));
        cursor.input_needs_wrap = false;
    }

    fn rows(&self) -> i32 {
        i32::try_from(self.term.screen_lines()).unwrap_or(i32::MAX)
    }

    fn columns(&self) -> usize {
        self.term.columns()
    }

    /// Keeps what is combined with a character bounded.
    fn bound(&mut self) {
        let cursor = &self.term.grid().cursor;
        let (line, mut column) = (cursor.point.line, cursor.point.column);
        if !cursor.input_needs_wrap {
            column = Column(column.0.saturating_sub(1));
        }
        if self.term.grid()[line][column].flags.contains(Flags::WIDE_CHAR_SPACER) {
            column = Column(column.0.saturating_sub(1));
        }
        let cell = &mut self.term.grid_mut()[line][column];
        if let Some(marks) = cell.zerowidth()
            && marks.len() > MAX_MARKS
        {
            let mut bounded = Cell { extra: None, ..cell.clone() };
            bounded.set_underline_color(cell.underline_color());
            bounded.set_hyperlink(cell.hyperlink());
            marks[..MAX_MARKS].iter().for_each(|mark| bounded.push_zerowidth(*mark));
            *cell = bounded;
        }
    }
}

/// Passes calls on to the emulator as they are.
macro_rules! as_it_is {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $name(&mut self, $($argument: $kind),*) { Handler::$name(self.term, $($argument),*); })*
    };
}

/// Passes calls on that may push rows off the top.
macro_rules! scrolling {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $name(&mut self, $($argument: $kind),*) {
            Handler::$name(self.term, $($argument),*);
            self.drain();
        })*
    };
}

impl Handler for Hands<'_> {
    as_it_is! {
        goto(line: i32, column: usize);
        goto_line(line: i32);
        insert_blank(count: usize);
        move_forward(count: usize);
        move_backward(count: usize);
        backspace();
        carriage_return();
        set_horizontal_tabstop();
        scroll_down(count: usize);
        insert_blank_lines(count: usize);
        erase_chars(count: usize);
        move_forward_tabs(count: u16);
        save_cursor_position();
        restore_cursor_position();
        clear_line(mode: LineClearMode);
        clear_tabs(mode: TabulationClearMode);
        set_tabs(interval: u16);
        reverse_index();
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        set_active_charset(index: CharsetIndex);
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_color(index: usize, colour: Rgb);
        reset_color(index: usize);
        decaln();
    }

    scrolling! {
        linefeed();
        newline();
        scroll_up(count: usize);
        set_private_mode(mode: PrivateMode);
        unset_private_mode(mode: PrivateMode);
    }

    fn input(&mut self, letter: char) {
        // What is no UTF-8 is not shown.
        if letter == char::REPLACEMENT_CHARACTER {
            return;
        }
        Handler::input(self.term, letter);
        if letter >= FIRST_MARK {
            self.bound();
        }
        self.drain();
    }

    // A tab only moves: the emulator remembers it in a cell, and wraps behind the last column.
    fn put_tab(&mut self, count: u16) {
        if !self.term.grid().cursor.input_needs_wrap {
            Handler::move_forward_tabs(self.term, count);
        }
    }

    // Before the first stop the emulator stays where it is.
    fn move_backward_tabs(&mut self, count: u16) {
        for _ in 0..count {
            let before = self.term.grid().cursor.point.column;
            Handler::move_backward_tabs(self.term, 1);
            if self.term.grid().cursor.point.column == before {
                self.term.grid_mut().cursor.point.column = Column(0);
                return;
            }
        }
    }

    fn move_up(&mut self, count: usize) {
        self.vertically(-i64::try_from(count).unwrap_or(i64::MAX / 2));
    }

    fn move_down(&mut self, count: usize) {
        self.vertically(i64::try_from(count).unwrap_or(i64::MAX / 2));
    }

    fn move_up_and_cr(&mut self, count: usize) {
        self.move_up(count);
        self.carriage_return();
    }

    fn move_down_and_cr(&mut self, count: usize) {
        self.move_down(count);
        self.carriage_return();
    }

    // The emulator takes the row for one that is counted from the first that scrolls.
    fn goto_col(&mut self, column: usize) {
        let last = self.columns() - 1;
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.column = Column(column.min(last));
        cursor.input_needs_wrap = false;
    }

    // Of more characters than the row has behind the cursor, the emulator erases the surplus before it.
    fn delete_chars(&mut self, count: usize) {
        let room = self.columns() - self.term.grid().cursor.point.column.0;
        Handler::delete_chars(self.term, count.min(room));
    }

    // Deleted rows are none that left the top.
    fn delete_lines(&mut self, count: usize) {
        Handler::delete_lines(self.term, count);
        self.term.grid_mut().clear_history();
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        match mode {
            // The emulator leaves the first row when the cursor is in the second.
            ClearMode::Above if self.line() == 1 => self.term.grid_mut().reset_region(..Line(1)),
            ClearMode::Saved => return self.bells.history.clear(),
            // It scrolls the screen away. Here it is erased, as xterm does, and the cursor stays.
            ClearMode::All => return self.term.grid_mut().reset_region(..),
            _ => {}
        }
        Handler::clear_screen(self.term, mode);
    }

    fn reset_state(&mut self) {
        Handler::reset_state(self.term);
        *self.region = (0, self.rows());
        self.bells.cursor_chosen = false;
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        Handler::set_scrolling_region(self.term, top, bottom);
        let rows = usize::try_from(self.rows()).unwrap_or(0);
        let bottom = bottom.unwrap_or(rows);
        // As the emulator takes it.
        if top < bottom {
            let side = |row: usize| i32::try_from(row.min(rows)).unwrap_or(0);
            *self.region = (side(top.saturating_sub(1)), side(bottom));
        }
    }

    // It knows no blinking, and has a bit left.
    fn terminal_attribute(&mut self, attribute: Attr) {
        let flags = &mut self.term.grid_mut().cursor.template.flags;
        match attribute {
            Attr::BlinkSlow | Attr::BlinkFast => flags.insert(BLINK),
            Attr::CancelBlink => flags.remove(BLINK),
            other => Handler::terminal_attribute(self.term, other),
        }
    }

    fn set_hyperlink(&mut self, link: Option<Hyperlink>) {
        let shown = |text: &str| text.chars().all(|letter| Text::shows(letter) && letter != ';');
        // Without a name every piece would be given another, and no two pictures were the same.
        let link =
            link.filter(|link| link.uri.len() <= MAX_LINK && link.uri.chars().all(Text::shows)).map(|link| {
                let id = link.id.filter(|id| id.len() <= MAX_LINK_ID && shown(id) && !id.contains(':'));
                Hyperlink { id: Some(id.unwrap_or_default()), uri: link.uri }
            });
        Handler::set_hyperlink(self.term, link);
    }

    fn set_cursor_style(&mut self, style: Option<CursorStyle>) {
        self.bells.cursor_chosen = style.is_some();
        Handler::set_cursor_style(self.term, style);
    }

    fn set_cursor_shape(&mut self, shape: CursorShape) {
        self.bells.cursor_chosen = true;
        Handler::set_cursor_shape(self.term, shape);
    }

    fn bell(&mut self) {
        self.bells.rung += 1;
    }

    fn set_title(&mut self, title: Option<String>) {
        self.bells.set_title(title.as_deref().unwrap_or(""));
    }

    fn push_title(&mut self) {
        self.bells.push_title();
    }

    fn pop_title(&mut self) {
        self.bells.pop_title();
    }

    fn clipboard_store(&mut self, _: u8, base64: &[u8]) {
        self.bells.copy(base64);
    }

    // A VT220 with colours; what it draws is what the emulator draws.
    fn identify_terminal(&mut self, kind: Option<char>) {
        match kind {
            None => self.bells.answer("\x1b[?62;22c"),
            Some('>') => self.bells.answer("\x1b[>1;10;0c"),
            _ => {}
        }
    }

    fn device_status(&mut self, question: usize) {
        match question {
            5 => self.bells.answer("\x1b[0n"),
            6 => {
                let point = self.term.grid().cursor.point;
                self.bells.answer(&format!("\x1b[{};{}R", point.line.0 + 1, point.column.0 + 1));
            }
            _ => {}
        }
    }

    fn text_area_size_chars(&mut self) {
        self.bells.answer(&format!("\x1b[8;{};{}t", self.rows(), self.columns()));
    }

    // The colours of many terminals are asked for, and one answer is due: what the program set itself, else light on
    // dark.
    fn dynamic_color_sequence(&mut self, prefix: String, index: usize, end: &str) {
        let own = if index == NamedColor::Background as usize { DARK } else { LIGHT };
        let set = self.term.colors()[index];
        if set.is_none() && index < NamedColor::Foreground as usize {
            return;
        }
        let Rgb { r, g, b } = set.unwrap_or(own);
        self.bells.answer(&format!("\x1b]{prefix};rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}{end}"));
    }
}

/// Below it no character is combined with the one before.
const FIRST_MARK: char = '\u{300}';

/// Characters that are combined with one.
const MAX_MARKS: usize = 6;

/// Bytes of a link's address, as terminals bound it, and of its name.
const MAX_LINK: usize = 2083;
const MAX_LINK_ID: usize = 250;

const LIGHT: Rgb = Rgb { r: 0xE5, g: 0xE5, b: 0xE5 };
const DARK: Rgb = Rgb { r: 0, g: 0, b: 0 };
