//! Plays what programs printed on a screen, and on an emulator of another lineage, and compares them place by place.
//!
//! `vim`, `less`, `tmux` and `tput` are recorded on 80x24 (TERM=xterm-256color, LC_ALL=C); the others are written by hand.
//! Left out is where the other one departs from xterm: SGR 6, bold and dim at once, two letters of the line drawing, and
//! that a restored cursor has its character set back.

use avt::Terminal;

use super::{
    Screen,
    glyph::{Seen, row},
    tests::seen,
};
use crate::wire::Size;

const SIZE: Size = Size { columns: 80, rows: 24 };

const CORPUS: [(&str, &[u8]); 9] = [
    ("attributes", include_bytes!("corpus/attributes")),
    ("drawing", include_bytes!("corpus/drawing")),
    ("erasing", include_bytes!("corpus/erasing")),
    ("less", include_bytes!("corpus/less")),
    ("regions", include_bytes!("corpus/regions")),
    ("tmux", include_bytes!("corpus/tmux")),
    ("tput", include_bytes!("corpus/tput")),
    ("vim", include_bytes!("corpus/vim")),
    ("wraps", include_bytes!("corpus/wraps")),
];

fn played(pieces: &[&[u8]]) -> Screen {
    let mut screen = Screen::new(SIZE);
    pieces.iter().for_each(|piece| screen.feed(piece));
    screen
}

/// What is seen in a place of the other emulator.
fn other(cell: &avt::Cell) -> Seen {
    let pen = cell.pen();
    let colour = |colour: Option<avt::Color>| match colour {
        None => None,
        Some(avt::Color::Indexed(index)) => Some((0, index, 0, 0)),
        Some(avt::Color::RGB(avt::Rgb { r, g, b })) => Some((1, r, g, b)),
    };
    let on = [
        pen.is_bold(),
        pen.is_faint(),
        pen.is_italic(),
        pen.is_underline(),
        pen.is_blink(),
        pen.is_inverse(),
        pen.is_strikethrough(),
    ];
    let (letter, width) = (cell.char(), cell.width());
    let seen = Seen {
        letter,
        width,
        foreground: colour(pen.foreground()),
        background: colour(pen.background()),
        on,
    };
    seen.simplified()
}

#[test]
fn the_corpus_looks_as_on_another_emulator() {
    let mut wrong = Vec::new();
    for (name, bytes) in CORPUS {
        let screen = played(&[bytes]);
        let mut terminal = Terminal::new(SIZE.columns.into(), SIZE.rows.into()).unwrap();
        terminal.feed(std::str::from_utf8(bytes).unwrap());
        for index in 0..SIZE.rows {
            let line = terminal.screen().line(index.into()).unwrap();
            let ours = row(screen.model.row(index));
            for (column, (glyph, cell)) in ours.iter().zip(line.cells()).enumerate() {
                let (ours, theirs) = (glyph.seen(), other(cell));
                if ours != theirs {
                    wrong.push(format!("{name} {}:{}\n  {ours:?}\n  {theirs:?}", index + 1, column + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} places differ:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

#[test]
fn the_corpus_may_be_cut_anywhere_and_a_viewer_sees_the_same() {
    for (name, bytes) in CORPUS {
        let whole = played(&[bytes]);
        let viewer = Screen::restore(SIZE, &whole.picture().whole());
        assert_eq!(seen(&viewer), seen(&whole), "{name}");
        // Each place of what is short, every so many of what is long, each remainder among them.
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 600) {
            assert_eq!(seen(&played(&[&bytes[..cut], &bytes[cut..]])), seen(&whole), "{name} cut at {cut}");
        }
    }
}
