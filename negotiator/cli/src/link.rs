//! Where a join link comes from. It is a password: other users of the machine can read the arguments of every
//! program, so there are ways that keep it out of them.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, IsTerminal},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command as Process,
};

use clap::Args;
use negotiator::JoinLink;

use crate::{
    args::{Cli, Command, PipeCommand},
    exit::Failure,
    ui::{Lines, To},
};

/// The link of whoever joins.
#[derive(Debug, Clone, Default, Args)]
pub struct LinkArgs {
    /// The link that the host printed, quoted; it is a password. With - it is the first line of standard input; without
    /// any it comes from --link-file, from the environment (BEACH_LINK) or from a prompt.
    #[arg(value_name = "LINK")]
    pub link: Option<String>,
    /// Read the link from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "link")]
    pub link_file: Option<PathBuf>,
}

impl LinkArgs {
    /// Reads the link from where it is.
    ///
    /// # Errors
    ///
    /// [`Failure::Link`] or [`Failure::Expired`] for a damaged or old one, [`Failure::Io`] for a file or stream that
    /// cannot be read, [`Failure::Usage`] when there is none and nobody to ask.
    pub fn read(&self) -> Result<JoinLink, Failure> {
        let text = match (&self.link, &self.link_file) {
            (Some(link), _) if link != STDIN => link.clone(),
            (Some(_), _) => first_line()?,
            (None, Some(file)) => fs::read_to_string(file).map_err(Failure::io("the link file"))?,
            (None, None) => match env::var(VARIABLE) {
                Ok(link) => link,
                Err(_) if io::stdin().is_terminal() => ask()?,
                Err(_) => return Err(Failure::Usage(NO_LINK.to_owned())),
            },
        };
        Ok(text.trim().parse()?)
    }

    /// Says whether the link is the first line of standard input.
    pub fn is_stdin(&self) -> bool {
        self.link.as_deref() == Some(STDIN)
    }
}

/// Takes the link out of the arguments that others can read, by starting this program again, in this process, with the
/// link in its environment; says so. Returns when there is nothing to hide, or the system does not allow it.
pub fn hide(cli: &Cli) {
    let Some(link) = argument(cli) else { return };
    Lines::new(To::Stderr).say(&format!("beach-link: {SEEN}"));
    let Ok(program) = env::current_exe() else { return };
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    if let Some(place) = arguments.iter().position(|argument| argument == OsStr::new(link)) {
        arguments.remove(place);
        let failed = Process::new(program).args(arguments).env(VARIABLE, link).exec();
        tracing::debug!(%failed, "the link stays in the arguments");
    }
}

fn argument(cli: &Cli) -> Option<&str> {
    let args = match &cli.command {
        Command::Explain(args) => &args.link,
        Command::Join(args) => &args.link,
        Command::Pipe(PipeCommand::Join(args)) => &args.link,
        Command::Receive(args) => &args.link,
        _ => return None,
    };
    args.link.as_deref().filter(|link| *link != STDIN)
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::io("standard input"))?;
    Ok(line)
}

fn ask() -> Result<String, Failure> {
    Lines::new(To::Stderr).ask("link: ");
    first_line()
}

/// In place of a link: it is on standard input.
const STDIN: &str = "-";

/// The environment variable that holds the link.
const VARIABLE: &str = "BEACH_LINK";

const NO_LINK: &str =
    "no link: give it as an argument, with --link-file, in BEACH_LINK, or - for standard input";

const SEEN: &str = "other users of this machine may have seen the link among the arguments: \
                    --link-file, BEACH_LINK or - keep it out of them";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_file_is_read_and_a_damaged_link_is_told_apart_from_a_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("link");
        let args = LinkArgs { link: None, link_file: Some(file.clone()) };
        assert!(matches!(args.read(), Err(Failure::Io { .. })));
        fs::write(&file, "http://h/s#x\n").unwrap();
        assert!(matches!(args.read(), Err(Failure::Link(_))));
    }
}
