//! The store that both planes share: Debian's `redis-server` in the service's namespace.

use super::Process;
use crate::{topology::Space, trouble::Trouble};

/// A running Redis that keeps nothing. Dropping it ends it.
#[derive(Debug)]
pub struct Store {
    _process: Process,
}

impl Store {
    /// Starts it on its usual port of the loopback of `space`.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it is not installed or does not become ready.
    pub fn start(space: &Space) -> Result<Self, Trouble> {
        let mut command = space.command("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &PORT.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let mut process = Process::start("redis-server", &mut command)?;
        process.listens(space, PORT)?;
        Ok(Self { _process: process })
    }

    /// Where the planes find it.
    pub fn url() -> String {
        format!("redis://127.0.0.1:{PORT}/0")
    }
}

const PORT: u16 = 6379;
