//! How the program ends: one line that says what to do, and a code of its own per failure.

mod from;

use std::{fmt, process::ExitCode, time::Duration};

use negotiator::{BadJoinLink, SessionEnd};

use crate::{
    first_contact::NamedBy,
    host::pty::PtyError,
    ui::{Lines, To},
    viewer::status,
    wire::Refusal,
};

/// Why the program could not do what it was asked for. `Display` is the one line a person reads.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file or stream failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The arguments contradict each other or name something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The join link is damaged.
    #[error("{0}")]
    Link(BadJoinLink),
    /// The join link is too old.
    #[error("this link has expired: ask the host for a new one")]
    Expired,
    /// The secret in the link is not the session's.
    #[error("the link's secret does not fit the session: copy the host's link again")]
    Secret,
    /// The control plane knows no such session.
    #[error("no such session: it has ended, or the link is not the host's; ask for a new link")]
    UnknownSession,
    /// The control plane cannot be reached.
    #[error("the control plane cannot be reached ({0}): check its address and your network")]
    Unreachable(String),
    /// The control plane shows a certificate that nobody vouches for.
    #[error("the control plane cannot be trusted ({0})")]
    Untrusted(String),
    /// The control plane, or what stands before it, shows another certificate than the pinned one.
    #[error("{0}")]
    OtherCertificate(String),
    /// Nobody says where to meet.
    #[error(
        "no control plane is known here: run `beach-lifeguard up` on a machine that both can reach and copy the line it \
         prints, or name one with --control-plane, BEACH_CONTROL_PLANE or ~/.config/beach/config.toml"
    )]
    NoControlPlane,
    /// The control plane answered no.
    #[error("the control plane refused ({0})")]
    Refused(String),
    /// The operator paused what would be needed.
    #[error("the operator has paused the relay, and no direct path works: try again later")]
    Paused,
    /// No host answers.
    #[error("the host does not answer: is it still sharing?")]
    HostAbsent,
    /// Neither a direct path nor the relay works.
    #[error("no path to the host: {0}")]
    NoPath(String),
    /// The other side is older or newer.
    #[error("{0}")]
    Version(String),
    /// The other side offers something else, or has no room.
    #[error("the host refused: {0}")]
    Declined(String),
    /// The link lets nobody in any more: the host took it back, or it was for fewer.
    #[error("{0}")]
    LinkGone(String),
    /// The host removed this viewer or did not approve it.
    #[error("{0}")]
    ShownOut(String),
    /// Standard input or output is no terminal.
    #[error(
        "{0} is not a terminal: run this in one; for programs there are --output json and `beach-link sessions`"
    )]
    NoTerminal(&'static str),
    /// The terminal has too little room.
    #[error("the terminal is too small ({columns}×{rows}): make it at least {least_columns}×{least_rows}")]
    TooSmall {
        /// Its columns.
        columns: u16,
        /// Its rows.
        rows: u16,
        /// The fewest columns.
        least_columns: u16,
        /// The fewest rows.
        least_rows: u16,
    },
    /// The terminal is shared already.
    #[error(
        "this terminal is shared by beach-link already: use another one, or unset BEACH_SESSION if that is not so"
    )]
    Nested,
    /// Nothing was heard of the host for as long as the person wanted to wait.
    #[error("the host was silent for {}: given up, as --give-up-after says; the session may still be joined", status::span(*.0))]
    GivenUp(Duration),
    /// The person's terminal went away.
    #[error("standard input was closed: the session goes on without this viewer")]
    StdinClosed,
    /// The session ended before its time.
    #[error("{0}")]
    SessionLost(SessionEnd),
    /// What arrived is not what was sent.
    #[error("the received bytes differ from the sent ones: do not use them")]
    Corrupt,
    /// The other side sent something that is no message.
    #[error("the other side sent something unintelligible ({0}): update the older program")]
    Unintelligible(crate::wire::BadMessage),
    /// The demo did not keep its promises.
    #[error("the demo failed: {0}")]
    Demo(String),
    /// The command cannot be run.
    #[error("{0}")]
    Command(PtyError),
    /// The folder for control sockets cannot be used.
    #[error("the folder for this machine's sessions cannot be used: {0}")]
    Folder(String),
    /// No session runs here.
    #[error("no session runs on this machine: `beach-link share --detach` starts one")]
    NoSession,
    /// No session of this name runs here.
    #[error("no session called {0} runs on this machine: `beach-link list` shows those that do")]
    NoSuchSession(String),
    /// A session of this machine said no, or does not answer.
    #[error("{0}")]
    Session(String),
    /// ssh cannot be run, or did not get there.
    #[error("{0}")]
    Ssh(String),
    /// The machine behind ssh has no beach-link.
    #[error("beach-link is not installed on {0}: `cargo install beach-link` there, then again")]
    NotInstalled(String),
    /// A signal ended the program.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Wraps a failed file or stream.
    pub fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// Returns the exit code; [`TABLE`] lists them.
    pub fn code(&self) -> u8 {
        match self {
            Self::Io { .. } => 1,
            Self::Usage(_) => 2,
            Self::Link(_) => 70,
            Self::Expired => 71,
            Self::Secret => 72,
            Self::UnknownSession => 73,
            Self::Unreachable(_) | Self::Untrusted(_) => 74,
            Self::Refused(_) => 75,
            Self::Paused => 76,
            Self::HostAbsent => 77,
            Self::NoPath(_) => 78,
            Self::Version(_) => 79,
            Self::Declined(_) => 80,
            Self::NoTerminal(_) => 81,
            Self::TooSmall { .. } => 82,
            Self::StdinClosed => 83,
            Self::SessionLost(_) => 84,
            Self::Corrupt => 85,
            Self::Unintelligible(_) => 86,
            Self::Demo(_) => 87,
            Self::Command(PtyError::NotExecutable(_)) => 126,
            Self::Command(PtyError::NotFound(_)) => 127,
            Self::Command(PtyError::Unavailable(_)) => 88,
            Self::LinkGone(_) => 89,
            Self::ShownOut(_) => 90,
            Self::OtherCertificate(_) => 91,
            Self::NoControlPlane => 92,
            Self::Nested => 93,
            Self::GivenUp(_) => 94,
            Self::Folder(_) => 95,
            Self::NoSession | Self::NoSuchSession(_) => 96,
            Self::Session(_) => 97,
            Self::Ssh(_) => 98,
            Self::NotInstalled(_) => 99,
            Self::Interrupted => 130,
        }
    }

    /// Says at which URL a control plane was looked for, and who named it.
    #[must_use]
    pub fn at(self, url: &str, named_by: &NamedBy) -> Self {
        let placed = |detail: String| {
            let host =
                url::Url::parse(url).ok().and_then(|url| url.host_str().map(|host| format!("{host}: ")));
            // The URL names the host.
            let short = host.and_then(|host| detail.strip_prefix(&host).map(str::to_owned));
            format!("{url}{named_by}: {}", short.unwrap_or(detail))
        };
        match self {
            Self::Unreachable(detail) => Self::Unreachable(placed(detail)),
            Self::Untrusted(detail) => Self::Untrusted(placed(detail)),
            Self::OtherCertificate(detail) => Self::OtherCertificate(placed(detail)),
            other => other,
        }
    }

    /// Says what a host's refusal means.
    pub fn declined(why: Refusal, text: String) -> Self {
        match why {
            Refusal::Version => Self::Version(text),
            Refusal::Full | Refusal::Service => Self::Declined(text),
        }
    }
}

/// Turns the outcome of a subcommand into the program's end: a line on standard error, an exit code.
pub fn report(outcome: Result<u8, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            tracing::error!(%failure, "failed");
            Lines::new(To::Stderr).say(&format!("beach-link: {}", OneLine(&failure.to_string())));
            ExitCode::from(failure.code())
        }
    }
}

/// A text without line breaks or other control characters.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.split(|c: char| c.is_control()).map(str::trim).filter(|part| !part.is_empty());
        for (index, part) in words.enumerate() {
            write!(f, "{}{part}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// The exit codes, for `--help`.
pub const TABLE: &str = "\
Exit codes:
    0  done; `share` and `join` exit with the command's status when it ends
    1  a file or stream failed          77  the host does not answer
    2  wrong arguments                  78  no path to the host
   70  the link is damaged              79  the other side is of another version
   71  the link has expired             80  the host refused: full, or another service
   72  the link's secret is wrong       81  not a terminal
   73  no such session                  82  the terminal is too small
   74  the control plane is unreachable 83  standard input was closed
   75  the control plane refused        84  the session was lost
   76  the operator paused the relay    85  received bytes differ from sent ones
   86  the other side is unintelligible 87  the demo failed
   88  no pseudo-terminal               89  the link was revoked or used up
   90  the host removed you, or said no 91  the certificate is not the pinned one
   92  no control plane is known        93  this terminal is shared already
   94  given up (--give-up-after)       95  no folder for control sockets
   96  no such session on this machine  97  the session here refused
   98  ssh did not get there            99  beach-link is not there (ssh)
  126  the command cannot be executed   127  command not found
  130  interrupted";

#[cfg(test)]
mod tests;
