//! The short half of the field: every row that is due and quick, once. Where namespaces cannot be made every
//! row fails with the reason: a row that was not tried must not look passed.

use beach_field::{
    chapter,
    program::Programs,
    row::{Row, Run, State},
    topology::{Lab, sweep},
    trouble::Trouble,
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    // Two cores: more at a time would measure the laboratory.
    arguments.test_threads = Some(1);
    sweep::on_interrupt();
    sweep::leftovers();
    let ready = if arguments.list { Ok(()) } else { ready() };
    let trials = chapter::rows().into_iter().map(|row| trial(row, &ready)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn ready() -> Result<(), Trouble> {
    Lab::allowed()?;
    Programs::find().map(drop)
}

fn trial(row: Row, ready: &Result<(), Trouble>) -> Trial {
    let why = ready.as_ref().err().map(ToString::to_string);
    match row.state {
        State::Due(run) => Trial::test(row.path(), move || match why {
            Some(why) => Err(Failed::from(why)),
            None => attempt(row, run),
        }),
        State::Nightly(_) => left_out(&row, "nightly".to_owned()),
        State::NotYet(_) => left_out(&row, "not met yet".to_owned()),
        State::Later(why) => left_out(&row, format!("later: {why}")),
    }
}

/// Named among the ignored, with the reason as its kind.
fn left_out(row: &Row, why: String) -> Trial {
    Trial::test(row.path(), || Err(Failed::from("not in the short half")))
        .with_kind(why)
        .with_ignored_flag(true)
}

fn attempt(row: Row, run: Run) -> Result<(), Failed> {
    let figure = run(&Programs::find()?)?;
    println!("{}: {}", row.path(), figure.words);
    Ok(())
}
