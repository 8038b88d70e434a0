//! Puts load on a relay and on a forwarder that does nothing, so that each figure has its ratio.
//!
//! `lifeguard-load stream --sessions 100 --rate 64KiB …` starts a `beach-lifeguard dev` of its own, and with
//! `--reference` repeats the run against a raw TCP forwarder on the same machine. `--control-plane URL`
//! loads a relay that runs elsewhere; its CPU and memory cannot be read then.
#![forbid(unsafe_code)]

mod pair;
mod report;
mod scenario;
mod target;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use crate::{report::Report, target::Target};

/// Puts load on a relay, and on a forwarder that does nothing beside it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  lifeguard-load idle --connections 2000\n  lifeguard-load stream --sessions 250 --size 4096 --rate 65536 --reference\n  lifeguard-load fanout --viewers 100 --json\n  lifeguard-load churn --connections 2000"
)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// Base URL of a control plane whose relay is loaded. Default: a relay of its own on this machine.
    #[arg(long, global = true)]
    control_plane: Option<String>,
    /// Repeat against a raw TCP forwarder and print the ratio.
    #[arg(long, global = true)]
    reference: bool,
    /// Print one JSON object for each run instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum Scenario {
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
    /// The forwarder itself; started by `--reference`.
    #[command(hide = true)]
    Forward,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.scenario, Scenario::Forward) {
        return exit(target::forward().await.map_err(Into::into));
    }
    // Both providers are in this graph; nothing may guess which one is meant.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    exit(run(&arguments).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let relay = Target::relay(arguments.control_plane.as_deref()).await?;
    let measured = load(&arguments.scenario, &relay).await?;
    drop(relay);
    let reference = if arguments.reference {
        let forwarder = Target::forwarder().await?;
        Some(load(&arguments.scenario, &forwarder).await?)
    } else {
        None
    };
    measured.print(reference.as_ref(), arguments.json);
    Ok(())
}

async fn load(scenario: &Scenario, target: &Target) -> Result<Report, Failure> {
    match *scenario {
        Scenario::Idle { connections, seconds } => {
            scenario::idle(target, connections, Duration::from_secs(seconds)).await
        }
        Scenario::Stream { sessions, size, rate, seconds } => {
            scenario::stream(target, sessions, size, rate, Duration::from_secs(seconds)).await
        }
        Scenario::Fanout { viewers, size, messages, seconds } => {
            scenario::fanout(target, viewers, size, messages, Duration::from_secs(seconds)).await
        }
        Scenario::Churn { connections } => scenario::churn(target, connections).await,
        Scenario::Forward => Err(Failure("the forwarder is no scenario".to_owned())),
    }
}

fn exit(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(why)) => {
            eprintln!("lifeguard-load: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A run that did not happen as asked; the text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<conformance::Failure> for Failure {
    fn from(error: conformance::Failure) -> Self {
        Self(error.to_string())
    }
}
