//! The kit for relays tests itself: our own relay behind a go-between that breaks one rule is caught by the case
//! meant for that rule, and behind one that breaks none it passes all of them.

mod between;
#[path = "../subjects/dev.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod dev;

use std::process::ExitCode;

use conformance::relay::{RelayTarget, run_relay_case};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use self::between::{FLAWS, Flaw, go_between};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let services = dev::Services::start();
    let origin = services.public_url.clone();
    let runtime = Runtime::new().expect("a runtime");
    let mut trials = Vec::new();
    for (flaw, case) in FLAWS {
        let target = target(&runtime, &origin, Some(flaw));
        trials
            .push(Trial::test(format!("{flaw:?} is caught by {case}"), move || caught(&target, flaw, case)));
    }
    let honest = target(&runtime, &origin, None);
    trials.push(Trial::test("without a flaw it passes all of these cases", move || passes(&honest)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    runtime.shutdown_background();
    conclusion.exit_code()
}

fn target(runtime: &Runtime, origin: &str, flaw: Option<Flaw>) -> RelayTarget {
    let relay = origin.replacen("http", "ws", 1);
    let between = runtime.block_on(go_between(relay, flaw)).expect("a port");
    RelayTarget::new(format!("ws://{between}"), origin)
}

fn caught(target: &RelayTarget, flaw: Flaw, case: &str) -> Result<(), Failed> {
    match run_relay_case(target, case).ok_or("no such case")? {
        Ok(()) => Err(format!("{case} passed a relay that has the flaw {flaw:?}").into()),
        Err(failure) => {
            println!("caught: {flaw:?} by {case}: {failure}");
            Ok(())
        }
    }
}

fn passes(target: &RelayTarget) -> Result<(), Failed> {
    for (_, case) in FLAWS {
        run_relay_case(target, case)
            .ok_or("no such case")?
            .map_err(|failure| format!("{case}: {failure}"))?;
    }
    Ok(())
}
