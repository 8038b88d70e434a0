//! `beach-link ssh`.

use std::ffi::OsString;

use clap::Args;

use super::{MeetingArgs, NetworkArgs, ViewArgs};

/// `beach-link ssh`.
#[derive(Debug, Args)]
#[command(override_usage = "beach-link ssh [OPTIONS] [SSH OPTIONS] HOST [-- COMMAND [ARGUMENT]...]")]
pub struct SshArgs {
    /// The options of ssh, the host as ssh takes it, and behind two dashes a command with its arguments [default: your
    /// shell there]. This program's own options, which begin with two dashes, stand before them.
    #[arg(value_name = "HOST", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub line: Vec<OsString>,
    /// The program that is run as ssh.
    #[arg(long = "ssh", value_name = "PROGRAM", env = "BEACH_LINK_SSH", default_value = "ssh")]
    pub program: OsString,
    /// How it is shown.
    #[command(flatten)]
    pub view: ViewArgs,
    /// Where the session meets; named here, it is named to the host as well.
    #[command(flatten)]
    pub meeting: MeetingArgs,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}
