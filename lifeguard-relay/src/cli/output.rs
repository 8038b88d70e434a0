//! What commands print. Standard output may be closed, or a disk that is full: then a command fails with a sentence, and
//! a service goes on. On standard error stand remarks, which are missed where nobody reads them.

use std::io::{self, Write};

use beach_lifeguard_client::Text;

use super::failure::Failure;

/// Prints `text`, but for what would steer a terminal: some of it is others' words.
///
/// # Errors
///
/// [`Failure::Output`] when it did not get through.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(printable(text).as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Prints `text` and ends the line.
///
/// # Errors
///
/// As [`print`].
pub(super) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// Says something on standard error, in a line of its own. Unlike `eprintln!` it does not panic when that is closed.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

fn printable(text: &str) -> String {
    text.chars().filter(|&c| matches!(c, '\n' | '\t') || Text::shows(c)).collect()
}
