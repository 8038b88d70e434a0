//! `beach-field`: lists, runs and documents the rows of the field.

use std::process::ExitCode;

use beach_field::{
    chapter,
    program::Programs,
    report::{Outcome, Report},
    row::{Run, State},
    topology::{Lab, sweep},
    trouble::Trouble,
};
use clap::{Parser, Subcommand};

/// Real programs in network namespaces, and what the world does to them.
#[derive(Debug, Parser)]
#[command(name = "beach-field", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Name the rows, what is due and what is not due yet.
    List,
    /// Try the rows whose name contains FILTER; write their figures down. Needs root, `ip` and `nft`.
    Run {
        /// Part of a row's name; all rows without it.
        filter: Option<String>,
        /// How often each row is tried. The long form is five.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=50))]
        runs: u8,
    },
    /// Write docs/perf/field.md from the last run's figures.
    Table,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::List => Ok(list()),
        Command::Run { filter, runs } => run(filter.as_deref(), runs),
        Command::Table => table(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("beach-field: {trouble}");
            ExitCode::from(2)
        }
    }
}

fn list() -> bool {
    for row in chapter::rows() {
        match row.state {
            State::Due(_) => println!("{}: {} → {}", row.path(), row.what, row.due),
            State::Nightly(_) => println!("{}: {} → nightly: {}", row.path(), row.what, row.due),
            State::NotYet(_) => println!("{}: {} → not promised yet: {}", row.path(), row.what, row.due),
            State::Later(why) => println!("{}: {} → later: {why}", row.path(), row.what),
        }
    }
    true
}

/// Tries rows one after the other; says whether all that are promised met their due.
fn run(filter: Option<&str>, runs: u8) -> Result<bool, Trouble> {
    sweep::on_interrupt();
    sweep::leftovers();
    Lab::allowed()?;
    let programs = Programs::find()?;
    let mut report = Report::load();
    let (mut tried, mut met, mut waiting) = (0, 0, 0);
    for row in chapter::rows().into_iter().filter(|row| row.matches(filter)) {
        let Some(run) = row.state.run() else { continue };
        let outcome = attempts(run, &programs, runs);
        println!("{}: {}", row.path(), outcome.line(&row));
        if row.state.is_promised() {
            tried += 1;
            met += usize::from(outcome.is_met());
        } else {
            waiting += usize::from(!outcome.is_met());
        }
        report.put(&row, outcome);
        report.save()?;
    }
    println!("{met} of {tried} rows met their due; {waiting} more are not met yet and not promised");
    // Nothing tried is nothing proven.
    Ok(tried > 0 && met == tried)
}

fn attempts(run: Run, programs: &Programs, runs: u8) -> Outcome {
    let mut outcome = Outcome::default();
    (0..runs).for_each(|_| outcome.add(&run(programs)));
    outcome
}

fn table() -> Result<bool, Trouble> {
    println!("wrote {}", Report::load().document(&chapter::rows())?.display());
    Ok(true)
}
