//! The last run's figures, kept under `target/field`, and the table made of them.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    row::{Figure, Miss, Row, State, seconds},
    trouble::Trouble,
};

/// Outcomes of rows by their path.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    rows: BTreeMap<String, Outcome>,
}

/// What came of a row's runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Seconds of each run that met its due.
    pub took: Vec<f64>,
    /// The last such run in words.
    pub words: String,
    /// Why the others did not.
    pub missed: Vec<String>,
}

impl Outcome {
    /// Adds a run.
    pub fn add(&mut self, run: &Result<Figure, Miss>) {
        match run {
            Ok(figure) => {
                self.took.push(figure.took.as_secs_f64());
                self.words.clone_from(&figure.words);
            }
            Err(miss) => self.missed.push(miss.to_string()),
        }
    }

    /// Says whether it was tried and always met its due.
    pub fn is_met(&self) -> bool {
        self.missed.is_empty() && !self.took.is_empty()
    }

    /// Median and worst, or why it was missed.
    pub fn line(&self, row: &Row) -> String {
        if let Some(why) = self.missed.first() {
            let (missed, all) = (self.missed.len(), self.missed.len() + self.took.len());
            let verdict = if row.state.is_promised() { "missed" } else { "not met yet" };
            return format!("**{verdict}** {missed} of {all}: {}", cut(why));
        }
        match self.took.len() {
            0 => "not tried".to_owned(),
            1 => self.words.clone(),
            count => {
                let mut took = self.took.clone();
                took.sort_unstable_by(f64::total_cmp);
                let at = |index: usize| seconds(Duration::from_secs_f64(took[index]));
                let (median, worst) = (at(count / 2), at(count - 1));
                format!("median {median}, worst {worst} of {count}; last: {}", self.words)
            }
        }
    }
}

impl Report {
    /// Reads the last run's figures; none when there are none.
    pub fn load() -> Self {
        let text = fs::read_to_string(root().join(FIGURES)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Replaces the outcome of a row.
    pub fn put(&mut self, row: &Row, outcome: Outcome) {
        self.rows.insert(row.path(), outcome);
    }

    /// Writes the figures down.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn save(&self) -> Result<(), Trouble> {
        let write = || {
            let text = serde_json::to_string_pretty(self)?;
            write(&root().join(FIGURES), &text)
        };
        write().map_err(Trouble::io(FIGURES))
    }

    /// Writes the table into the documentation; returns where.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn document(&self, rows: &[Row]) -> Result<PathBuf, Trouble> {
        let path = root().join(TABLE);
        write(&path, &self.table(rows)).map_err(Trouble::io(TABLE))?;
        Ok(path)
    }

    fn table(&self, rows: &[Row]) -> String {
        let mut text = HEAD.to_owned();
        let mut chapter = "";
        for row in rows {
            if row.chapter != chapter {
                chapter = row.chapter;
                let _ = write!(text, "\n## {}\n\n{COLUMNS}", title(chapter));
            }
            let found = match row.state {
                State::Later(why) => format!("not due yet: {why}"),
                _ => self.rows.get(&row.path()).map_or("not tried".to_owned(), |outcome| outcome.line(row)),
            };
            let cells = [row.name, row.what, row.seen, row.due, &found].map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, text)
}

fn title(chapter: &str) -> &str {
    match chapter {
        "reaching" => "Reaching the service",
        "path" => "The path dies or changes",
        "narrow" => "Loss and narrow links",
        "nat" => "Behind NAT",
        other => other,
    }
}

/// One line, not too long for a cell.
fn cut(words: &str) -> String {
    let line: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(CELL).collect()
}

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const FIGURES: &str = "target/field/last.json";
const TABLE: &str = "docs/perf/field.md";
const CELL: usize = 240;
const COLUMNS: &str = "| row | what | seen in the first edition | due | last run |\n|---|---|---|---|---|\n";
const HEAD: &str = "# The field: what the world does to a session

Real `beach-link` and `beach-lifeguard` processes in network namespaces, with tinyproxy, nginx and slow name servers
between them. Times run from the start of `beach-link join` until the first key came back, unless the row says
otherwise. TCP is Linux' own (cubic), whatever the machine's is. This file is written by the last command:

```sh
cargo build -p beach-link -p beach-lifeguard
cargo run -p beach-field -- run --runs 3
cargo run -p beach-field -- table
```
";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: State) -> Row {
        Row { chapter: "c", name: "n", what: "", seen: "", due: "", state }
    }

    const RUN: crate::row::Run = |_| Ok(Figure::of(Duration::ZERO));

    #[test]
    fn a_row_that_was_missed_once_is_not_met() {
        let mut outcome = Outcome::default();
        assert!(!outcome.is_met());
        outcome.add(&Ok(Figure::of(Duration::from_secs(1))));
        assert!(outcome.is_met());
        outcome.add(&Err(Miss::Due("nothing came".to_owned())));
        assert!(!outcome.is_met());
        assert_eq!(outcome.line(&row(State::Due(RUN))), "**missed** 1 of 2: nothing came");
        assert_eq!(outcome.line(&row(State::NotYet(RUN))), "**not met yet** 1 of 2: nothing came");
    }

    #[test]
    fn five_runs_give_median_and_worst() {
        let mut outcome = Outcome::default();
        for second in [5, 1, 4, 2, 3] {
            outcome.add(&Ok(Figure::of(Duration::from_secs(second))));
        }
        assert_eq!(outcome.line(&row(State::Nightly(RUN))), "median 3.00 s, worst 5.00 s of 5; last: 3.00 s");
    }
}
