//! What keeps the laboratory itself from working. A row that fails for this reason says nothing about the product.

use std::{io, path::PathBuf, process::Command};

/// The laboratory could not be set up, or one of its own parts failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// A command ended badly.
    #[error("`{command}`: {said}")]
    Command {
        /// The command and its arguments.
        command: String,
        /// What it said, or why it could not be started.
        said: String,
    },
    /// A file, socket or process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program of this workspace has not been built.
    #[error("{} is missing: build it first, `cargo build -p beach-link -p beach-lifeguard`", .0.display())]
    Missing(PathBuf),
    /// This machine does not allow namespaces.
    #[error("no network namespaces here ({0}): the field laboratory needs root, `ip` and `nft`")]
    NotAllowed(String),
    /// A rule was given to the firewall and is not in its list.
    #[error("the firewall does not list {rule:?} but: {listed}")]
    RuleLost {
        /// The rule.
        rule: String,
        /// What is listed.
        listed: String,
    },
    /// A server did not become ready.
    #[error("{name} is not ready: {said}")]
    NotReady {
        /// Which one.
        name: String,
        /// What it said.
        said: String,
    },
}

impl Trouble {
    /// Wraps a failed file, socket or process.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
///
/// [`Trouble::Command`] unless it succeeded.
pub fn output(command: &mut Command) -> Result<String, Trouble> {
    let words = || {
        let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
        let program = command.get_program().to_string_lossy().into_owned();
        std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
    };
    let name = words();
    let failed = |said: String| Trouble::Command { command: name, said };
    match command.output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}
