//! Measures emulators of a terminal beside each other, over the corpus of `negotiator/cli/src/screen/corpus`: how fast
//! they take bytes, what they hold, and where their screens are not xterm's.
//!
//!     cargo run --release --locked

mod corpus;
mod emulators;
#[path = "../../../negotiator/cli/src/screen/seen.rs"]
mod seen;
mod wezterm;

use std::time::{Duration, Instant};

use corpus::{CORPUS, lines};
use emulators::{Alacritty, Avt, Emulator, Vt100};
use wezterm::{Parser, Wezterm};

fn main() {
    println!(
        "| | recordings, MB/s | lines that scroll, MB/s | memory, MiB | as many, plain | places unlike xterm |"
    );
    println!("|---|---|---|---|---|---|");
    measured::<Vt100>();
    measured::<Avt>();
    measured::<Wezterm>();
    measured::<Alacritty>();
    let mut parser = Parser::default();
    let bytes = CORPUS.map(|(_, bytes, _)| bytes).concat();
    println!("| {} | {:.0} | – | – | – | – |", Parser::NAME, rate(bytes.len(), || parser.feed(&bytes)));
}

fn measured<E: Emulator>() {
    let recordings = rate(CORPUS.iter().map(|(_, bytes, _)| bytes.len()).sum(), || {
        for (_, bytes, _) in CORPUS {
            E::new(80, 24, 0).feed(bytes);
        }
    });
    let coloured = lines(HISTORY + usize::from(ROWS), COLUMNS.into(), true);
    let plain = lines(HISTORY + usize::from(ROWS), 60, false);
    let mut emulator = E::new(COLUMNS, ROWS, HISTORY);
    let scrolling = rate(coloured.len(), || emulator.feed(&coloured));
    println!(
        "| {} | {recordings:.0} | {scrolling:.0} | {:.1} | {:.1} | {} |",
        E::NAME,
        held::<E>(&coloured),
        held::<E>(&plain),
        disagreement::<E>()
    );
}

/// Returns millions of bytes a second, of the median round.
fn rate(bytes: usize, mut round: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut took = Vec::new();
    while begun.elapsed() < Duration::from_secs(3) || took.len() < 5 {
        let start = Instant::now();
        round();
        took.push(start.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    bytes as f64 / took[took.len() / 2] / 1e6
}

/// Returns what an emulator holds, in MiB, once its history is full.
fn held<E: Emulator>(bytes: &[u8]) -> f64 {
    let mut emulator = None;
    let info = allocation_counter::measure(|| {
        let mut filled = E::new(COLUMNS, ROWS, HISTORY);
        filled.feed(bytes);
        emulator = Some(filled);
    });
    info.bytes_current as f64 / f64::from(1 << 20)
}

/// Returns how many of the corpus's places do not look as on xterm.
fn disagreement<E: Emulator>() -> usize {
    let mut count = 0;
    for (name, bytes, printed) in CORPUS {
        let mut emulator = E::new(80, 24, 0);
        emulator.feed(bytes);
        let before = count;
        for (index, theirs) in (0..).zip(seen::printed(printed, 80)) {
            let ours = emulator.row(index).into_iter().map(seen::Seen::simplified);
            count += ours.zip(theirs).filter(|(ours, theirs)| ours != theirs).count();
        }
        eprintln!("{}: {name}: {}", E::NAME, count - before);
    }
    count
}

const COLUMNS: u16 = 200;
const ROWS: u16 = 50;
/// Lines kept behind the screen.
const HISTORY: usize = 10_000;
