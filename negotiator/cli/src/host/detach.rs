//! `share --detach`: the session in a process of its own, which no terminal controls.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::unistd::{dup2, setsid};
use serde::{Deserialize, Serialize};

use super::control::lines::line;
use crate::{
    args::{Format, IN_BACKGROUND},
    exit::Failure,
    ui::{Lines, To},
};

/// What the session in the background says once it can be joined.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) name: String,
    pub(super) program: String,
    pub(super) link: String,
    pub(super) read_only_link: Option<String>,
    pub(super) log: PathBuf,
}

/// Starts this program again, in the background, and returns once its session can be joined; what stands in the way is
/// told by that program on this one's standard error.
///
/// # Errors
///
/// [`Failure::Io`] when it cannot be started.
pub(super) fn start(output: Format) -> Result<u8, Failure> {
    let program = env::current_exe().map_err(Failure::io("this program's own file"))?;
    let mut child = Command::new(program)
        .args(in_background(env::args_os().skip(1)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Failure::io("a session in the background"))?;
    let mut answer = String::new();
    if let Some(stdout) = child.stdout.take() {
        // One line; a program that goes on and says nothing would keep this one.
        BufReader::new(stdout.take(MOST))
            .read_line(&mut answer)
            .map_err(Failure::io("the session's answer"))?;
    }
    let Ok(ready) = serde_json::from_str::<Ready>(&answer) else {
        let status = child.wait().map_err(Failure::io("the session in the background"))?;
        return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    };
    let mut lines = Lines::new(To::Stdout);
    if output == Format::Json {
        let mut said = serde_json::to_value(&ready).unwrap_or_default();
        said["type"] = "sharing".into();
        lines.say(&said.to_string());
        return Ok(0);
    }
    let Ready { name, program, link, read_only_link, log } = ready;
    lines.say(&format!("sharing {program} in the background; join with:\n\n  beach-link join '{link}'\n"));
    if let Some(also) = read_only_link {
        lines.say(&format!("or, to watch and not type:\n\n  beach-link join '{also}'\n"));
    }
    lines.say(&format!(
        "here: beach-link attach {name}, beach-link stop {name}\nit is called {name}; what it has to say is in {}",
        log.display()
    ));
    Ok(0)
}

/// Leaves the terminal that started this program: a hangup of it concerns others.
///
/// # Errors
///
/// [`Failure::Io`].
pub(super) fn leave_terminal() -> Result<(), Failure> {
    setsid().map(drop).map_err(|error| Failure::io("a session of its own")(error.into()))
}

/// Says that the session can be joined, and lets go of the streams of whoever started it: from here on, what is said
/// goes into the log.
///
/// # Errors
///
/// [`Failure::Io`].
pub(super) fn ready(ready: &Ready) -> Result<(), Failure> {
    let log = create(&ready.log).map_err(Failure::io("the session's log"))?;
    let nothing =
        File::options().read(true).write(true).open("/dev/null").map_err(Failure::io("/dev/null"))?;
    // Whoever gave up waiting wants no session that nobody knows of.
    let said = line(ready).and_then(|said| io::stdout().write_all(&said).and_then(|()| io::stdout().flush()));
    said.map_err(Failure::io("the session's answer"))?;
    for (from, to) in [(&nothing, 0), (&nothing, 1), (&log, 2)] {
        dup2(from.as_raw_fd(), to).map_err(|error| Failure::io("the standard streams")(error.into()))?;
    }
    Ok(())
}

/// A new file: one that somebody else made is not written to.
fn create(path: &Path) -> io::Result<File> {
    let _ = std::fs::remove_file(path);
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The same arguments for the session in the background. What stands behind two dashes is the program's own.
fn in_background(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut own = true;
    let each = arguments.map(|argument| {
        own &= argument != OsStr::new("--");
        if own && argument == OsStr::new("--detach") { OsString::from(IN_BACKGROUND) } else { argument }
    });
    each.collect()
}

/// Bytes of the answer: two links and a path.
const MOST: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_own_arguments_stay() {
        let arguments = ["share", "--detach", "--read-only", "--", "tool", "--detach"].map(OsString::from);
        assert_eq!(
            in_background(arguments.into_iter()),
            ["share", IN_BACKGROUND, "--read-only", "--", "tool", "--detach"]
        );
    }
}
