//! What a place of the screen shows, as far as a viewer can see it.

use std::fmt::Write;

/// What stands in one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Glyph<'a> {
    /// A character and what is combined with it; empty where nothing was drawn.
    pub(super) text: &'a str,
    /// Columns it takes; 0 for the second half of a wide one.
    pub(super) width: u8,
    pub(super) style: Style,
}

impl Glyph<'_> {
    /// What an empty screen is full of.
    pub(super) const BLANK: Self = Self { text: "", width: 1, style: Style::NONE };
}

/// Returns what a row shows, column by column. Half a wide character, which the model may be left with, is a blank:
/// nobody could draw it.
pub(super) fn row(screen: &vt100::Screen, row: u16) -> Vec<Glyph<'_>> {
    let columns = screen.size().1.get();
    let mut glyphs: Vec<Glyph<'_>> = Vec::with_capacity(usize::from(columns));
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else {
            glyphs.push(Glyph::BLANK);
            continue;
        };
        let style = Style::of(cell);
        let second_half = glyphs.last().is_some_and(|before| before.width == 2);
        let followed = || screen.cell(row, column + 1).is_some_and(vt100::Cell::is_wide_continuation);
        glyphs.push(if second_half {
            Glyph { text: "", width: 0, style: Style::NONE }
        } else if cell.is_wide() && followed() {
            Glyph { text: cell.contents(), width: 2, style }
        } else if cell.is_wide() || cell.is_wide_continuation() {
            Glyph { text: "", width: 1, style }
        } else {
            Glyph { text: cell.contents(), width: 1, style }
        });
    }
    glyphs
}

/// Colours and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Style {
    foreground: Colour,
    background: Colour,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Colour {
    #[default]
    Own,
    Index(u8),
    Rgb(u8, u8, u8),
}

impl Style {
    pub(super) const NONE: Self = Self {
        foreground: Colour::Own,
        background: Colour::Own,
        bold: false,
        dim: false,
        italic: false,
        underline: false,
        inverse: false,
    };

    fn of(cell: &vt100::Cell) -> Self {
        Self {
            foreground: cell.fgcolor().into(),
            background: cell.bgcolor().into(),
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underline: cell.underline(),
            inverse: cell.inverse(),
        }
    }

    /// Writes the sequence that sets it, whatever was set before.
    pub(super) fn write(self, out: &mut String) {
        out.push_str("\x1b[");
        let set = [
            (self.bold, ";1"),
            (self.dim, ";2"),
            (self.italic, ";3"),
            (self.underline, ";4"),
            (self.inverse, ";7"),
        ];
        for (_, code) in set.into_iter().filter(|(set, _)| *set) {
            out.push_str(code);
        }
        self.foreground.write(out, 30);
        self.background.write(out, 40);
        out.push('m');
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

impl From<vt100::Color> for Colour {
    fn from(colour: vt100::Color) -> Self {
        match colour {
            vt100::Color::Default => Self::Own,
            vt100::Color::Idx(index) => Self::Index(index),
            vt100::Color::Rgb(red, green, blue) => Self::Rgb(red, green, blue),
        }
    }
}
