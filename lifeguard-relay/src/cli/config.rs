//! `config check` and `config print-default`.

use clap::{Args, Subcommand};

use super::{
    arguments::SettingsArgs,
    failure::Failure,
    output,
    parts::{self, Plane},
};
use crate::config;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read flags, environment and file and all files they name, as a start does, and show what differs from the
    /// defaults. Secrets stay hidden. No address is opened, and no store is dialled.
    Check(CheckArgs),
    /// Print a configuration file with every key, its default and what it does.
    PrintDefault,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// What will be started with it: then what that cannot do without must be there.
    #[arg(long = "for", value_enum, value_name = "COMMAND")]
    plane: Option<Plane>,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::PrintDefault => output::print(&config::default_toml()),
        ConfigCommand::Check(args) => {
            let (settings, values) = args.settings.load()?;
            parts::check(&settings, &values, args.plane)?;
            for file in parts::exposed(&settings, &values) {
                output::note(format_args!("{}: {}", file.display(), parts::EXPOSED));
            }
            let changed = config::checked(&values);
            output::print(if changed.is_empty() { "all defaults\n" } else { &changed })?;
            output::line("ok")
        }
    }
}
