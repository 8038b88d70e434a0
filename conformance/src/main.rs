//! The command line of the kit.

mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use conformance::{
    Failure, Support,
    relay::{RelayTarget, certify_relay},
};

/// Certifies transports and relays.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Certify a relay by its URL, from outside.
    Relay(Relay),
    /// Certify every transport of this repository and print the table.
    Transports(table::Transports),
}

#[derive(Debug, Args)]
struct Relay {
    /// The relay's origin, for example ws://127.0.0.1:9443.
    #[arg(long)]
    url: String,
    /// The origin of the control plane that mints its tokens, for example http://127.0.0.1:9443.
    #[arg(long)]
    control_plane: String,
    /// Trust the certificates in this PEM file and no others: for a relay with a private authority.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The relay does not serve the deployed v1 clients.
    #[arg(long)]
    without_v1: bool,
    /// Write a JSON report to this file.
    #[arg(long)]
    report: Option<String>,
    /// Show the cases and run none.
    #[arg(long)]
    list: bool,
    /// Run only cases whose name contains this.
    filter: Option<String>,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Transports(transports) => transports.run(),
        Command::Relay(relay) => {
            let mut target = RelayTarget::new(relay.url, relay.control_plane);
            if let Some(file) = &relay.root {
                let trusted =
                    std::fs::read(file).map_err(Failure::from).and_then(|pem| target.trusting(&pem));
                target = match trusted {
                    Ok(target) => target,
                    Err(failure) => {
                        eprintln!("--root {}: {failure}", file.display());
                        return ExitCode::from(2);
                    }
                };
            }
            if relay.without_v1 {
                target.v1 = Support::No("v1 is switched off");
            }
            let arguments = libtest_mimic::Arguments {
                list: relay.list,
                filter: relay.filter,
                // A public relay limits what one address may open at a time.
                test_threads: Some(4),
                ..libtest_mimic::Arguments::default()
            };
            certify_relay(&target, &arguments, relay.report.as_deref())
        }
    }
}
