//! What a run proved, as JSON and in words.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, time::Duration};

use serde::{Deserialize, Serialize};

/// The outcome of one run of the suite.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The seed of every case.
    pub seed: u64,
    /// How long the run took, in milliseconds.
    pub took_ms: u64,
    /// One row for each subject.
    pub subjects: Vec<Row>,
    /// Every case, sorted by subject, name and direction.
    pub cases: Vec<CaseReport>,
}

/// One subject's totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The subject's name.
    pub subject: String,
    /// Runs that passed; each case runs in two directions.
    pub passed: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Runs that do not apply, each with a reason.
    pub exempt: usize,
    /// Time spent in this subject's cases, in milliseconds.
    pub ms: u64,
    /// One line for a README.
    pub badge: String,
}

/// One case, in one direction, on one subject.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// The subject's name.
    pub subject: String,
    /// The case's name.
    pub case: &'static str,
    /// The clauses it proves.
    pub clause: &'static str,
    /// `forth` or `back`.
    pub direction: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It does not apply.
    Exempt {
        /// Why not.
        reason: String,
    },
    /// The promise was broken.
    Failed {
        /// How.
        why: String,
    },
    /// The promise held.
    Passed,
}

impl Report {
    /// Sorts and sums up what ran.
    pub fn new(seed: u64, took: Duration, mut cases: Vec<CaseReport>) -> Self {
        cases.sort_by(|a, b| (&a.subject, a.case, b.direction).cmp(&(&b.subject, b.case, a.direction)));
        let mut by_subject: BTreeMap<&str, Vec<&CaseReport>> = BTreeMap::new();
        for case in &cases {
            by_subject.entry(&case.subject).or_default().push(case);
        }
        let subjects = by_subject.into_iter().map(|(subject, cases)| Row::new(subject, &cases)).collect();
        Self { seed, took_ms: took.as_millis() as u64, subjects, cases }
    }

    /// Writes the report as one JSON object.
    ///
    /// # Errors
    ///
    /// The file's.
    pub fn write(&self, path: &str) -> io::Result<()> {
        fs::write(path, serde_json::to_vec_pretty(self)?)
    }

    /// Lists the exemptions with their reasons, then one badge line for each subject.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| case.direction == "forth") {
            if let Outcome::Exempt { reason } = &case.outcome {
                reasons.entry((&case.subject, reason)).or_default().push(case.case);
            }
        }
        for ((subject, reason), cases) in reasons {
            let _ = writeln!(text, "exempt: {subject} ({reason}): {}", cases.join(", "));
        }
        for row in &self.subjects {
            let _ = writeln!(text, "{}", row.badge);
        }
        text
    }
}

impl Row {
    fn new(subject: &str, cases: &[&CaseReport]) -> Self {
        let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
        let passed = count(|outcome| *outcome == Outcome::Passed);
        let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
        let exempt = count(|outcome| matches!(outcome, Outcome::Exempt { .. }));
        let verdict = if failed == 0 && passed > 0 { "certified" } else { "NOT certified" };
        let badge = format!(
            "conformance: {subject} {verdict}, {passed} of {} passed, {exempt} exempt",
            passed + failed
        );
        let ms = cases.iter().map(|case| case.ms).sum();
        Self { subject: subject.to_owned(), passed, failed, exempt, ms, badge }
    }
}
