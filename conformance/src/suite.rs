//! Runs the case list against subjects, as an ordinary test binary.

use std::{
    env,
    future::Future,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::{Mutex, RwLock};

use crate::{
    case::{Case, Ctx, Direction, Failure, Need, Result, within},
    cases,
    report::{CaseReport, Outcome, Report},
    subject::{Card, Subject},
};

/// Runs every case against every subject, in both directions, and reports.
///
/// Takes the arguments of an ordinary test binary (a name filter, `--list`, `--test-threads`, …)
/// and `--report json PATH`. The environment may name the seed (`CONFORMANCE_SEED`) and the report
/// (`CONFORMANCE_REPORT`). A run in which no case ran fails, except `--list`; one in which some did not run certifies
/// nothing. Cases run twice as many at a time as there are processors, because they wait as much as they compute;
/// those that measure time run alone, behind the others.
pub fn certify<S: Subject>(subjects: impl IntoIterator<Item = S>) -> ExitCode {
    certify_all(subjects.into_iter().map(|subject| Arc::new(subject) as Arc<dyn Subject>).collect())
}

/// The same for subjects of different types.
pub fn certify_all(subjects: Vec<Arc<dyn Subject>>) -> ExitCode {
    let (mut arguments, report_path) = match arguments(env::args().collect()) {
        Ok(parsed) => parsed,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let stale = stale_exemptions(&subjects);
    if !stale.is_empty() {
        eprintln!("exemptions from cases that do not exist: {}", stale.join(", "));
        return ExitCode::from(2);
    }
    let seed = seed();
    let started = Instant::now();
    let results = Arc::new(Mutex::new(Vec::new()));
    let trials = trials(&subjects, seed, &results);
    arguments.test_threads = arguments.test_threads.or_else(at_once);
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let mut cases = std::mem::take(&mut *results.lock());
    cases.extend(subjects.iter().flat_map(|subject| exempt(&subject.card())));
    let due = cases::all().count() * Direction::ALL.len();
    let report = Report::new(seed, started.elapsed(), cases, due);
    print!("{}", report.summary());
    if let Some(Err(error)) = report_path.map(|path| report.write(&path)) {
        eprintln!("the report could not be written: {error}");
        return ExitCode::from(2);
    }
    let ran = conclusion.num_passed + conclusion.num_failed;
    if ran == 0 && !arguments.ignored {
        eprintln!("no case ran: a run that proves nothing does not pass");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Runs one case once, in a runtime of its own, with a deadline.
///
/// # Errors
///
/// Why the case failed; a panic and a missed deadline are failures too.
pub fn run_case(subject: Arc<dyn Subject>, case: &Case, direction: Direction, seed: u64) -> Result<()> {
    let ctx = Ctx::new(subject, direction, seed);
    let run = case.run;
    run_alone(async move { run(&ctx).await })
}

/// Runs a case in a runtime of its own, with a deadline.
pub(crate) fn run_alone(case: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // On a worker, not on this thread: a case that blocks must not hide the deadline.
    let task = runtime.spawn(case);
    let outcome = runtime.block_on(within(CASE_LIMIT, "the case", task));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome? {
        Ok(outcome) => outcome,
        Err(panicked) => Err(Failure(format!("the case panicked: {panicked}"))),
    }
}

/// The reason why a subject need not pass a case, if there is one.
pub fn exemption(card: &Card, case: &Case) -> Option<&'static str> {
    let declared = card.exemptions.iter().find(|exemption| exemption.case == case.name);
    declared
        .map(|exemption| exemption.reason)
        .or_else(|| case.needs.iter().find_map(|need| need.missing(card)))
}

/// Finds a case by its full name.
pub fn find(name: &str) -> Option<&'static Case> {
    cases::all().find(|case| case.name == name)
}

fn trials(subjects: &[Arc<dyn Subject>], seed: u64, results: &Arc<Mutex<Vec<CaseReport>>>) -> Vec<Trial> {
    // Held for reading by cases that run beside others, for writing by those that must not.
    let quiet = Arc::new(RwLock::new(()));
    let (alone, together): (Vec<&Case>, Vec<&Case>) =
        cases::all().partition(|case| case.needs.contains(&Need::Quiet));
    let mut trials = Vec::new();
    let both = [&together, &alone].into_iter();
    for (cases, subject) in both.flat_map(|cases| subjects.iter().map(move |subject| (cases, subject))) {
        let card = subject.card();
        for &case in cases {
            for direction in Direction::ALL {
                let name = format!("{}::{}::{}", card.name, case.name, direction.label());
                let exempt = exemption(&card, case);
                let (subject, results, label) = (subject.clone(), results.clone(), card.name.clone());
                let (test, quiet) = (name.clone(), quiet.clone());
                let trial = Trial::test(name, move || {
                    let alone = case.needs.contains(&Need::Quiet);
                    let _together = (!alone).then(|| quiet.read());
                    let _alone = alone.then(|| quiet.write());
                    let started = Instant::now();
                    let outcome = run_case(subject, case, direction, seed);
                    results.lock().push(CaseReport {
                        subject: label,
                        case: case.name,
                        clause: case.clause,
                        direction: direction.label(),
                        outcome: match &outcome {
                            Ok(()) => Outcome::Passed,
                            Err(failure) => Outcome::Failed { why: failure.to_string() },
                        },
                        ms: started.elapsed().as_millis() as u64,
                    });
                    outcome.map_err(|failure| explain(case, seed, &test, &failure))
                });
                trials.push(match exempt {
                    Some(reason) => trial.with_kind(format!("exempt: {reason}")).with_ignored_flag(true),
                    None => trial,
                });
            }
        }
    }
    trials
}

/// What a failing case says: the clause, the seed and how to run it again.
fn explain(case: &Case, seed: u64, test: &str, failure: &Failure) -> Failed {
    Failed::from(format!(
        "{failure}\n  clause  docs/contract.md §{}\n  seed    {seed}\n  replay  CONFORMANCE_SEED={seed} cargo test -p {} --test {} -- --exact '{test}'",
        case.clause,
        env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".to_owned()),
        target(),
    ))
}

/// The name of this test target: the binary's, without cargo's hash.
fn target() -> String {
    let binary = env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let binary = binary.unwrap_or_else(|| "TARGET".to_owned());
    binary.rsplit_once('-').map_or(binary.clone(), |(name, _hash)| name.to_owned())
}

fn exempt(card: &Card) -> Vec<CaseReport> {
    let exempt = |case: &'static Case| Some((case, exemption(card, case)?));
    cases::all()
        .filter_map(exempt)
        .flat_map(|(case, reason)| {
            Direction::ALL.map(|direction| CaseReport {
                subject: card.name.clone(),
                case: case.name,
                clause: case.clause,
                direction: direction.label(),
                outcome: Outcome::Exempt { reason: reason.to_owned() },
                ms: 0,
            })
        })
        .collect()
}

fn stale_exemptions(subjects: &[Arc<dyn Subject>]) -> Vec<&'static str> {
    let exemptions = subjects.iter().flat_map(|subject| subject.card().exemptions);
    exemptions.map(|exemption| exemption.case).filter(|case| find(case).is_none()).collect()
}

/// Takes `--report json PATH` out of the arguments; the rest is an ordinary test binary's.
fn arguments(mut all: Vec<String>) -> Result<(Arguments, Option<String>), String> {
    let mut path = env::var("CONFORMANCE_REPORT").ok();
    if let Some(at) = all.iter().position(|argument| argument == "--report") {
        let value: Vec<String> = all.splice(at..all.len().min(at + 3), []).skip(1).collect();
        let [format, to] =
            <[String; 2]>::try_from(value).map_err(|_| "usage: --report json PATH".to_owned())?;
        if format != "json" {
            return Err(format!("reports are written as json, not {format}"));
        }
        path = Some(to);
    }
    Ok((Arguments::from_iter(all), path))
}

/// The seed of this run: fixed unless the environment names another, so that a red build stays red.
fn seed() -> u64 {
    env::var("CONFORMANCE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// How many cases run at a time, unless somebody says: `None` where the processors cannot be counted.
fn at_once() -> Option<usize> {
    std::thread::available_parallelism().ok().map(|processors| 2 * processors.get())
}

/// No case may take longer. The slowest in-tree one waits out a dead WebRTC path in some 15 s.
const CASE_LIMIT: Duration = Duration::from_secs(60);
