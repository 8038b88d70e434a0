//! The binary: parse, run, exit code.
#![forbid(unsafe_code)]

use std::{io::Write, process::ExitCode};

use lifeguard_relay::cli::Cli;

fn main() -> ExitCode {
    // Two providers in a dependency graph make rustls refuse to choose; this process has chosen.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::from_command_line();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "beach-lifeguard: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
