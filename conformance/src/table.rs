//! Runs the suites of this repository and prints the certification table.

use std::{
    fs, io,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Instant,
};

use clap::Args;
use conformance::report::Row;
use serde::Deserialize;

/// Certify every transport of this repository and print the table.
#[derive(Debug, Args)]
pub(crate) struct Transports {
    /// Suites to run; all of them unless given.
    #[arg(value_name = "SUITE")]
    suites: Vec<String>,
    /// The seed of every case.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print Markdown instead of aligned columns.
    #[arg(long)]
    markdown: bool,
}

/// The part of a suite's report that the table needs.
#[derive(Debug, Deserialize)]
struct SuiteReport {
    subjects: Vec<Row>,
}

impl Transports {
    pub(crate) fn run(&self) -> ExitCode {
        let suites: Vec<&str> = match &self.suites[..] {
            [] => SUITES.to_vec(),
            named => named.iter().map(String::as_str).collect(),
        };
        let started = Instant::now();
        let mut rows = Vec::new();
        let mut all_green = true;
        for suite in suites {
            match self.certify(suite) {
                Ok((green, certified)) => {
                    all_green &= green;
                    rows.extend(certified);
                }
                Err(error) => {
                    eprintln!("{suite}: {error}");
                    all_green = false;
                }
            }
        }
        self.print(&rows);
        let (passed, failed) = rows.iter().fold((0, 0), |sum, row| (sum.0 + row.passed, sum.1 + row.failed));
        println!("\n{} subjects, {passed} passed, {failed} failed, {:.1?}", rows.len(), started.elapsed());
        if all_green && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn certify(&self, suite: &str) -> io::Result<(bool, Vec<Row>)> {
        let report = report_path(suite);
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["test", "--quiet", "-p", "beach-conformance", "--test", suite, "--", "--quiet"])
            .env("CONFORMANCE_REPORT", &report)
            .env("CONFORMANCE_SEED", self.seed.to_string())
            .status()?;
        let text = fs::read(&report)?;
        fs::remove_file(&report)?;
        let report: SuiteReport = serde_json::from_slice(&text)?;
        Ok((status.success(), report.subjects))
    }

    fn print(&self, rows: &[Row]) {
        let width = rows.iter().map(|row| row.subject.len()).max().unwrap_or(0).max(7);
        if self.markdown {
            println!("| subject | passed | failed | exempt | time of cases |\n|---|---|---|---|---|");
        } else {
            println!("{:width$}  passed  failed  exempt     time", "subject");
        }
        for Row { subject, passed, failed, exempt, ms, .. } in rows {
            let seconds = *ms as f64 / 1000.0;
            if self.markdown {
                println!("| {subject} | {passed} | {failed} | {exempt} | {seconds:.1} s |");
            } else {
                println!("{subject:width$}  {passed:6}  {failed:6}  {exempt:6}  {seconds:6.1}s");
            }
        }
    }
}

fn report_path(suite: &str) -> PathBuf {
    std::env::temp_dir().join(format!("conformance-{suite}-{}.json", std::process::id()))
}

/// The test targets that certify transports.
const SUITES: [&str; 5] = ["memory", "secure", "webrtc", "ws_fallback", "third_party"];
