//! What the tests print for `docs/perf/browser.md`: a row for each scenario, and single figures. `scripts/web measure`
//! makes its tables of many runs.

use std::{collections::BTreeSet, ops::AddAssign, time::Duration};

use serde_json::{Value, json};

use crate::browser::Tab;

/// What became of messages that are numbered from 0 on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    said: u32,
    lost: u32,
    doubled: u32,
    reordered: u32,
}

impl Tally {
    /// Compares what was heard with `said` messages, each of `word` and its number.
    ///
    /// # Panics
    ///
    /// On a message that nobody said.
    pub(crate) fn of(word: &str, said: u32, heard: &[String]) -> Self {
        let mut tally = Self { said, ..Self::default() };
        let mut seen = BTreeSet::new();
        for message in heard {
            let number = message.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
            let number = number.and_then(|digits| digits.parse::<u32>().ok()).filter(|number| *number < said);
            let number = number.unwrap_or_else(|| panic!("nobody said {message:?}"));
            let late = seen.last().is_some_and(|last| *last > number);
            if !seen.insert(number) {
                tally.doubled += 1;
            } else if late {
                tally.reordered += 1;
            }
        }
        tally.lost = said - u32::try_from(seen.len()).unwrap();
        tally
    }

    /// Prints the row of a scenario in which `tab` had its one session, and holds that nothing went wrong in it.
    pub(crate) async fn row(self, scenario: &str, tab: &Tab, times: &[(&str, Duration)]) {
        let mut row = json!({
            "scenario": scenario,
            "paths": tab.evaluate("paths.join(' → ')").await,
            "messages": self.said,
            "lost": self.lost,
            "doubled": self.doubled,
            "reordered": self.reordered,
            "relay sockets": relay_sockets(tab),
            "joined": tab.evaluate("joinedAfter / 1000").await,
            "silence": tab.evaluate("silence / 1000").await,
        });
        for (name, took) in times {
            row[name] = json!(took.as_secs_f64());
        }
        println!("row {row}");
        assert_eq!(self, Self { said: self.said, ..Self::default() }, "each once and in order");
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.said += other.said;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

/// Prints a figure that stands for itself.
pub(crate) fn figure(name: &str, unit: &str, value: impl Into<Value>) {
    println!("figure {}", json!({ "name": name, "unit": unit, "value": value.into() }));
}

/// Sockets and streams to the relay that the browser's network log knows of this tab.
pub(crate) fn relay_sockets(tab: &Tab) -> usize {
    tab.asked().iter().filter(|url| url.ends_with("/v2/ws") || url.contains("/v2/stream")).count()
}

#[test]
fn what_is_missing_repeated_or_late_is_counted() {
    let heard = |numbers: &[u32]| numbers.iter().map(|number| format!("key {number}")).collect::<Vec<_>>();
    let tally = |said, numbers: &[u32]| {
        let Tally { lost, doubled, reordered, .. } = Tally::of("key", said, &heard(numbers));
        (lost, doubled, reordered)
    };
    assert_eq!(tally(4, &[0, 1, 2, 3]), (0, 0, 0));
    assert_eq!(tally(4, &[0, 2, 3]), (1, 0, 0));
    assert_eq!(tally(4, &[0, 1, 2]), (1, 0, 0), "at the end too");
    assert_eq!(tally(4, &[0, 1, 1, 2, 3]), (0, 1, 0));
    assert_eq!(tally(4, &[0, 2, 1, 3]), (0, 0, 1));
    assert_eq!(tally(4, &[0, 1, 3, 1]), (1, 1, 0), "a repetition is not late as well");
}

#[test]
#[should_panic(expected = "nobody said")]
fn what_nobody_said_is_refused() {
    Tally::of("key", 2, &["key 2".to_owned()]);
}
