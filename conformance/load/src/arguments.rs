//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    report::Form,
    session::Path,
    target::{Serving, Which},
};

/// Puts load on a relay, and on a forwarder that does nothing beside it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  lifeguard-load idle --connections 2000\n  lifeguard-load stream --sessions 250 --size 4096 --rate 65536 --reference\n  lifeguard-load fanout --viewers 100 --json\n  lifeguard-load churn --connections 2000\n  lifeguard-load throughput --sessions 8 --size 16384 --reference --markdown\n  lifeguard-load throughput --sessions 1 --negotiated\n  lifeguard-load closed --viewers 100 --reference --unlimited --turns 5\n  lifeguard-load keystrokes\n  lifeguard-load slow --fast 10 --slow 5\n  lifeguard-load chaos --troublemakers 100\n  lifeguard-load soak --seconds 3600"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    /// Base URL of a control plane whose relay is loaded. Default: a relay of its own on this machine.
    #[arg(long, global = true)]
    pub(crate) control_plane: Option<String>,
    /// Repeat against a raw TCP forwarder and a WebSocket relay that does nothing, and print the ratios.
    /// There is none for slow viewers and chaos: a reference has no neighbours.
    #[arg(long, global = true)]
    pub(crate) reference: bool,
    /// Repeat with clients of the deployed v1 wire.
    #[arg(long, global = true)]
    pub(crate) v1: bool,
    /// Repeat with negotiated, sealed sessions over the relay and over WebRTC.
    #[arg(long, global = true)]
    pub(crate) negotiated: bool,
    /// The relay that is started serves TLS.
    #[arg(long, global = true, conflicts_with = "control_plane")]
    pub(crate) tls: bool,
    /// The relay that is started has no limits on bytes and messages: 64 MiB/s for each connection otherwise.
    #[arg(long, global = true, conflicts_with = "control_plane")]
    pub(crate) unlimited: bool,
    /// What is started runs on the first so many cores (`taskset`).
    #[arg(long, global = true, value_name = "COUNT", conflicts_with = "control_plane")]
    pub(crate) cores: Option<usize>,
    /// Do all of it so often in turn, and print the median of each figure and of each ratio.
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) turns: u32,
    /// Print one JSON object for each run instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Print a Markdown report with the command and the machine.
    #[arg(long, global = true, conflicts_with = "json")]
    markdown: bool,
    /// Draw the figures of all runs beside each other into this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
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
    /// Sessions that talk, and after half of the time beside clients that misbehave: what neighbours notice.
    Chaos {
        /// Sessions that talk.
        #[arg(long, default_value_t = 50)]
        sessions: usize,
        /// Payload of a message in bytes, at least 16.
        #[arg(long, default_value_t = 4_096)]
        size: usize,
        /// Payload of a session in bytes a second.
        #[arg(long, default_value_t = 65_536)]
        rate: usize,
        /// Clients a second that misbehave, each in another way.
        #[arg(long, default_value_t = 50)]
        troublemakers: u32,
        /// How long each half lasts, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Connect, authenticate, close, again and again.
    Churn {
        /// How many in all.
        #[arg(long, default_value_t = 1_000)]
        connections: usize,
        /// Pairs that connect at the same time.
        #[arg(long, default_value_t = 16)]
        at_once: usize,
    },
    /// Keys and their echoes under as much output as goes through, in a session over the relay and over WebRTC.
    Keystrokes {
        /// Payload of a message of output in bytes, at least 16.
        #[arg(long, default_value_t = 16_384)]
        size: usize,
        /// Keys a second.
        #[arg(long, default_value_t = 50)]
        keys: u32,
        /// How long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
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
    /// As much as goes through, from each sender to many viewers, with ends that cost as little as ends can.
    Closed {
        /// Sessions, each with a sender.
        #[arg(long, default_value_t = 1)]
        sessions: usize,
        /// Viewers of each.
        #[arg(long, default_value_t = 100)]
        viewers: usize,
        /// Payload of a message in bytes, at least 16.
        #[arg(long, default_value_t = 1_024)]
        size: usize,
        /// Messages of a sender that not all of its viewers have.
        #[arg(long, default_value_t = 8)]
        in_flight: usize,
        /// How long, in seconds; too short for a relay to ask whether anybody is there.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=10))]
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
    /// The forwarder for many viewers; started by `--reference`.
    #[command(hide = true)]
    Spread,
    /// The WebSocket relay for many viewers; started by `--reference`.
    #[command(hide = true)]
    Chorus,
}

impl Arguments {
    /// What is to be loaded, one after the other; the first is compared with the others.
    pub(crate) fn targets(&self) -> Vec<Which> {
        let sessions = [Which::Session(Path::Relay), Which::Session(Path::Direct)];
        match self.scenario {
            Scenario::Keystrokes { .. } => sessions.into(),
            Scenario::Chaos { .. } | Scenario::Slow { .. } => vec![Which::Relay],
            Scenario::Closed { .. } if self.reference => vec![Which::Relay, Which::Spread, Which::Chorus],
            Scenario::Closed { .. } => vec![Which::Relay],
            _ => {
                let mut targets = vec![Which::Relay];
                if self.reference {
                    targets.extend([Which::Forwarder, Which::WebSocket]);
                }
                if self.v1 {
                    targets.push(Which::V1);
                }
                if self.negotiated {
                    targets.extend(sessions);
                }
                targets
            }
        }
    }

    /// How what is loaded is to be started.
    pub(crate) fn serving(&self) -> Serving {
        Serving { tls: self.tls, unlimited: self.unlimited, cores: self.cores }
    }

    /// How the figures are to be printed.
    pub(crate) fn form(&self) -> Form {
        match (self.json, self.markdown) {
            (true, _) => Form::Json,
            (_, true) => Form::Markdown,
            _ => Form::Table,
        }
    }
}
