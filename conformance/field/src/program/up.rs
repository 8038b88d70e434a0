//! `beach-lifeguard up` in a namespace.

use super::{Process, Programs, process::READY};
use crate::{topology::Space, trouble::Trouble};

/// The service for friends. Dropping it ends it.
#[derive(Debug)]
pub struct Up {
    /// The line to share from its own machine, as it was printed.
    pub here: String,
    /// The line to share from another machine.
    pub elsewhere: String,
    _process: Process,
}

impl Up {
    /// Starts it without any option and reads what it prints. Its admin address is a free one: the laboratory's service may
    /// have the usual one.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it does not become ready.
    pub fn start(space: &Space, programs: &Programs) -> Result<Self, Trouble> {
        let mut command = space.command(&programs.lifeguard);
        command.arg("up").env("BEACH_LIFEGUARD_ADMIN_ADDR", "127.0.0.1:0");
        let mut process = Process::start("beach-lifeguard up", &mut command)?;
        let mut line = |label: &str| {
            let found = process
                .until(READY, |line| line.trim().strip_prefix(label).map(str::trim).map(str::to_owned));
            found.ok_or_else(|| process.not_ready())
        };
        let (here, elsewhere) = (line("share from this machine:")?, line("share from another:")?);
        Ok(Self { here, elsewhere, _process: process })
    }
}
