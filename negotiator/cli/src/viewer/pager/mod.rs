//! The lines that left the top of the shared screen, laid over it: fetched from the host as they are looked for. No IO.

mod keys;
mod text;

use std::collections::VecDeque;

use bytes::Bytes;

use self::{
    keys::{Key, keys},
    text::{Found, found},
};
use crate::{
    screen::Screen,
    terminal::line::{ATTENTION, painted},
    wire::{Message, Past, Size},
};

/// A pager over the lines that a host keeps.
#[derive(Debug)]
pub struct Pager {
    /// One behind the other, the last one newest.
    lines: VecDeque<Bytes>,
    /// The number of the first of them.
    first: u64,
    /// The number of the oldest line that the host has; `None` before it said anything.
    oldest: Option<u64>,
    bytes: usize,
    /// The place in `lines` of the line that is shown first.
    top: usize,
    /// Rows for lines.
    room: usize,
    /// Before which line the question that is under way asks.
    asked: Option<u64>,
    /// Older lines are fetched until this is reached.
    goal: Option<Goal>,
    pattern: String,
    /// What was typed of a pattern.
    typing: Option<Vec<u8>>,
    /// The place of the line that was found last.
    hit: Option<usize>,
    said: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// The line of the pattern above the one of this number.
    Match(u64),
    /// The oldest line.
    Oldest,
}

/// What a key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Ask the host.
    Ask(Message),
    /// Take the pager away.
    Close,
    /// Show it.
    Stay,
}

impl Pager {
    /// Has nothing yet. Returns the question to the host, too.
    pub fn open(terminal: Size) -> (Self, Message) {
        let mut pager = Self {
            lines: VecDeque::new(),
            first: 0,
            oldest: None,
            bytes: 0,
            top: 0,
            room: 1,
            asked: None,
            goal: None,
            pattern: String::new(),
            typing: None,
            hit: None,
            said: None,
        };
        pager.fit(terminal);
        let ask = pager.ask(NEWEST);
        (pager, ask)
    }

    /// The terminal has this size.
    pub fn fit(&mut self, terminal: Size) {
        let at_end = self.top >= self.last_top();
        self.room = usize::from(terminal.rows.saturating_sub(1)).max(1);
        self.top = if at_end { self.last_top() } else { self.top.min(self.last_top()) };
    }

    /// The session it asked in is over: what was asked comes no more. Returns the question once more.
    pub fn again(&mut self) -> Option<Message> {
        self.asked.take().map(|before| self.ask(before))
    }

    /// Takes lines from the host. Returns what is asked for next.
    pub fn take(&mut self, past: &Past) -> Option<Message> {
        let asked = self.asked.take()?;
        let behind = self.first.saturating_add(self.lines.len() as u64);
        let lines = past.lines();
        if asked == NEWEST && self.oldest.is_some() && past.first <= behind && behind <= past.behind() {
            let known = usize::try_from(behind - past.first).unwrap_or(usize::MAX);
            self.append(lines.skip(known));
            self.top = self.last_top();
        } else if asked == NEWEST {
            // The first, or more came meanwhile than one answer holds.
            (self.lines, self.bytes, self.hit) = (VecDeque::new(), 0, None);
            self.first = past.first;
            self.append(lines);
            self.top = self.last_top();
        } else if past.behind() == self.first {
            self.prepend(lines.collect());
        } else {
            // The host has forgotten them meanwhile.
            self.oldest = Some(self.first);
            return self.pursue();
        }
        self.oldest = Some(past.oldest.min(self.first));
        self.pursue()
    }

    /// Takes what was typed. Returns how many of the bytes it took, too: those behind a key that closes it are not for it.
    pub fn handle_typed(&mut self, bytes: &[u8]) -> (Vec<Outcome>, usize) {
        self.said = None;
        let mut outcomes = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some(typed) = &mut self.typing {
                let (byte, behind) = (rest[0], &rest[1..]);
                rest = behind;
                match byte {
                    b'\r' | b'\n' => {
                        let typed = String::from_utf8_lossy(typed).into_owned();
                        self.typing = None;
                        if !typed.is_empty() {
                            self.pattern = typed;
                        }
                        let from = self.hit.unwrap_or(self.top + self.room);
                        outcomes.push(self.find_older(from));
                    }
                    0x7F | 0x08 => drop(typed.pop()),
                    // Escape, Ctrl-C.
                    0x1B | 0x03 => self.typing = None,
                    byte if byte >= b' ' && typed.len() < LONGEST => typed.push(byte),
                    _ => {}
                }
                continue;
            }
            let (key, length) = keys(rest);
            rest = &rest[length..];
            outcomes.push(self.handle_key(key));
            if key == Key::Close {
                break;
            }
        }
        outcomes.retain(|outcome| *outcome != Outcome::Stay);
        (outcomes, bytes.len() - rest.len())
    }

    fn handle_key(&mut self, key: Key) -> Outcome {
        let page = self.room.saturating_sub(1).max(1);
        // Whatever is under way to it: another key is another wish.
        self.goal = None;
        match key {
            Key::Close => return Outcome::Close,
            Key::Up => self.top = self.top.saturating_sub(1),
            Key::PageUp => self.top = self.top.saturating_sub(page),
            Key::Down | Key::PageDown => {
                let by = if key == Key::Down { 1 } else { page };
                if self.top >= self.last_top() {
                    return self.newest();
                }
                self.top = (self.top + by).min(self.last_top());
            }
            Key::First => {
                self.top = 0;
                self.goal = Some(Goal::Oldest);
            }
            Key::Last => {
                self.top = self.last_top();
                return self.newest();
            }
            Key::Search => self.typing = Some(Vec::new()),
            Key::NextOlder => {
                let from = self.hit.unwrap_or(self.top + self.room);
                return self.find_older(from);
            }
            Key::NextNewer => {
                let from = self.hit.map_or(self.top, |hit| hit + 1);
                match (from..self.lines.len()).find(|place| self.matches(*place)) {
                    Some(place) => self.show(place),
                    None => self.said = Some("nothing newer"),
                }
            }
            Key::Other => {}
        }
        self.pursue().map_or(Outcome::Stay, Outcome::Ask)
    }

    /// Returns the rows, as many as there is room for, and the last row.
    pub fn paint(&self, terminal: Size) -> (Vec<String>, String) {
        let shown = (self.top..self.top + self.room).map(|place| self.row(place, terminal.columns));
        (shown.collect(), painted(ATTENTION, &self.status(), "", usize::from(terminal.columns)))
    }

    fn status(&self) -> String {
        if let Some(typed) = &self.typing {
            return format!(" /{}", String::from_utf8_lossy(typed));
        }
        let Some(oldest) = self.oldest else {
            return " asking the host for what left the screen …".to_owned();
        };
        if let Some(goal) = self.goal {
            let what = if goal == Goal::Oldest { "going to the oldest" } else { "searching" };
            return format!(" {what} … {} lines", self.lines.len());
        }
        if let Some(said) = self.said {
            return format!(" {said}");
        }
        if self.lines.is_empty() {
            return " no line has left the top of the screen · q".to_owned();
        }
        let (from, to) = (self.first + self.top as u64, (self.top + self.room).min(self.lines.len()));
        format!(
            " history {}–{} of {} · ↑ ↓ PgUp PgDn g G · / n N search · q",
            from - oldest + 1,
            self.first + to as u64 - oldest,
            self.first + self.lines.len() as u64 - oldest
        )
    }

    /// One line, as wide as the terminal at most. It is drawn by a model of a terminal, not by the person's: whatever the
    /// host put into it steers nothing.
    fn row(&self, place: usize, columns: u16) -> String {
        let Some(line) = self.lines.get(place) else { return String::new() };
        let mut model = Screen::new(Size { columns: Size::LARGEST.columns, rows: 1 });
        match self.found(place) {
            Some(Found { before, hit, after }) if self.hit == Some(place) => {
                model.feed(format!("{before}\x1b[7m{hit}\x1b[27m{after}").as_bytes());
            }
            _ => model.feed(line),
        }
        model.lines(columns.saturating_sub(1).max(1)).pop().unwrap_or_default()
    }

    /// Fetches what the goal needs, or what the shown page will.
    fn pursue(&mut self) -> Option<Message> {
        let oldest = self.oldest?;
        let more = self.first > oldest && self.bytes < MOST;
        match self.goal {
            Some(Goal::Oldest) if !more => {
                self.goal = None;
                self.top = 0;
            }
            Some(Goal::Match(number)) => {
                let from = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
                let from = from.min(self.lines.len());
                if let Some(place) = (0..from).rev().find(|place| self.matches(*place)) {
                    self.goal = None;
                    self.show(place);
                } else if more {
                    // Those that are here are looked through.
                    self.goal = Some(Goal::Match(self.first));
                } else {
                    self.goal = None;
                    self.said = Some("nothing older");
                }
            }
            _ => {}
        }
        let near = self.top < self.room * 2;
        (more && self.asked.is_none() && (self.goal.is_some() || near)).then(|| self.ask(self.first))
    }

    fn find_older(&mut self, from: usize) -> Outcome {
        if self.pattern.is_empty() {
            self.said = Some("nothing to search for: /");
            return Outcome::Stay;
        }
        self.goal = Some(Goal::Match(self.first.saturating_add(from as u64)));
        self.pursue().map_or(Outcome::Stay, Outcome::Ask)
    }

    /// Asks whether more lines came since.
    fn newest(&mut self) -> Outcome {
        if self.asked.is_some() || self.oldest.is_none() {
            Outcome::Stay
        } else {
            Outcome::Ask(self.ask(NEWEST))
        }
    }

    fn ask(&mut self, before: u64) -> Message {
        self.asked = Some(before);
        Message::Recall { before, lines: LINES }
    }

    fn show(&mut self, place: usize) {
        self.hit = Some(place);
        if !(self.top..self.top + self.room).contains(&place) {
            self.top = place.saturating_sub(self.room / 2).min(self.last_top());
        }
    }

    fn matches(&self, place: usize) -> bool {
        self.found(place).is_some()
    }

    fn found(&self, place: usize) -> Option<Found> {
        found(self.lines.get(place)?, &self.pattern)
    }

    fn append(&mut self, lines: impl IntoIterator<Item = Bytes>) {
        for line in lines {
            self.bytes += line.len() + 32;
            self.lines.push_back(line);
        }
    }

    fn prepend(&mut self, lines: Vec<Bytes>) {
        self.first -= lines.len() as u64;
        self.top += lines.len();
        self.hit = self.hit.map(|hit| hit + lines.len());
        for line in lines.into_iter().rev() {
            self.bytes += line.len() + 32;
            self.lines.push_front(line);
        }
    }

    fn last_top(&self) -> usize {
        self.lines.len().saturating_sub(self.room)
    }
}

/// As the number of a line: behind the newest.
const NEWEST: u64 = u64::MAX;

/// Lines of one answer at most; its bytes are fewer mostly.
const LINES: u16 = 1_000;

/// Bytes that are kept here: four times what a host keeps by default.
const MOST: usize = 16 * 1024 * 1024;

/// Bytes of a pattern.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests;
