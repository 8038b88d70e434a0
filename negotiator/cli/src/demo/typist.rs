//! Somebody types into the shared shell; the shell itself proves that each line came once and in order.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

/// Types numbered lines and reads the shell's answers off the screen. No IO.
///
/// A viewer is sent the newest screen, not every one, so answers may be scrolled away unseen. Each line therefore
/// counts the lines in the shell, and counts it as wrong when it is not the one whose turn it is: one answer speaks for
/// all before it. What is typed is echoed by the terminal, so the answer must differ from the question:
/// `echo $((1000000+k))=$((w))` is answered by `1000007=0`.
#[derive(Debug, Default)]
pub struct Typist {
    next: u64,
    /// Typed and not answered: number, from 1, and when.
    open: VecDeque<(u64, Instant)>,
    answered: u64,
    wrong: u64,
    round_trips: Vec<Duration>,
}

impl Typist {
    /// Returns the next line to type.
    pub fn type_line(&mut self, now: Instant) -> Bytes {
        self.next += 1;
        let number = self.next;
        self.open.push_back((number, now));
        format!("k=$((k+1));w=$((w+(k!={number})));echo $(({BASE}+k))=$((w))\r").into()
    }

    /// Reads the screen.
    pub fn read(&mut self, now: Instant, screen: &str) {
        let answers =
            screen.match_indices('=').filter_map(|(at, _)| answer(&screen[..at], &screen[at + 1..]));
        let Some((count, wrong)) = answers.max() else { return };
        while let Some((number, typed)) = self.open.front().copied()
            && number <= count
        {
            self.round_trips.push(now.duration_since(typed));
            self.open.pop_front();
        }
        self.answered = self.answered.max(count);
        self.wrong = self.wrong.max(wrong);
    }

    /// Returns how many lines were typed.
    pub fn typed(&self) -> u64 {
        self.next
    }

    /// Returns how many lines ran.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Returns how many lines ran twice or out of turn.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Says whether every line was answered.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns the median time from typing a line to its answer.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted = self.round_trips.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// Reads `1000007=0` around its sign: after prompts and echoes, and nothing behind it on its row.
fn answer(before: &str, after: &str) -> Option<(u64, u64)> {
    let digits = before.bytes().rev().take_while(u8::is_ascii_digit).count();
    let count = (digits == ANSWER).then(|| before[before.len() - ANSWER..].parse::<u64>().ok())??;
    let wrong = after.lines().next()?.trim_end();
    Some((count.checked_sub(BASE)?, wrong.parse().ok()?))
}

/// Makes every answer seven digits wide, unlike any prompt.
const BASE: u64 = 1_000_000;

/// Digits of an answer.
const ANSWER: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_the_echo_of_the_question() {
        let mut typist = Typist::default();
        let now = Instant::now();
        assert_eq!(typist.type_line(now), "k=$((k+1));w=$((w+(k!=1)));echo $((1000000+k))=$((w))\r");
        typist.read(now, "$ k=$((k+1));w=$((w+(k!=1)));echo $((1000000+k))=$((w))\n100000");
        assert_eq!((typist.answered(), typist.is_done()), (0, false));
        typist.read(now, "$ k=$((k+1));w=$((w+(k!=1)));echo $((1000000+k))=$((w))\n1000001=0\n$ ");
        assert_eq!((typist.answered(), typist.wrong(), typist.is_done()), (1, 0, true));
    }

    #[test]
    fn one_answer_speaks_for_all_before_it() {
        let mut typist = Typist::default();
        let now = Instant::now();
        for _ in 0..3 {
            typist.type_line(now);
        }
        typist.read(now, "# # # 1000002=0\n# k=$((k");
        assert_eq!((typist.answered(), typist.wrong(), typist.is_done()), (2, 0, false));
    }

    #[test]
    fn a_line_that_ran_twice_or_out_of_turn_is_noticed() {
        let mut typist = Typist::default();
        let now = Instant::now();
        typist.type_line(now);
        typist.type_line(now);
        typist.read(now, "1000001=0\n1000002=1\n1000003=2\n");
        assert_eq!((typist.answered(), typist.wrong()), (3, 2));
    }
}
