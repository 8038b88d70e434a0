//! An HTTP proxy that opens tunnels with CONNECT: Debian's tinyproxy.

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    program::Process,
    topology::{Lab, Space},
    trouble::Trouble,
};

/// A running tinyproxy; dropping it ends it.
#[derive(Debug)]
pub struct ConnectProxy {
    _process: Process,
    log: PathBuf,
}

impl ConnectProxy {
    /// Listens on [`PORT`] of every address in `space`; with a name and a password it asks for them.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it does not become ready.
    pub fn start(lab: &Lab, space: &Space, account: Option<(&str, &str)>) -> Result<Self, Trouble> {
        let account = account.map(|(name, word)| format!("BasicAuth {name} {word}\n")).unwrap_or_default();
        Self::with(lab, space, &account)
    }

    /// The same, and it cuts what was idle for so long.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn impatient(lab: &Lab, space: &Space, idle: Duration) -> Result<Self, Trouble> {
        Self::with(lab, space, &format!("Timeout {}\n", idle.as_secs()))
    }

    fn with(lab: &Lab, space: &Space, more: &str) -> Result<Self, Trouble> {
        let (config, log) = (lab.folder().join("tinyproxy.conf"), lab.folder().join("tinyproxy.log"));
        let text = format!("Port {PORT}\nLogFile \"{}\"\nLogLevel Connect\n{more}", log.display());
        fs::write(&config, text).map_err(Trouble::io("tinyproxy's configuration"))?;
        let mut command = space.command("tinyproxy");
        let mut process = Process::start("tinyproxy", command.args(["-d", "-c"]).arg(&config))?;
        process.listens(space, PORT)?;
        Ok(Self { _process: process, log })
    }

    /// Tunnels that were asked for so far.
    pub fn tunnels(&self) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().matches(": CONNECT ").count()
    }
}

/// Where proxies listen by custom.
pub const PORT: u16 = 3128;
