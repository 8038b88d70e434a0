//! `termwiz`, which parses and holds cells, and the emulator upon it.

use std::sync::Arc;

use wezterm_term::{
    Blink, Intensity, TerminalConfiguration, TerminalSize, Underline,
    color::{ColorAttribute, ColorPalette, SrgbaTuple},
};

use crate::{
    emulators::Emulator,
    seen::{Colour, Seen},
};

pub struct Wezterm(wezterm_term::Terminal, u16);

#[derive(Debug)]
struct History(usize);

impl TerminalConfiguration for History {
    fn scrollback_size(&self) -> usize {
        self.0
    }

    fn color_palette(&self) -> ColorPalette {
        ColorPalette::default()
    }
}

impl Emulator for Wezterm {
    const NAME: &str = "`wezterm-term` 0.1 on `termwiz` (forks of tattoy)";

    fn new(columns: u16, rows: u16, history: usize) -> Self {
        let size = TerminalSize { rows: rows.into(), cols: columns.into(), ..TerminalSize::default() };
        let answers = Box::new(std::io::sink());
        Self(wezterm_term::Terminal::new(size, Arc::new(History(history)), "bench", "0", answers), columns)
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.0.advance_bytes(bytes);
    }

    fn row(&self, row: u16) -> Vec<Seen> {
        let part = |part: f32| (part * 255.0).round() as u8;
        let mixed = |SrgbaTuple(red, green, blue, _)| Some(Colour::Rgb(part(red), part(green), part(blue)));
        let colour = |colour| match colour {
            ColorAttribute::Default => None,
            ColorAttribute::PaletteIndex(index) => Some(Colour::Index(index)),
            ColorAttribute::TrueColorWithDefaultFallback(rgb)
            | ColorAttribute::TrueColorWithPaletteFallback(rgb, _) => mixed(rgb),
        };
        let screen = self.0.screen();
        let at = screen.phys_row(row.into());
        let mut places = vec![Seen::BLANK; self.1.into()];
        for cell in screen.lines_in_phys_range(at..at + 1)[0].visible_cells() {
            let (attributes, width) = (cell.attrs(), cell.width());
            let at = cell.cell_index();
            places[at] = Seen {
                letter: cell.str().chars().next().filter(|_| !attributes.invisible()).unwrap_or(' '),
                width: u8::try_from(width).unwrap_or(1),
                foreground: colour(attributes.foreground()),
                background: colour(attributes.background()),
                on: [
                    attributes.intensity() == Intensity::Bold,
                    attributes.intensity() == Intensity::Half,
                    attributes.italic(),
                    attributes.underline() != Underline::None,
                    attributes.blink() != Blink::None,
                    attributes.reverse(),
                    attributes.strikethrough(),
                ],
            };
            if width == 2 && at + 1 < places.len() {
                places[at + 1].width = 0;
            }
        }
        places
    }
}

/// What `termwiz` has of an emulator: it parses, and leaves it to others to act upon it.
#[derive(Default)]
pub struct Parser(termwiz::escape::parser::Parser);

impl Parser {
    pub const NAME: &str = "`termwiz` 0.23, parsing only";

    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.parse(bytes, |action| {
            std::hint::black_box(action);
        });
    }
}
