//! What can be written behind `beach-link`.

mod help;
mod network;
mod pipe;
mod sessions;
mod ssh;

use std::{ffi::OsString, path::PathBuf, process, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::help::{
    ATTACH_HELP, COMPLETIONS_HELP, EXAMPLES, EXPLAIN_HELP, FILE_HELP, JOIN_HELP, PIPE_HELP, PROBE_HELP,
    SESSIONS_HELP, SHARE_HELP, SSH_HELP,
};
pub use self::{
    network::{MeetingArgs, NetworkArgs},
    pipe::{PipeCommand, PipeHostArgs, PipeJoinArgs, ReceiveArgs, SendArgs, StreamArgs},
    sessions::{
        AddLinkArgs, AttachArgs, LinksCommand, ListArgs, Role, SessionsArgs, SessionsCommand, StopArgs,
    },
    ssh::SshArgs,
};
use crate::{
    exit::{self, Failure},
    link::LinkArgs,
    settings::Settings,
    terminal::keys::EscapeKey,
    ui::{Lines, To},
    viewer::{predict::Predict, view::Clipboard},
    wire::Size,
};

/// Shares a terminal, or any stream of bytes, over a session that survives its transport: directly between the
/// two machines while that works, through a relay that can read nothing while it does not.
#[derive(Debug, Parser)]
#[command(name = "beach-link", version, after_help = format!("{EXAMPLES}\n\n{}", exit::TABLE), max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Append diagnostics to this file. Nothing of them ever goes to the terminal.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Diagnostics")]
    pub log_file: Option<PathBuf>,
    /// What to put there: error, warn, info, debug, trace, or directives per module.
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "BEACH_LOG",
        default_value = "info",
        help_heading = "Diagnostics"
    )]
    pub log: String,
}

impl Cli {
    /// Reads the command line; ends the program when it cannot be read or asks for help. What was pasted there and is
    /// quoted steers no terminal.
    pub fn from_command_line() -> Self {
        Self::try_parse().unwrap_or_else(|refused| {
            if !refused.use_stderr() {
                refused.exit();
            }
            Lines::new(To::Stderr).say(refused.render().to_string().trim_end());
            process::exit(refused.exit_code())
        })
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a session that runs on this machine in this terminal; leaving it leaves it running.
    #[command(after_help = ATTACH_HELP)]
    Attach(AttachArgs),
    /// Print completions for a shell.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    #[cfg(feature = "demo")]
    /// Show it working, on this machine alone: a shell moves from WebRTC to the relay and back.
    Demo(DemoArgs),
    /// Say which path a session takes from here, and why; then leave again.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Join a shared terminal.
    #[command(after_help = JOIN_HELP)]
    Join(JoinArgs),
    /// List your sessions on this machine.
    List(ListArgs),
    /// Print the manual page, or write those of all subcommands into a folder.
    Man(ManArgs),
    /// Carry standard input and output, for scripts.
    #[command(subcommand, after_help = PIPE_HELP)]
    Pipe(PipeCommand),
    /// Measure both paths from here: set-up, round trip, throughput.
    #[command(after_help = PROBE_HELP)]
    Probe(ProbeArgs),
    /// Receive a file that somebody sends.
    #[command(after_help = FILE_HELP)]
    Receive(ReceiveArgs),
    /// Send a file to whoever has the link.
    #[command(after_help = FILE_HELP)]
    Send(SendArgs),
    /// Say who is in a session of this machine, and decide about them and its links.
    #[command(after_help = SESSIONS_HELP)]
    Sessions(SessionsArgs),
    /// Run a command in a terminal that others can join.
    #[command(after_help = SHARE_HELP)]
    Share(ShareArgs),
    /// Run a command on another machine, started over ssh, in a session that outlives ssh.
    #[command(after_help = SSH_HELP)]
    Ssh(SshArgs),
    /// End a session that runs on this machine.
    Stop(StopArgs),
}

/// `beach-link completions`.
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `beach-link man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Where to write the pages, one a file; made if it is not there.
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// `beach-link share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The command and its arguments, behind all options [default: your shell].
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Viewers may watch and not type.
    #[arg(long)]
    pub read_only: bool,
    /// Print a second link, for viewers who may watch and not type.
    #[arg(long, conflicts_with = "read_only")]
    pub also_read_only: bool,
    /// Ask before anybody is let in. Who knocks is shown with name and link, and turned away after a minute.
    #[arg(long)]
    pub approve: bool,
    /// Go on in the background, whatever happens to this terminal; `attach`, `stop` and `sessions` reach it.
    #[arg(long, conflicts_with_all = ["board", IN_BACKGROUND_ID])]
    pub detach: bool,
    /// Show who comes and goes in place of the shared terminal.
    #[arg(long)]
    pub board: bool,
    /// What the session is called on this machine [default: a few random digits].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The key that begins a command to this program: ^^, ^], ^A, … or none.
    #[arg(long, value_name = "KEY", default_value = "^^")]
    pub escape: EscapeKey,
    /// The background half of --detach.
    #[arg(id = IN_BACKGROUND_ID, long = "in-background", hide = true)]
    pub in_background: bool,
    /// Also write the link into this file, readable by you alone.
    #[arg(long, value_name = "FILE")]
    pub link_file: Option<PathBuf>,
    /// Also draw the link as a QR code.
    #[arg(long)]
    pub qr: bool,
    /// Give the terminal this size, whoever watches: 120x40. Larger viewers see a border, smaller ones a part of it
    /// [default: the smallest of those who may type].
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub size: Option<Size>,
    /// Keep so many KiB of the lines that leave the top of the screen. Whoever has a link can read them; 0 keeps none.
    #[arg(long, value_name = "KIB", default_value_t = HISTORY, value_parser = clap::value_parser!(u32).range(..=1_048_576))]
    pub history: u32,
    /// Let new viewers in for so long only.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub link_lifetime: Option<Duration>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Where the session meets.
    #[command(flatten)]
    pub meeting: MeetingArgs,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `beach-link explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Whom to join.
    #[command(flatten)]
    pub link: LinkArgs,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `beach-link join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Whom to join.
    #[command(flatten)]
    pub link: LinkArgs,
    /// How it is shown.
    #[command(flatten)]
    pub view: ViewArgs,
    /// What to print. JSON: one object per line for each event, and no terminal.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// How somebody else's terminal is shown in this one.
#[derive(Debug, Clone, Args)]
pub struct ViewArgs {
    /// How the host sees you in its list; it proves nothing [default: your login name].
    #[arg(long, value_name = "NAME", env = "USER", hide_env = true)]
    pub name: Option<String>,
    /// The key that begins a command to this program: ^^, ^], ^A, … or none. Vim has a use for ^^ of its own.
    #[arg(long, value_name = "KEY", default_value = "^^")]
    pub escape: EscapeKey,
    /// When to show what you type before the host has drawn it: underlined until it has, and only where an echo was seen.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Predict::Adaptive)]
    pub predict: Predict,
    /// Whether what the shared program copies (OSC 52) reaches your terminal's clipboard. It never reads what is in there
    /// [default: what ~/.config/beach/config.toml says (clipboard = "ask"), else off].
    #[arg(long, value_enum, value_name = "WHEN")]
    pub clipboard: Option<Clipboard>,
    /// Leave the last screen in the terminal after leaving, too. What a command that ended showed last always stays.
    #[arg(long)]
    pub keep: bool,
    /// Give up when nothing was heard of the host for so long [default: never; a session that is over meanwhile is entered
    /// anew by the same link].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub give_up_after: Option<Duration>,
}

impl ViewArgs {
    /// What becomes of what the shared program copies: as said here, else as the person chose for every run.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] for a file of choices that cannot be read.
    pub fn clipboard(&self) -> Result<Clipboard, Failure> {
        match self.clipboard {
            Some(clipboard) => Ok(clipboard),
            None => Ok(Settings::of_person()?.clipboard.unwrap_or(Clipboard::Off)),
        }
    }
}

/// `beach-link probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// How long each of the four measurements takes.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub length: Duration,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Go on, and serve what was found at http://ADDRESS/metrics for Prometheus.
    #[arg(long, value_name = "ADDRESS")]
    pub serve: Option<std::net::SocketAddr>,
    /// With --serve: from the start of one round to the start of the next.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60", requires = "serve")]
    pub every: Duration,
    /// Where the sessions meet.
    #[command(flatten)]
    pub meeting: MeetingArgs,
    /// How the paths are reached; each is measured alone.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `beach-link demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Print one JSON object as the last line.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub report: Option<Report>,
    /// Seeds the bulk stream and the socket's impairments.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The form of the demo's report.
#[cfg(feature = "demo")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// One object on one line.
    Json,
}

/// What a subcommand prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// For a person.
    Text,
}

/// What the background half of `share --detach` is started with.
pub const IN_BACKGROUND: &str = "--in-background";

/// KiB of lines that left the top of the screen: some 30,000 of them.
const HISTORY: u32 = 4096;

const IN_BACKGROUND_ID: &str = "in_background";
/// Reads `120x40`.
fn size(text: &str) -> Result<Size, String> {
    let sides = text.split_once(['x', 'X', '×']);
    let size = sides.and_then(|(columns, rows)| Size::new(columns.parse().ok()?, rows.parse().ok()?));
    size.filter(|size| *size == size.shared()).ok_or_else(|| {
        let (least, most) = (Size::SMALLEST, Size::LARGEST);
        format!("columns×rows, from {}x{} to {}x{}", least.columns, least.rows, most.columns, most.rows)
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of seconds from 1 on".to_owned()),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_line_behind_two_dashes_is_the_commands_own() {
        let cli = Cli::try_parse_from(["beach-link", "share", "--", "ls", "--help"]).unwrap();
        let Command::Share(share) = cli.command else { panic!() };
        assert_eq!(share.command, ["ls", "--help"]);
    }

    #[test]
    fn a_command_needs_no_dashes_before_it_and_keeps_its_own_options() {
        let share = |line: &[&str]| {
            let cli = Cli::try_parse_from([&["beach-link", "share"], line].concat()).unwrap();
            let Command::Share(share) = cli.command else { panic!() };
            share
        };
        let bash = share(&["--read-only", "bash", "-c", "echo --size"]);
        assert_eq!((bash.command.join(" ".as_ref()), bash.read_only), ("bash -c echo --size".into(), true));
        assert_eq!(share(&["htop", "--read-only"]).command, ["htop", "--read-only"]);
        assert_eq!(share(&["--size", "120x40"]).size, Size::new(120, 40));
        for bad in ["120", "19x40", "120x3", "1001x40", "x", "-1x40", "65536x40"] {
            assert!(Cli::try_parse_from(["beach-link", "share", "--size", bad]).is_err(), "{bad}");
        }
    }
}
