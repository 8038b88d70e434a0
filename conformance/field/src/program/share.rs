//! `beach-link share` in a namespace.

use std::time::Duration;

use super::{Process, Programs, Service, Setting};
use crate::{topology::Space, trouble::Trouble};

/// A shared terminal in which `cat` repeats what is typed, or another command runs. Dropping it ends it.
#[derive(Debug)]
pub struct Share {
    process: Process,
}

impl Share {
    /// Starts sharing.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn start(space: &Space, programs: &Programs, setting: &Setting) -> Result<Self, Trouble> {
        let words = setting.prefix(&programs.link);
        let mut command = space.command(&words[0]);
        command.args(&words[1..]).args(["share", "--output", "json", "--control-plane"]);
        command.arg(Service::control_plane()).args(&setting.arguments).arg("--");
        match setting.command.is_empty() {
            true => command.arg("cat"),
            false => command.args(&setting.command),
        };
        command.envs(setting.environment.iter().map(|(name, value)| (name, value)));
        Ok(Self { process: Process::start("beach-link share", &mut command)? })
    }

    /// Starts sharing by a line that a program printed, `beach-link share …`, and no setting.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn by_line(space: &Space, programs: &Programs, line: &str) -> Result<Self, Trouble> {
        let mut command = space.command(&programs.link);
        command.args(line.split_whitespace().skip(1)).args(["--output", "json", "--", "cat"]);
        Ok(Self { process: Process::start("beach-link share", &mut command)? })
    }

    /// Waits for the link; `None` when it ended or takes longer than `limit`.
    pub fn link(&mut self, limit: Duration) -> Option<String> {
        self.process.until(limit, |line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            (event["type"] == "sharing").then(|| event["link"].as_str().map(str::to_owned))?
        })
    }

    /// Waits until it has ended, or `limit`. Returns what it said.
    pub fn last_words(&mut self, limit: Duration) -> String {
        self.process.until(limit, |_| None::<()>);
        self.said()
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        self.process.said()
    }
}
