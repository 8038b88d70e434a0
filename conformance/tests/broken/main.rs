//! The suite tests itself: each deliberately broken transport is caught by the case meant for it.

mod connector;
mod flaw;
mod transport;

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use conformance::{Card, Direction, Fault, Faults, Pair, SetupError, Subject, run_case, suite};
use libtest_mimic::{Arguments, Failed, Trial};
use transport_core::memory::{self, Side};

use self::{
    connector::RoomConnector,
    flaw::{FLAWS, Flaw},
    transport::Broken,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait more than they compute.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let mut trials: Vec<Trial> = FLAWS
        .iter()
        .map(|&(flaw, case, what)| {
            Trial::test(format!("{flaw:?} is caught by {case}"), move || caught(flaw, case, what))
        })
        .collect();
    let cases: BTreeSet<&str> = FLAWS.iter().map(|&(_, case, _)| case).collect();
    trials.extend(
        cases
            .into_iter()
            .map(|case| Trial::test(format!("without a flaw it passes {case}"), move || healthy(case))),
    );
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !conclusion.has_failed() && arguments.filter.is_none() && !arguments.list {
        print_table();
    }
    conclusion.exit_code()
}

/// Each defect and the case that found it.
fn print_table() {
    let width = FLAWS.iter().map(|(_, _, what)| what.len()).max().unwrap_or(0);
    println!("{:width$}  caught by", "a transport that");
    for (_, case, what) in FLAWS {
        println!("{what:width$}  {case}");
    }
    println!("{} of {} seeded defects caught", FLAWS.len(), FLAWS.len());
}

fn caught(flaw: Flaw, case: &str, what: &str) -> Result<(), Failed> {
    let case = suite::find(case).ok_or("no such case")?;
    match run_case(Arc::new(Wrapped { flaw: Some(flaw) }), case, Direction::Forth, 1) {
        Ok(()) => Err(format!("{} passed a transport that {what}", case.name).into()),
        Err(failure) => {
            println!("caught: a transport that {what}\n    by {} (§{}): {failure}", case.name, case.clause);
            Ok(())
        }
    }
}

fn healthy(case: &str) -> Result<(), Failed> {
    let case = suite::find(case).ok_or("no such case")?;
    run_case(Arc::new(Wrapped { flaw: None }), case, Direction::Forth, 1)?;
    Ok(())
}

/// The memory transport in a wrapper with a flaw, on both ends.
#[derive(Debug)]
struct Wrapped {
    flaw: Option<Flaw>,
}

#[async_trait::async_trait]
impl Subject for Wrapped {
    fn card(&self) -> Card {
        let connector = Arc::new(RoomConnector::new(self.flaw));
        Card::new("broken")
            .faults(Faults::all())
            .detect(Duration::from_secs(1))
            .settle(Duration::from_millis(20))
            .dialled_by(connector.clone(), connector, Duration::from_secs(3))
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let (a, b, link) = memory::pair(memory::profile(64 * 1024, 16 * 1024));
        let flaw = self.flaw;
        Ok(Pair::new(Broken::new(a, flaw, Side::A), Broken::new(b, flaw, Side::B)).with_faults(
            move |fault| {
                for side in [Side::A, Side::B] {
                    match fault {
                        Fault::Cut => link.cut(),
                        Fault::Heal => link.heal(side),
                        // A path that re-sends what was lost is not native, whatever it claims.
                        Fault::Lose { .. } if flaw == Some(Flaw::ResendsDatagrams) => {}
                        Fault::Lose { share, seed } => link.lose_datagrams(side, share, seed),
                        Fault::Stall => link.stall(side),
                    }
                }
            },
        ))
    }
}
