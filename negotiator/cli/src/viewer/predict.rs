//! Typed characters are shown before the host answers, underlined until it does. No IO.
//!
//! What is typed at the end of a line is expected to appear there, one character for each key. Each picture from the host
//! must be a state on that way: as far as it agrees, keys are confirmed; one that agrees with none of them takes all
//! guesses back. Guesses are only shown where an echo was seen since the last key that may change what keys do (return,
//! escape, control keys) and since the last wrong guess: a password has none, nor has an editor's command mode.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use clap::ValueEnum;

use crate::screen::{Echo, Screen};

/// When guesses are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Predict {
    /// When the round trip is long enough to be felt.
    Adaptive,
    /// Whatever the round trip is.
    Always,
    /// Never.
    Never,
}

/// Guesses what keys will do.
#[derive(Debug)]
pub struct Predictor {
    when: Predict,
    /// The round trip is long enough.
    slow: bool,
    rtt: Duration,
    run: Option<Run>,
    /// An echo was seen since guesses were last in doubt.
    trusted: bool,
    /// A key was typed then whose effect is not known: what follows is not guessed before it was answered.
    doubt: Option<Instant>,
}

/// Keys typed one after another on one row.
#[derive(Debug)]
struct Run {
    row: u16,
    start: u16,
    /// What the host has shown behind `start`.
    settled: Vec<char>,
    /// What the keys make of it, oldest first.
    keys: VecDeque<(Instant, Stroke)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stroke {
    Erase,
    Letter(char),
}

impl Predictor {
    /// Has guessed nothing yet.
    pub fn new(when: Predict) -> Self {
        Self { when, slow: false, rtt: Duration::ZERO, run: None, trusted: false, doubt: None }
    }

    /// Notes the round trip; `None` while it is not known.
    pub fn measured(&mut self, rtt: Option<Duration>) {
        let Some(rtt) = rtt else { return };
        self.rtt = rtt;
        self.slow = rtt >= if self.slow { FELT_NO_MORE } else { FELT };
    }

    /// Notes what was typed while the host's screen was this.
    pub fn typed(&mut self, now: Instant, bytes: &[u8], screen: &Screen) {
        if self.when == Predict::Never {
            return;
        }
        for byte in bytes {
            match byte {
                b' '..=b'~' => self.key(now, Stroke::Letter(char::from(*byte)), screen),
                0x08 | 0x7F => self.key(now, Stroke::Erase, screen),
                _ => self.doubt(now),
            }
        }
    }

    /// Compares the guesses with the host's new screen.
    pub fn drawn(&mut self, now: Instant, screen: &Screen) {
        let Some(run) = &mut self.run else { return };
        let mut text = run.settled.clone();
        let mut keys = run.keys.iter();
        // Of several states that look alike the first: a key that was answered too early would be missed later.
        let mut count = 0;
        let agrees = loop {
            if run.agrees(&text, screen) {
                break true;
            }
            let Some((_, stroke)) = keys.next() else { break false };
            stroke.apply(&mut text);
            count += 1;
        };
        match agrees.then_some(count) {
            Some(count) => {
                run.settle(count);
                self.trusted |= count > 0;
            }
            // Output that came by itself, with nothing typed since: nobody was wrong.
            None if run.keys.is_empty() => (self.run, self.trusted) = (None, false),
            None => self.doubt(now),
        }
    }

    /// Takes guesses back that nothing came of, unless nothing can come.
    pub fn expire(&mut self, now: Instant, reachable: bool, screen: &Screen) {
        let limit = self.rtt * 2 + PATIENCE;
        if !reachable || self.oldest(now).is_none_or(|age| age < limit) {
            return;
        }
        match &mut self.run {
            // A letter and its erasure look as if nothing had been typed.
            Some(run) if run.agrees(&run.text(), screen) => run.settle(run.keys.len()),
            _ => self.doubt(now),
        }
    }

    /// Returns what is to be shown in place of the host's screen.
    pub fn echo(&self, now: Instant) -> Option<Echo> {
        let oldest = self.oldest(now)?;
        let run = self.run.as_ref()?;
        let wanted = self.when == Predict::Always || self.slow || oldest >= GLITCH;
        if !self.trusted || !wanted {
            return None;
        }
        let text = run.text();
        let same = text.iter().zip(&run.settled).take_while(|(new, old)| new == old).count();
        let column = |count: usize| run.start.saturating_add(u16::try_from(count).unwrap_or(u16::MAX));
        Some(Echo {
            row: run.row,
            column: column(same),
            text: text[same..].iter().collect(),
            erased: run.settled.len().saturating_sub(text.len()),
            cursor: column(text.len()),
        })
    }

    fn key(&mut self, now: Instant, stroke: Stroke, screen: &Screen) {
        if let Some(since) = self.doubt {
            if now.duration_since(since) < self.rtt + SETTLE {
                self.doubt = Some(now);
                return;
            }
            self.doubt = None;
        }
        let run = self.run.get_or_insert_with(|| {
            let (row, start) = screen.cursor();
            Run { row, start, settled: Vec::new(), keys: VecDeque::new() }
        });
        if run.keys.len() < MOST && run.takes(stroke, screen) {
            run.keys.push_back((now, stroke));
        } else {
            self.doubt(now);
        }
    }

    fn doubt(&mut self, now: Instant) {
        (self.run, self.trusted, self.doubt) = (None, false, Some(now));
    }

    fn oldest(&self, now: Instant) -> Option<Duration> {
        let (typed, _) = self.run.as_ref()?.keys.front()?;
        Some(now.duration_since(*typed))
    }
}

impl Run {
    /// The host answered so many keys.
    fn settle(&mut self, count: usize) {
        for (_, stroke) in self.keys.drain(..count) {
            stroke.apply(&mut self.settled);
        }
    }

    /// What stands behind `start` once all keys were answered.
    fn text(&self) -> Vec<char> {
        let mut text = self.settled.clone();
        self.keys.iter().for_each(|(_, stroke)| stroke.apply(&mut text));
        text
    }

    /// Says whether it can be told what this key does here: at the end of the row's text, and not at the edge.
    fn takes(&self, stroke: Stroke, screen: &Screen) -> bool {
        let text = self.text();
        match stroke {
            Stroke::Erase => !text.is_empty(),
            Stroke::Letter(_) => {
                let column = usize::from(self.start) + text.len();
                let blank = || screen.letter(self.row, column) == Some(' ');
                column + 1 < usize::from(screen.size().columns)
                    && (text.len() < self.settled.len() || blank())
            }
        }
    }

    fn agrees(&self, text: &[char], screen: &Screen) -> bool {
        let start = usize::from(self.start);
        let (row, column) = screen.cursor();
        let mut letters = text.iter().enumerate();
        row == self.row
            && usize::from(column) == start + text.len()
            && letters.all(|(nth, letter)| screen.letter(row, start + nth) == Some(*letter))
    }
}

impl Stroke {
    fn apply(self, text: &mut Vec<char>) {
        match self {
            Self::Erase => {
                text.pop();
            }
            Self::Letter(letter) => text.push(letter),
        }
    }
}

/// Round trip from which on guesses are shown, and below which no more: mosh's 30 and 20 ms.
const FELT: Duration = Duration::from_millis(30);
const FELT_NO_MORE: Duration = Duration::from_millis(20);

/// A key that waits for so long is shown on a fast path too: it hangs just now.
const GLITCH: Duration = Duration::from_millis(250);

/// How much longer than two round trips an echo may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// How much longer than a round trip nothing was typed before guesses begin anew: until then the host's cursor is not
/// where the next key will find it.
const SETTLE: Duration = Duration::from_millis(50);

/// Keys that are guessed at one time: more than any row has.
const MOST: usize = 1_000;

#[cfg(test)]
#[path = "predict_tests.rs"]
mod tests;
