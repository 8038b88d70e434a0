//! The command line: what can be asked, and how each failure ends.

mod arguments;
mod config;
mod failure;
mod keys;
mod log;
mod operate;
mod output;
mod parts;
mod reload;
mod run;
mod token;
mod up;

use std::process::{self, ExitCode};

use clap::{Parser, Subcommand};

use self::{arguments::SettingsArgs, failure::Failure};
use crate::telemetry::tracing::Exporting;

/// beach-lifeguard: the relay that carries a session when nothing else does, and the control plane that
/// mints its tokens.
#[derive(Debug, Parser)]
#[command(name = "beach-lifeguard", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay plane.
    Serve(SettingsArgs),
    /// Run the control plane: sessions, tokens, signaling, TURN credentials.
    ControlPlane(SettingsArgs),
    /// Run both on this machine, with a memory store and keys made at start. For development only.
    Dev(run::DevArgs),
    /// Run both for friends: on one port, with keys and a certificate made once, whose fingerprint travels in links.
    Up(up::UpArgs),
    /// Make or inspect fallback tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Make or rotate the keys that sign tokens.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Check or print configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Pause minting (or more) on a running process: the kill switch.
    Pause(operate::PauseArgs),
    /// Take the kill switch back.
    Resume(operate::ResumeArgs),
    /// Let everybody go from a running relay, and keep it up but unready.
    Drain(operate::ScopeArgs),
    /// Show what a running process is doing.
    Status(operate::AdminArgs),
}

impl Cli {
    /// Reads the command line; ends the program when it cannot be read or asks for help. What was pasted there and is
    /// quoted steers no terminal.
    pub fn from_command_line() -> Self {
        Self::try_parse().unwrap_or_else(|refused| {
            if !refused.use_stderr() {
                refused.exit();
            }
            output::note(refused.render().to_string().trim_end());
            process::exit(refused.exit_code())
        })
    }

    /// Does what was asked, and says in one line why it could not.
    pub async fn run(self) -> ExitCode {
        let (done, exporting) = match log::start() {
            Ok(exporting) => (self.obey().await, exporting),
            Err(failure) => (Err(failure), Exporting::default()),
        };
        exporting.finish().await;
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                output::note(format_args!("beach-lifeguard: {failure}"));
                failure.exit_code()
            }
        }
    }

    async fn obey(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => run::serve(args).await,
            Command::ControlPlane(args) => run::control_plane(args).await,
            Command::Dev(args) => run::dev(args).await,
            Command::Up(args) => up::up(args).await,
            Command::Token(command) => token::run(command),
            Command::Keys(command) => keys::run(command),
            Command::Config(command) => config::run(command),
            Command::Pause(args) => operate::pause(args).await,
            Command::Resume(args) => operate::resume(args).await,
            Command::Drain(args) => operate::drain(args).await,
            Command::Status(args) => operate::status(args).await,
        }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 input or output failed · 2 wrong usage · 3 configuration · 4 address in use · \
5 process not reachable · 6 process refused · 7 unusable key or token · 9 connections closed at the drain's deadline · \
10 state directory of `up` · 11 public address of `up`";
