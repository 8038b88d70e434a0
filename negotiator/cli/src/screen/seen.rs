//! What any emulator can say of a place, and what xterm said of it.

/// What is seen in one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// A space where nothing was drawn, or what is there is hidden.
    pub(crate) letter: char,
    /// Columns it takes; 0 for the second half of a wide one.
    pub(crate) width: u8,
    /// Of the letter.
    pub(crate) foreground: Option<Colour>,
    /// Of the place.
    pub(crate) background: Option<Colour>,
    /// Bold, dim, italic, underlined, blinking, inverse, struck through.
    pub(crate) on: [bool; 7],
}

/// A colour that was named, or mixed of red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Index(u8),
    Rgb(u8, u8, u8),
}

impl Seen {
    /// What an empty screen is full of.
    pub(crate) const BLANK: Self =
        Self { letter: ' ', width: 1, foreground: None, background: None, on: [false; 7] };

    /// Leaves out what nobody sees: the colours of a blank, and all of a wide character's second half.
    pub(crate) fn simplified(mut self) -> Self {
        let [.., underlined, _, inverse, struck] = self.on;
        if self.width == 0 {
            return Self { width: 0, ..Self::BLANK };
        }
        if self.letter == ' ' && !(underlined || inverse || struck) {
            (self.foreground, self.on) = (None, [false; 7]);
        }
        self
    }
}

/// Reads a screen that xterm printed: rows of characters, each behind the sequence that names all that is set for it
/// alone, if anything is. Behind a wide one stands U+FFFF, behind the last column a mark.
pub(crate) fn printed(screen: &str, columns: usize) -> Vec<Vec<Seen>> {
    screen.lines().map(|line| row(line, columns)).collect()
}

fn row(line: &str, columns: usize) -> Vec<Seen> {
    let mut places: Vec<Seen> = Vec::new();
    let mut pen = Seen::BLANK;
    // A row begins by saying that it is not of double width.
    let mut rest = line.strip_prefix("\x1b#5").unwrap_or(line);
    while let Some(letter) = rest.chars().next() {
        if let Some((codes, after)) = rest.strip_prefix("\x1b[").and_then(|rest| rest.split_once('m')) {
            (pen, rest) = (set(codes), after);
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        if letter == '\u{ffff}' {
            places.last_mut().expect("behind a character").width = 2;
            places.push(Seen { width: 0, ..Seen::BLANK });
        } else {
            places.push(Seen { letter, ..pen });
        }
        pen = Seen::BLANK;
    }
    assert_eq!(places.pop().map(|mark| (mark.letter, places.len())), Some(('|', columns)), "{line}");
    places.into_iter().map(Seen::simplified).collect()
}

/// Returns what is set, which is all of it.
fn set(codes: &str) -> Seen {
    let mut pen = Seen::BLANK;
    for code in codes.split(';') {
        let numbers: Vec<u8> = code
            .split(':')
            .filter(|number| !number.is_empty())
            .map(|number| number.parse().expect(code))
            .collect();
        match numbers[..] {
            [0] => pen = Seen::BLANK,
            [code @ (1..=5 | 7)] => pen.on[usize::from(code.min(6)) - 1] = true,
            [9] => pen.on[6] = true,
            [code @ 30..=37] => pen.foreground = Some(Colour::Index(code - 30)),
            [code @ 90..=97] => pen.foreground = Some(Colour::Index(code - 82)),
            [code @ 40..=47] => pen.background = Some(Colour::Index(code - 40)),
            [code @ 100..=107] => pen.background = Some(Colour::Index(code - 92)),
            [38, 5, index] => pen.foreground = Some(Colour::Index(index)),
            [48, 5, index] => pen.background = Some(Colour::Index(index)),
            [38, 2, red, green, blue] => pen.foreground = Some(Colour::Rgb(red, green, blue)),
            [48, 2, red, green, blue] => pen.background = Some(Colour::Rgb(red, green, blue)),
            _ => panic!("xterm does not print {codes:?}"),
        }
    }
    pen
}
