//! The parts of `beach-link`: what a person or a script sees of a session that survives its transport.
//!
//! The binary parses arguments, calls [`run`] and exits with its code. The modules are public so that tests
//! can drive one end in process; they are no stable interface.
#![forbid(unsafe_code)]
// Printed is through `ui` alone: it strips what steers a terminal, and a closed standard output is no panic.
#![deny(clippy::print_stderr, clippy::print_stdout)]

pub mod args;
#[cfg(feature = "demo")]
pub mod demo;
pub mod diagnostics;
pub mod exit;
pub mod files;
pub mod first_contact;
pub mod guard;
pub mod host;
pub mod link;
pub mod manual;
pub mod meeting;
pub mod pipe;
pub mod probe;
pub mod qr;
pub mod reach;
pub mod screen;
pub mod settings;
pub mod signal;
pub mod ssh;
pub mod terminal;
pub mod ui;
pub mod viewer;

/// What the two ends say to each other.
pub use beach_link_wire as wire;

use args::{Cli, Command, PipeCommand};
use exit::Failure;

/// Does what the arguments ask for. Returns the exit code.
///
/// # Errors
///
/// [`Failure`], which has an exit code of its own.
pub async fn run(cli: Cli) -> Result<u8, Failure> {
    if let Some(file) = &cli.log_file {
        diagnostics::log_to(file, &cli.log)?;
    }
    match cli.command {
        Command::Attach(args) => host::sessions::attach(args).await,
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::demo(args).await,
        Command::Completions(args) => manual::completions(&args),
        Command::Explain(args) => viewer::explain::explain(args).await,
        Command::Join(args) => viewer::join::join(args).await,
        Command::List(args) => host::sessions::list(args).await,
        Command::Man(args) => manual::man(&args),
        Command::Pipe(PipeCommand::Host(args)) => pipe::host(args).await,
        Command::Pipe(PipeCommand::Join(args)) => pipe::join(args).await,
        Command::Probe(args) => probe::probe(args).await,
        Command::Receive(args) => pipe::receive::receive(args).await,
        Command::Send(args) => pipe::send::send(args).await,
        Command::Sessions(args) => host::sessions::sessions(args).await,
        Command::Share(args) => host::share::share(args).await,
        Command::Ssh(args) => ssh::ssh(args).await,
        Command::Stop(args) => host::sessions::stop(args).await,
    }
}
