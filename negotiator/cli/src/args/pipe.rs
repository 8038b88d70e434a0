//! `beach-link pipe`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{MeetingArgs, NetworkArgs};
use crate::link::LinkArgs;

/// `beach-link pipe`.
#[derive(Debug, Subcommand)]
pub enum PipeCommand {
    /// Wait for one peer; print the link on standard error.
    Host(PipeHostArgs),
    /// Join the host's pipe.
    Join(PipeJoinArgs),
}

/// `beach-link pipe host`.
#[derive(Debug, Args)]
pub struct PipeHostArgs {
    /// Write the link into this file, readable by you alone, instead of to standard error.
    #[arg(long, value_name = "FILE")]
    pub link_file: Option<PathBuf>,
    /// How the streams are treated.
    #[command(flatten)]
    pub stream: StreamArgs,
    /// Where the session meets.
    #[command(flatten)]
    pub meeting: MeetingArgs,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `beach-link pipe join`.
#[derive(Debug, Args)]
pub struct PipeJoinArgs {
    /// Whom to join.
    #[command(flatten)]
    pub link: LinkArgs,
    /// How the streams are treated.
    #[command(flatten)]
    pub stream: StreamArgs,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `beach-link send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the link into this file, readable by you alone, instead of to standard error.
    #[arg(long, value_name = "FILE")]
    pub link_file: Option<PathBuf>,
    /// Where the session meets.
    #[command(flatten)]
    pub meeting: MeetingArgs,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `beach-link receive`.
#[derive(Debug, Args)]
pub struct ReceiveArgs {
    /// Whom to receive from.
    #[command(flatten)]
    pub link: LinkArgs,
    /// Where to put the file: a folder, or a name for it [default: the sender's name, here].
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// What both ends of a pipe can choose.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct StreamArgs {
    /// Send nothing. A terminal on standard input is never read.
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// Show bytes, speed and path on standard error.
    #[arg(long)]
    pub progress: bool,
}
