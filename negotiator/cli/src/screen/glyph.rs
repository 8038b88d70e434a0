//! What a place of the screen shows, as far as a viewer can see it.

use std::fmt::Write;

use alacritty_terminal::{
    term::cell::{Cell, Flags, Hyperlink},
    vte::ansi::{Color, NamedColor},
};

/// What stands in one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Glyph<'a> {
    /// A character; none where an erased place looks the same.
    pub(super) letter: Option<char>,
    /// What is combined with it.
    pub(super) marks: &'a [char],
    /// Columns it takes; 0 for the second half of a wide one.
    pub(super) width: u8,
    pub(super) style: Style,
    /// Where it leads.
    pub(super) link: Option<Hyperlink>,
}

impl<'a> Glyph<'a> {
    /// What an empty screen is full of.
    pub(super) const BLANK: Self = Self::blank(Style::NONE);

    const fn blank(style: Style) -> Self {
        Self { letter: None, marks: &[], width: 1, style, link: None }
    }

    fn of(cell: &'a Cell, width: u8) -> Self {
        let style = Style::of(cell);
        let marks = cell.zerowidth().unwrap_or(&[]);
        let link = cell.hyperlink();
        if cell.c == ' ' && marks.is_empty() && link.is_none() && !style.shows_on_blanks() {
            return Self::blank(style.erased());
        }
        Self { letter: Some(cell.c), marks, width, style, link }
    }

    /// Writes the character and what is combined with it.
    pub(super) fn draw(&self, out: &mut String) {
        out.push(self.letter.unwrap_or(' '));
        out.extend(self.marks);
    }
}

/// Returns what a row shows, column by column. Half a wide character, which the model may be left with, is a blank:
/// nobody could draw it.
pub(super) fn row(cells: &[Cell]) -> Vec<Glyph<'_>> {
    let mut glyphs: Vec<Glyph<'_>> = Vec::with_capacity(cells.len());
    for (column, cell) in cells.iter().enumerate() {
        let second_half = glyphs.last().is_some_and(|before| before.width == 2);
        let followed =
            || cells.get(column + 1).is_some_and(|next| next.flags.contains(Flags::WIDE_CHAR_SPACER));
        let wide = cell.flags.contains(Flags::WIDE_CHAR);
        glyphs.push(if second_half {
            Glyph { width: 0, ..Glyph::BLANK }
        } else if wide && followed() {
            Glyph { letter: Some(cell.c), width: 2, ..Glyph::of(cell, 2) }
        } else if wide || cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
            Glyph::blank(Style::of(cell).erased())
        } else {
            Glyph::of(cell, 1)
        });
    }
    glyphs
}

/// Writes what a row shows from its first column on, up to `width` columns, on blank ground and in no colours, and ends
/// in no colours. Blanks at its end are left out.
pub(super) fn write_row(out: &mut String, cells: &[Cell], width: u16) {
    let mut glyphs = row(cells);
    glyphs.truncate(width.into());
    if glyphs.last().is_some_and(|last| last.width == 2) {
        glyphs.pop();
    }
    let end = glyphs.iter().rposition(|glyph| *glyph != Glyph::BLANK).map_or(0, |last| last + 1);
    let (mut style, mut link) = (Style::NONE, None);
    for (column, glyph) in glyphs[..end].iter().enumerate().filter(|(_, glyph)| glyph.width > 0) {
        // A blank between two words takes no change of colours.
        let next = || glyphs[column..end].iter().find(|glyph| glyph.letter.is_some());
        let between = glyph.letter.is_none()
            && glyph.style == style.erased()
            && !style.shows_on_blanks()
            && next().is_some_and(|next| next.style == style);
        if glyph.style != style && !between {
            glyph.style.write(out, style);
            style = glyph.style;
        }
        if glyph.link != link {
            write_link(out, glyph.link.as_ref());
            link.clone_from(&glyph.link);
        }
        glyph.draw(out);
    }
    if link.is_some() {
        write_link(out, None);
    }
    if style != Style::NONE {
        Style::NONE.write(out, style);
    }
}

/// Writes the sequence that begins a link, or ends one.
pub(super) fn write_link(out: &mut String, link: Option<&Hyperlink>) {
    // Writing to a String cannot fail.
    let _ = match link {
        None => write!(out, "\x1b]8;;\x1b\\"),
        Some(link) if link.id().is_empty() => write!(out, "\x1b]8;;{}\x1b\\", link.uri()),
        Some(link) => write!(out, "\x1b]8;id={};{}\x1b\\", link.id(), link.uri()),
    };
}

/// Colours and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Style {
    foreground: Colour,
    background: Colour,
    underline: Colour,
    flags: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Colour {
    #[default]
    Own,
    Index(u8),
    Rgb(u8, u8, u8),
}

impl Style {
    pub(super) const NONE: Self =
        Self { foreground: Colour::Own, background: Colour::Own, underline: Colour::Own, flags: 0 };

    fn of(cell: &Cell) -> Self {
        let flags = cell.flags & SHOWN.union(BLINK);
        let lined = flags.intersects(Flags::ALL_UNDERLINES);
        Self {
            foreground: cell.fg.into(),
            background: cell.bg.into(),
            underline: cell.underline_color().filter(|_| lined).map_or(Colour::Own, Colour::from),
            flags: flags.bits(),
        }
    }

    fn flags(self) -> Flags {
        Flags::from_bits_retain(self.flags)
    }

    /// Says whether it is seen where no character is.
    pub(super) fn shows_on_blanks(self) -> bool {
        self.flags().intersects(Flags::ALL_UNDERLINES.union(Flags::STRIKEOUT).union(Flags::INVERSE))
    }

    /// Returns what an erased place keeps of it.
    pub(super) fn erased(self) -> Self {
        Self { background: self.background, ..Self::NONE }
    }

    /// Writes the sequence that sets it where `before` is set.
    pub(super) fn write(self, out: &mut String, before: Self) {
        let mut codes = String::new();
        for (flag, code) in CODES {
            if self.flags().contains(flag) {
                codes.push_str(code);
            }
        }
        self.foreground.write(&mut codes, 30);
        self.background.write(&mut codes, 40);
        // Writing to a String cannot fail.
        let _ = match self.underline {
            Colour::Own => Ok(()),
            Colour::Index(index) => write!(codes, ";58:5:{index}"),
            Colour::Rgb(red, green, blue) => write!(codes, ";58:2::{red}:{green}:{blue}"),
        };
        let codes = if before == Self::NONE { codes.trim_start_matches(';') } else { &codes };
        let _ = write!(out, "\x1b[{codes}m");
    }
}

impl Colour {
    /// `base`: 30 for the foreground, 40 for the background.
    fn write(self, out: &mut String, base: u8) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Own => Ok(()),
            Self::Index(index @ 0..8) => write!(out, ";{}", base + index),
            Self::Index(index @ 8..16) => write!(out, ";{}", base + 52 + index),
            Self::Index(index) => write!(out, ";{};5;{index}", base + 8),
            Self::Rgb(red, green, blue) => write!(out, ";{};2;{red};{green};{blue}", base + 8),
        };
    }
}

impl From<Color> for Colour {
    fn from(colour: Color) -> Self {
        match colour {
            Color::Named(named) => match named as usize {
                index @ 0..16 => Self::Index(index as u8),
                _ if named == NamedColor::BrightForeground => Self::Index(15),
                _ => Self::Own,
            },
            Color::Indexed(index) => Self::Index(index),
            Color::Spec(rgb) => Self::Rgb(rgb.r, rgb.g, rgb.b),
        }
    }
}

/// Blinking, in a bit that the emulator does not use.
pub(super) const BLINK: Flags = Flags::from_bits_retain(0x8000);

const SHOWN: Flags = Flags::BOLD
    .union(Flags::DIM)
    .union(Flags::ITALIC)
    .union(Flags::ALL_UNDERLINES)
    .union(Flags::INVERSE)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT);

const CODES: [(Flags, &str); 12] = [
    (Flags::BOLD, ";1"),
    (Flags::DIM, ";2"),
    (Flags::ITALIC, ";3"),
    (Flags::UNDERLINE, ";4"),
    (Flags::DOUBLE_UNDERLINE, ";4:2"),
    (Flags::UNDERCURL, ";4:3"),
    (Flags::DOTTED_UNDERLINE, ";4:4"),
    (Flags::DASHED_UNDERLINE, ";4:5"),
    (BLINK, ";5"),
    (Flags::INVERSE, ";7"),
    (Flags::HIDDEN, ";8"),
    (Flags::STRIKEOUT, ";9"),
];

#[cfg(test)]
impl Glyph<'_> {
    pub(super) fn seen(&self) -> super::seen::Seen {
        use super::seen::{self, Seen};

        let colour = |colour: Colour| match colour {
            Colour::Own => None,
            Colour::Index(index) => Some(seen::Colour::Index(index)),
            Colour::Rgb(red, green, blue) => Some(seen::Colour::Rgb(red, green, blue)),
        };
        let flags = self.style.flags();
        let kinds = [
            Flags::BOLD,
            Flags::DIM,
            Flags::ITALIC,
            Flags::ALL_UNDERLINES,
            BLINK,
            Flags::INVERSE,
            Flags::STRIKEOUT,
        ];
        let seen = Seen {
            letter: self.letter.filter(|_| !flags.contains(Flags::HIDDEN)).unwrap_or(' '),
            width: self.width,
            foreground: colour(self.style.foreground),
            background: colour(self.style.background),
            on: kinds.map(|kind| flags.intersects(kind)),
        };
        seen.simplified()
    }
}
