//! The suite tests itself: each deliberately broken transport is caught by the case meant for it.

mod flaw;
mod transport;

use std::{process::ExitCode, sync::Arc, time::Duration};

use conformance::{Card, Direction, Fault, Faults, Pair, SetupError, Subject, run_case, suite};
use libtest_mimic::{Arguments, Failed, Trial};
use transport_core::memory::{self, Side};

use self::{
    flaw::{FLAWS, Flaw},
    transport::Broken,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = FLAWS
        .iter()
        .map(|&(flaw, case, what)| {
            Trial::test(format!("{flaw:?} is caught by {case}"), move || caught(flaw, case, what))
        })
        .collect();
    trials.push(Trial::test("the same wrapper without a flaw passes all of these cases", healthy));
    libtest_mimic::run(&arguments, trials).exit_code()
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

fn healthy() -> Result<(), Failed> {
    for (_, case, _) in FLAWS {
        let found = suite::find(case).ok_or("no such case")?;
        run_case(Arc::new(Wrapped { flaw: None }), found, Direction::Forth, 1)
            .map_err(|failure| format!("{case}: {failure}"))?;
    }
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
        Card::new("broken")
            .faults(Faults::all())
            .detect(Duration::from_secs(1))
            .settle(Duration::from_millis(20))
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
