//! Diagnostics: into a file or nowhere, never into the terminal that is shared.

use std::{path::Path, sync::Mutex};

use tracing_subscriber::EnvFilter;

use crate::{exit::Failure, files};

/// Appends diagnostics to `file`, which only its owner can read.
///
/// # Errors
///
/// [`Failure`] when the file cannot be opened or the filter cannot be read.
pub fn log_to(file: &Path, filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| Failure::Usage(format!("--log: {error}")))?;
    let file = files::append(file).map_err(Failure::io("the log file"))?;
    // An error means that a subscriber is set already: the embedding program's own.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .try_init();
    Ok(())
}
