//! Plays what programs printed on a screen, and compares it place by place with what xterm showed.
//!
//! `vim`, `less`, `tmux` and `tput` are recorded on 80x24 (TERM=xterm-256color, LC_ALL=C); the others are written by hand.
//! `conformance/emulators/reference` had xterm 379 print its screens beside them: letters, widths, colours, and seven
//! attributes; not links and styles of underlines.

use super::{Screen, glyph::row, seen, tests::seen as shown};
use crate::wire::Size;

const SIZE: Size = Size { columns: 80, rows: 24 };

/// A name, what was printed, and the screen that xterm made of it.
const CORPUS: [(&str, &[u8], &str); 9] = [
    ("attributes", include_bytes!("corpus/attributes"), include_str!("corpus/attributes.xterm")),
    ("drawing", include_bytes!("corpus/drawing"), include_str!("corpus/drawing.xterm")),
    ("erasing", include_bytes!("corpus/erasing"), include_str!("corpus/erasing.xterm")),
    ("less", include_bytes!("corpus/less"), include_str!("corpus/less.xterm")),
    ("regions", include_bytes!("corpus/regions"), include_str!("corpus/regions.xterm")),
    ("tmux", include_bytes!("corpus/tmux"), include_str!("corpus/tmux.xterm")),
    ("tput", include_bytes!("corpus/tput"), include_str!("corpus/tput.xterm")),
    ("vim", include_bytes!("corpus/vim"), include_str!("corpus/vim.xterm")),
    ("wraps", include_bytes!("corpus/wraps"), include_str!("corpus/wraps.xterm")),
];

fn played(pieces: &[&[u8]]) -> Screen {
    let mut screen = Screen::new(SIZE);
    pieces.iter().for_each(|piece| screen.feed(piece));
    screen
}

#[test]
fn the_corpus_looks_as_on_xterm() {
    let mut wrong = Vec::new();
    for (name, bytes, printed) in CORPUS {
        let screen = played(&[bytes]);
        let theirs = seen::printed(printed, SIZE.columns.into());
        assert_eq!(theirs.len(), usize::from(SIZE.rows), "{name}");
        for (index, theirs) in (0..).zip(theirs) {
            for (column, (glyph, theirs)) in row(screen.model.row(index)).iter().zip(theirs).enumerate() {
                let ours = glyph.seen();
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
    for (name, bytes, _) in CORPUS {
        let whole = played(&[bytes]);
        let viewer = Screen::restore(SIZE, &whole.picture().whole());
        assert_eq!(shown(&viewer), shown(&whole), "{name}");
        // Each place of what is short, every so many of what is long, each remainder among them.
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 600) {
            assert_eq!(shown(&played(&[&bytes[..cut], &bytes[cut..]])), shown(&whole), "{name} cut at {cut}");
        }
    }
}
