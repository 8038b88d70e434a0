//! The command line.

use clap::{Parser, Subcommand};

use crate::report::Form;

/// Puts load on a relay, and on a forwarder that does nothing beside it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  lifeguard-load idle --connections 2000\n  lifeguard-load stream --sessions 250 --size 4096 --rate 65536 --reference\n  lifeguard-load fanout --viewers 100 --json\n  lifeguard-load churn --connections 2000\n  lifeguard-load throughput --sessions 8 --size 16384 --reference --markdown\n  lifeguard-load slow --fast 10 --slow 5\n  lifeguard-load soak --seconds 3600"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    /// Base URL of a control plane whose relay is loaded. Default: a relay of its own on this machine.
    #[arg(long, global = true)]
    pub(crate) control_plane: Option<String>,
    /// Repeat against a raw TCP forwarder and a WebSocket relay that does nothing, and print the ratios.
    /// There is none for slow viewers: a reference has no viewers beside one another.
    #[arg(long, global = true)]
    pub(crate) reference: bool,
    /// Print one JSON object for each run instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Print a Markdown report with the command and the machine.
    #[arg(long, global = true, conflicts_with = "json")]
    markdown: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Scenario {
    /// Connections that say nothing after one message: memory and CPU of each.
    Idle {
        /// How many.
        #[arg(long, default_value_t = 2_000)]
        connections: usize,
        /// How long to watch, in seconds.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// Sessions that send at a fixed rate whatever comes back: latency and CPU for each message.
    Stream {
        /// Sessions of one sender and one receiver.
        #[arg(long, default_value_t = 100)]
        sessions: usize,
        /// Payload of a message in bytes, at least 16.
        #[arg(long, default_value_t = 4_096)]
        size: usize,
        /// Payload of a session in bytes a second.
        #[arg(long, default_value_t = 65_536)]
        rate: usize,
        /// How long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// One sender to many viewers of one session.
    Fanout {
        /// How many viewers.
        #[arg(long, default_value_t = 100)]
        viewers: usize,
        /// Payload of a message in bytes, at least 16.
        #[arg(long, default_value_t = 1_024)]
        size: usize,
        /// Messages a second.
        #[arg(long, default_value_t = 200)]
        messages: usize,
        /// How long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Connect, authenticate, close, again and again.
    Churn {
        /// How many in all.
        #[arg(long, default_value_t = 1_000)]
        connections: usize,
    },
    /// As much as goes through, with a fixed number of messages in flight for each session.
    Throughput {
        /// Sessions of one sender and one receiver.
        #[arg(long, default_value_t = 8)]
        sessions: usize,
        /// Payload of a message in bytes, at least 16.
        #[arg(long, default_value_t = 16_384)]
        size: usize,
        /// Messages of a session on the way.
        #[arg(long, default_value_t = 4)]
        in_flight: usize,
        /// How long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Viewers that stop reading beside others that go on.
    Slow {
        /// Viewers that read.
        #[arg(long, default_value_t = 10)]
        fast: usize,
        /// Viewers that stop.
        #[arg(long, default_value_t = 5)]
        slow: usize,
        /// Payload of a message in bytes, at least 16.
        #[arg(long, default_value_t = 8_192)]
        size: usize,
        /// Messages a second.
        #[arg(long, default_value_t = 200)]
        messages: usize,
        /// How long each half lasts, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Traffic with comings and goings for long: whether memory grows.
    Soak {
        /// Sessions that talk all the time.
        #[arg(long, default_value_t = 50)]
        sessions: usize,
        /// Payload of a message in bytes, at least 16.
        #[arg(long, default_value_t = 4_096)]
        size: usize,
        /// Messages of each session a second.
        #[arg(long, default_value_t = 10)]
        messages: u32,
        /// Sessions a second that come, say one thing and go; 0 for none.
        #[arg(long, default_value_t = 5)]
        churn: u32,
        /// Seconds between two readings of the memory.
        #[arg(long, default_value_t = 5)]
        every: u64,
        /// How long, in seconds.
        #[arg(long, default_value_t = 3_600)]
        seconds: u64,
    },
    /// The forwarder itself; started by `--reference`.
    #[command(hide = true)]
    Forward,
    /// The WebSocket relay that does nothing; started by `--reference`.
    #[command(hide = true)]
    Mirror,
}

impl Arguments {
    /// How the figures are to be printed.
    pub(crate) fn form(&self) -> Form {
        match (self.json, self.markdown) {
            (true, _) => Form::Json,
            (_, true) => Form::Markdown,
            _ => Form::Table,
        }
    }
}
