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
    /// One line for a README; of a run that left cases out, one that says so.
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
    /// Sorts and sums up what ran. A subject of which fewer than `due` runs are told is not judged: somebody left
    /// some out.
    pub fn new(seed: u64, took: Duration, mut cases: Vec<CaseReport>, due: usize) -> Self {
        cases.sort_by(|a, b| (&a.subject, a.case, b.direction).cmp(&(&b.subject, b.case, a.direction)));
        let mut by_subject: BTreeMap<&str, Vec<&CaseReport>> = BTreeMap::new();
        for case in &cases {
            by_subject.entry(&case.subject).or_default().push(case);
        }
        let subjects =
            by_subject.into_iter().map(|(subject, cases)| Row::new(subject, &cases, due)).collect();
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
    fn new(subject: &str, cases: &[&CaseReport], due: usize) -> Self {
        let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
        let passed = count(|outcome| *outcome == Outcome::Passed);
        let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
        let exempt = count(|outcome| matches!(outcome, Outcome::Exempt { .. }));
        let verdict = match (failed, passed) {
            (1.., _) => "NOT certified",
            _ if cases.len() < due => "not judged (a part of the cases ran)",
            (_, 0) => "NOT certified",
            _ => "certified",
        };
        let badge = format!(
            "conformance: {subject} {verdict}, {passed} of {} passed, {exempt} exempt",
            passed + failed
        );
        let ms = cases.iter().map(|case| case.ms).sum();
        Self { subject: subject.to_owned(), passed, failed, exempt, ms, badge }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(case: &'static str, outcome: Outcome) -> CaseReport {
        CaseReport { subject: "mine".to_owned(), case, clause: "3.1", direction: "forth", outcome, ms: 1 }
    }

    fn badge(cases: &[CaseReport], due: usize) -> String {
        Report::new(1, Duration::ZERO, cases.to_vec(), due).subjects.remove(0).badge
    }

    #[test]
    fn only_a_run_of_every_case_certifies() {
        let exempt = Outcome::Exempt { reason: "no faults".to_owned() };
        let runs = [run("a", Outcome::Passed), run("b", Outcome::Passed), run("c", exempt)];
        assert_eq!(badge(&runs, 3), "conformance: mine certified, 2 of 2 passed, 1 exempt");
        for part in [badge(&runs, 4), badge(&runs[..2], 3)] {
            assert!(part.contains("not judged") && !part.contains("certified"), "{part}");
        }
        let failed = run("b", Outcome::Failed { why: "lost".to_owned() });
        assert!(badge(&[runs[0].clone(), failed], 3).contains("NOT certified"));
    }
}
