//! Simulates weeks of sessions and writes the report: `beach-simulate --days 28 --sessions 10000`.

use std::{fs, io, path::PathBuf, process::ExitCode};

use clap::Parser;
use conformance::simulator::{Plan, report, simulate};
use indicatif::{ProgressBar, ProgressStyle};

/// Simulates sessions in virtual time, each judged by the real fallback policy.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Virtual days.
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u64).range(1..=3_650))]
    days: u64,
    /// Sessions that begin on each day.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    sessions: u64,
    /// Makes the run repeatable.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Folder for `simulator.md` and its plots; without it only the promises are printed.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let plan = Plan::new(args.days, args.sessions, args.seed);
    let bar = ProgressBar::new(args.days * args.sessions);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} sessions, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    let tally = simulate(&plan, |sessions| bar.inc(sessions));
    bar.finish_and_clear();
    let promises = report::promises(&tally);
    for promise in &promises {
        println!("{}  {}: {}", if promise.kept { "kept  " } else { "BROKEN" }, promise.text, promise.found);
    }
    if let Some(folder) = &args.out
        && let Err(error) = write(folder, &plan, &tally)
    {
        eprintln!("beach-simulate: cannot write to {}: {error}", folder.display());
        return ExitCode::from(2);
    }
    if promises.iter().all(|promise| promise.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(folder: &PathBuf, plan: &Plan, tally: &conformance::simulator::Tally) -> io::Result<()> {
    let command = format!(
        "cargo run -p beach-conformance --no-default-features --bin beach-simulate -- --days {} --sessions {} --seed {} --out {}",
        plan.days,
        plan.sessions,
        plan.seed,
        folder.display()
    );
    fs::create_dir_all(folder)?;
    fs::write(folder.join("simulator.md"), report::markdown(plan, tally, &command))?;
    for (name, svg) in report::plots(tally) {
        fs::write(folder.join(name), svg)?;
    }
    Ok(())
}
