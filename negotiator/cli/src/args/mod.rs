//! What can be written behind `beach-link`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use negotiator::{FallbackMode, NetworkConfig};
use transport_webrtc::{IceServer, WebRtcConfig, config::IceUrl};

use crate::{exit, exit::Failure, link::LinkArgs, reach::ReachArgs, viewer::keys::EscapeKey};

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

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[cfg(feature = "demo")]
    /// Show it working, on this machine alone: a shell moves from WebRTC to the relay and back.
    Demo(DemoArgs),
    /// Say which path a session takes from here, and why; then leave again.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Join a shared terminal.
    #[command(after_help = JOIN_HELP)]
    Join(JoinArgs),
    /// Carry standard input and output, for scripts.
    #[command(subcommand, after_help = PIPE_HELP)]
    Pipe(PipeCommand),
    /// Measure both paths from here: set-up, round trip, throughput.
    #[command(after_help = PROBE_HELP)]
    Probe(ProbeArgs),
    /// Run a command in a terminal that others can join.
    #[command(after_help = SHARE_HELP)]
    Share(ShareArgs),
}

/// `beach-link share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The command and its arguments [default: your shell].
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Viewers may watch and not type.
    #[arg(long)]
    pub read_only: bool,
    /// Also write the link into this file, readable by you alone.
    #[arg(long, value_name = "FILE")]
    pub link_file: Option<PathBuf>,
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
    /// The key that begins a command to this program: ^^, ^], ^A, … or none.
    #[arg(long, value_name = "KEY", default_value = "^^")]
    pub escape: EscapeKey,
    /// What to print. JSON: one object per line for each event, and no terminal.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Which paths it may take.
    #[command(flatten)]
    pub network: NetworkArgs,
}

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

/// Where a new session meets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Meeting point")]
pub struct MeetingArgs {
    /// The control plane. `beach-lifeguard dev` runs one at the default address.
    #[arg(long, value_name = "URL", env = "BEACH_CONTROL_PLANE", default_value = "http://127.0.0.1:9443")]
    pub control_plane: String,
}

/// Which paths a session may take.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Paths")]
pub struct NetworkArgs {
    /// Directly or not at all: neither TURN nor the relay.
    #[arg(long, conflicts_with_all = ["relay_only", "no_relay"])]
    pub direct_only: bool,
    /// Through the relay at once.
    #[arg(long, conflicts_with = "no_relay")]
    pub relay_only: bool,
    /// Directly or through TURN, never through the relay.
    #[arg(long)]
    pub no_relay: bool,
    /// Offer loopback addresses too: for two ends on one machine without a network.
    #[arg(long)]
    pub loopback: bool,
    /// A STUN server, as stun:HOST or stun:HOST:PORT. May be repeated. TURN servers, which need credentials, come from
    /// the environment: BEACH_ICE_SERVERS='[{"urls":…,"username":…,"credential":…}]'.
    #[arg(long, value_name = "URL")]
    pub ice_server: Vec<String>,
    /// How long to look for a path before giving up. Without any direct path the relay takes about 5 s.
    #[arg(long, value_name = "SECONDS", default_value = "45", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub connect_timeout: u64,
    /// The cohort this client belongs to.
    #[arg(long, value_name = "NAME", env = "BEACH_FALLBACK_COHORT", default_value = "public")]
    pub fallback_cohort: String,
    /// Proof that you may use the relay: a token from your account.
    #[arg(long, value_name = "TOKEN", env = "BEACH_ENTITLEMENT_PROOF", hide_env_values = true)]
    pub fallback_entitlement_proof: Option<String>,
    /// Let the relay count this session in its per-session figures.
    #[arg(
        long,
        value_name = "BOOL",
        env = "BEACH_FALLBACK_TELEMETRY_OPT_IN",
        value_parser = boolean,
        default_value = "false",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true
    )]
    pub fallback_telemetry_opt_in: bool,
    /// How the service is reached.
    #[command(flatten)]
    pub reach: ReachArgs,
}

impl NetworkArgs {
    /// Turns the arguments, and the environment names of WebRTC, into the library's configuration.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] naming what cannot be.
    pub fn config(&self) -> Result<NetworkConfig, Failure> {
        let mut config = NetworkConfig::default();
        config.mode = self.mode();
        config.connect_timeout = Duration::from_secs(self.connect_timeout);
        config.cohort.clone_from(&self.fallback_cohort);
        config.entitlement_proof.clone_from(&self.fallback_entitlement_proof);
        config.telemetry_opt_in = self.fallback_telemetry_opt_in;
        config.outbound = self.reach.config()?;
        config.webrtc = WebRtcConfig::from_env().map_err(|error| Failure::Usage(error.to_string()))?;
        config.webrtc.loopback = self.loopback;
        for url in &self.ice_server {
            let url: IceUrl =
                url.parse().map_err(|error| Failure::Usage(format!("--ice-server {url}: {error}")))?;
            config.webrtc.ice_servers.push(IceServer::new([url]));
        }
        Ok(config)
    }

    fn mode(&self) -> FallbackMode {
        match self {
            Self { direct_only: true, .. } => FallbackMode::DirectOnly,
            Self { relay_only: true, .. } => FallbackMode::RelayOnly,
            Self { no_relay: true, .. } => FallbackMode::NoRelay,
            _ => FallbackMode::Auto,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of seconds from 1 on".to_owned()),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

/// As generous as the environment names that other clients read.
fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// Examples for the whole program; the exit codes follow them.
const EXAMPLES: &str = "\
Examples:
  beach-link demo                           see a session move to the relay and back
  beach-lifeguard dev                       a relay and control plane for this machine, then:
  beach-link share -- htop                  prints a link
  beach-link join 'http://127.0.0.1:9443/s#…'

Links hold the secret behind their #: quote them, and hand them out like passwords.";

const SHARE_HELP: &str = "\
Examples:
  beach-link share                          your shell, for whoever has the link
  beach-link share --read-only -- htop      watch only
  beach-link share --control-plane https://beach.example -- tmux attach

The terminal has the size of the smallest viewer. The command ends when it ends, not when viewers leave;
`share` then exits with its status.";

const EXPLAIN_HELP: &str = "\
Inside `beach-link join`, the escape key and e say the same about the session that is running.

Examples:
  beach-link explain 'https://beach.example/s#…'
  beach-link explain --output json 'https://beach.example/s#…' | jq .explain.tried";

const JOIN_HELP: &str = "\
Keys, behind the escape key (Ctrl-^):
  e  explain which path is used, since when and why      l  draw everything anew
  q  quit; the session goes on without you               ?  this list

Examples:
  beach-link join 'http://127.0.0.1:9443/s#…'
  beach-link join --link-file link           keeps the link out of the list of processes
  BEACH_LINK=… beach-link join --output json | jq .reason";

const PIPE_HELP: &str = "\
Each end reads standard input until it closes, and writes what the other sends to standard output. It exits
with success only when the other end has written everything and has sent everything, checked by SHA-256.

Examples:
  tar c src | beach-link pipe host --link-file link        on one machine
  beach-link pipe join --link-file link -n | tar x         on the other";

const PROBE_HELP: &str = "\
Both ends of each session are in this process: what is measured is this machine, the control plane and the relay.

Examples:
  beach-link probe --control-plane https://beach.example
  beach-link probe --output json || mail -s 'a path is down' oncall < /dev/null";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn network(arguments: &[&str]) -> Result<NetworkArgs, clap::Error> {
        let base = ["beach-link", "join", "http://h/s#x"];
        match Cli::try_parse_from(base.iter().chain(arguments))?.command {
            Command::Join(join) => Ok(join.network),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_telemetry_flag_takes_an_optional_value() {
        let opted = |arguments: &[&str]| network(arguments).map(|args| args.fallback_telemetry_opt_in).ok();
        assert_eq!(opted(&["--fallback-telemetry-opt-in=false"]), Some(false));
        assert_eq!(opted(&["--fallback-telemetry-opt-in=on"]), Some(true));
        assert_eq!(opted(&["--fallback-telemetry-opt-in"]), Some(true));
        assert_eq!(opted(&["--fallback-telemetry-opt-in=maybe"]), None);
    }

    #[test]
    fn path_flags_exclude_one_another() {
        for (arguments, mode) in [
            (&[][..], FallbackMode::Auto),
            (&["--direct-only"], FallbackMode::DirectOnly),
            (&["--relay-only"], FallbackMode::RelayOnly),
            (&["--no-relay"], FallbackMode::NoRelay),
        ] {
            assert_eq!(network(arguments).unwrap().mode(), mode);
        }
        assert!(network(&["--direct-only", "--relay-only"]).is_err());
        assert!(network(&["--relay-only", "--no-relay"]).is_err());
    }

    #[test]
    fn a_bad_ice_server_is_named() {
        let failure = network(&["--ice-server", "http://x"]).unwrap().config().unwrap_err();
        assert!(failure.to_string().contains("http://x"), "{failure}");
    }

    #[test]
    fn the_command_line_behind_two_dashes_is_the_commands_own() {
        let cli = Cli::try_parse_from(["beach-link", "share", "--", "ls", "--help"]).unwrap();
        let Command::Share(share) = cli.command else { panic!() };
        assert_eq!(share.command, ["ls", "--help"]);
    }
}
