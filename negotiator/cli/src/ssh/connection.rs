//! ssh while it runs: started, listened to, ended.

use std::{ffi::OsStr, io, process::Stdio, time::Duration};

use negotiator::JoinLink;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{line::Line, remote::Answer};
use crate::{exit::Failure, signal::Interrupts};

/// How a session there began.
pub(super) enum Started {
    /// It did not; the program there said why, and ended with this status.
    Refused(u8),
    Session {
        name: String,
        link: JoinLink,
    },
}

/// ssh, while it runs. It has the terminal for its own questions.
pub(super) struct Connection {
    ssh: Child,
    said: BufReader<tokio::io::Take<ChildStdout>>,
}

impl Connection {
    pub(super) fn start(program: &OsStr, line: &Line, word: &OsStr) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        // The first of two values counts for ssh. A terminal there would mix streams and line ends, and a command of the
        // configuration would run in this one's place.
        command.args(["-T", "-o", "RemoteCommand=none"]).args(&line.options).arg(&line.host).arg(word);
        // Its questions come from the terminal itself; what is typed ahead is for the session.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let cannot = |error: io::Error| {
            Failure::Ssh(format!(
                "{} cannot be run ({error}): install it, or name another with --ssh",
                program.display()
            ))
        };
        let mut ssh = command.spawn().map_err(cannot)?;
        let said = ssh.stdout.take().ok_or_else(|| cannot(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { ssh, said: BufReader::new(said.take(MOST)) })
    }

    /// Waits for the link, and for the end of ssh.
    pub(super) async fn link(mut self, host: &str, interrupts: &mut Interrupts) -> Result<Started, Failure> {
        let answer = tokio::select! {
            answer = self.answer() => answer?,
            failure = interrupts.next() => {
                self.stop().await;
                return Err(failure);
            }
        };
        match answer {
            Some(Answer::Missing) => Err(Failure::NotInstalled(host.to_owned())),
            Some(Answer::Sharing { name, link }) => {
                let link = link.parse()?;
                if timeout(PARTING, self.ssh.wait()).await.is_err() {
                    self.stop().await;
                }
                Ok(Started::Session { name, link })
            }
            None => {
                let status = self.ssh.wait().await.map_err(Failure::io("ssh"))?;
                match status.code().and_then(|code| u8::try_from(code).ok()) {
                    Some(0) => Err(Failure::Ssh(format!("{host} said nothing about a session"))),
                    Some(status) if status != OWN => Ok(Started::Refused(status)),
                    _ => Err(Failure::Ssh(format!("ssh did not reach {host}, or could not stay"))),
                }
            }
        }
    }

    async fn answer(&mut self) -> Result<Option<Answer>, Failure> {
        let mut line = Vec::new();
        while self.said.read_until(b'\n', &mut line).await.map_err(Failure::io("what ssh says"))? > 0 {
            if let Some(answer) = Answer::read(&line) {
                return Ok(Some(answer));
            }
            line.clear();
        }
        Ok(None)
    }

    /// Ends it, gently first: killed amid a question for a password, it would leave the terminal without an echo.
    async fn stop(&mut self) {
        let pid = self.ssh.id().and_then(|id| i32::try_from(id).ok());
        if let Some(Err(error)) = pid.map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM)) {
            tracing::debug!(%error, "ssh could not be asked to end");
        }
        // Dropped, it is killed.
        let _ = timeout(PARTING, self.ssh.wait()).await;
    }
}

/// Bytes of what the other end may say before the link: a login's greeting, and two links.
const MOST: u64 = 256 * 1024;

/// How long ssh may take to end by itself once the link came. What it carries beside, such as a forwarded port, ends with it.
const PARTING: Duration = Duration::from_secs(3);

/// The status with which ssh itself fails: ssh(1).
const OWN: u8 = 255;
