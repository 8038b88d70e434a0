//! `config check` and `config print-default`.

use clap::Subcommand;

use super::{arguments::SettingsArgs, failure::Failure, output};
use crate::config;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read flags, environment and file, and show what differs from the defaults. Secrets stay hidden.
    Check(SettingsArgs),
    /// Print a configuration file with every key, its default and what it does.
    PrintDefault,
}

pub(crate) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::PrintDefault => output::print(&config::default_toml()),
        ConfigCommand::Check(args) => {
            let (_, values) = args.load()?;
            let changed = config::checked(&values);
            output::print(if changed.is_empty() { "all defaults\n" } else { &changed })?;
            output::line("ok")
        }
    }
}
