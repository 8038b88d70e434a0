//! Somebody types into the shared shell; the shell itself proves that each line came once and in order.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

/// Types numbered sums and reads the shell's answers. No IO.
///
/// What is typed is echoed by the terminal, so the answer must differ from the question: `echo $((1000000+7))` is
/// answered by `1000007`.
#[derive(Debug, Default)]
pub struct Typist {
    next: u64,
    /// Typed and not answered: number and when.
    open: VecDeque<(u64, Instant)>,
    answered: u64,
    wrong: u64,
    line: Vec<u8>,
    round_trips: Vec<Duration>,
}

impl Typist {
    /// Returns the next line to type.
    pub fn type_line(&mut self, now: Instant) -> Bytes {
        let number = self.next;
        self.next += 1;
        self.open.push_back((number, now));
        format!("echo $(({BASE}+{number}))\r").into()
    }

    /// Reads what the terminal printed.
    pub fn read(&mut self, now: Instant, output: &[u8]) {
        for &byte in output {
            match byte {
                b'\n' => self.line_ended(now),
                b'\r' => {}
                _ if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => {}
            }
        }
    }

    /// Returns how many lines were typed.
    pub fn typed(&self) -> u64 {
        self.next
    }

    /// Returns how many lines were answered, each once and in turn.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Returns how many answers came twice or out of turn.
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

    fn line_ended(&mut self, now: Instant) {
        let line = std::mem::take(&mut self.line);
        // After an outage many lines come at once: prompts and the echo of later questions stand before the
        // answer on its line, but nothing stands behind it.
        let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count().min(ANSWER);
        let Some(answer) = line.last_chunk::<ANSWER>().filter(|_| digits == ANSWER) else { return };
        let answer = answer.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        match self.open.front() {
            Some((number, typed)) if BASE + number == answer => {
                self.round_trips.push(now.duration_since(*typed));
                self.answered += 1;
                self.open.pop_front();
            }
            _ => self.wrong += 1,
        }
    }
}

/// Makes every answer seven digits wide, unlike any prompt.
const BASE: u64 = 1_000_000;

/// Digits of an answer.
const ANSWER: usize = 7;

/// Bytes of a line that are kept: answers are short, but questions may pile up before them.
const MAX_LINE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_the_echo_of_the_question() {
        let mut typist = Typist::default();
        let now = Instant::now();
        assert_eq!(typist.type_line(now), "echo $((1000000+0))\r");
        typist.read(now, b"$ echo $((1000000+0))\r\n10000");
        typist.read(now, b"00\r\n$ ");
        assert_eq!((typist.answered(), typist.wrong(), typist.is_done()), (1, 0, true));
    }

    #[test]
    fn prompts_and_echoes_may_stand_before_an_answer() {
        let mut typist = Typist::default();
        let now = Instant::now();
        typist.type_line(now);
        typist.type_line(now);
        typist.read(now, b"# 1000000\r\n# # echo $((1000000+31000001\r\n))\r\n");
        assert_eq!((typist.answered(), typist.wrong()), (2, 0));
    }

    #[test]
    fn a_line_that_ran_twice_or_out_of_turn_is_noticed() {
        let mut typist = Typist::default();
        let now = Instant::now();
        for _ in 0..3 {
            typist.type_line(now);
        }
        typist.read(now, b"1000000\r\n1000000\r\n1000002\r\n");
        assert_eq!((typist.answered(), typist.wrong(), typist.is_done()), (1, 2, false));
    }
}
