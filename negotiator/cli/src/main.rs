//! Parse, run, exit code.
#![forbid(unsafe_code)]
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use beach_link::{
    args::Cli,
    exit::{Failure, report},
    link, run,
};

fn main() -> ExitCode {
    let cli = Cli::from_command_line();
    link::hide(&cli);
    // The process holds keys: neither a core dump nor another process of the same user may have them.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
    // WebRTC brings a second provider into the graph: without a choice the first handshake would panic.
    // An error means that one is installed, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(Failure::io("the runtime")(error))),
    };
    let outcome = runtime.block_on(run(cli));
    // A read from standard input cannot be interrupted; it must not keep the program.
    runtime.shutdown_background();
    report(outcome)
}
