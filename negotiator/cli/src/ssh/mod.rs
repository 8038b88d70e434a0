//! `beach-link ssh`: a session on another machine, started there over ssh and joined at once. ssh carries the link and
//! nothing else; the session needs it no more.

mod line;
mod remote;

use std::{
    ffi::{OsStr, OsString},
    io,
    process::Stdio,
    time::Duration,
};

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

use self::{
    line::Line,
    remote::{Answer, readable, script},
};
use crate::{
    args::{MeetingArgs, NetworkArgs, SshArgs},
    exit::Failure,
    first_contact::NamedBy,
    guard,
    signal::Interrupts,
    terminal::{Keyboard, RawTerminal},
    ui::{Lines, To},
    viewer::join::{Farewell, show},
};

/// Starts a session on another machine and shows it until the person leaves or its command ends; then with its status.
///
/// # Errors
///
/// [`Failure`]. What ssh and the program there had to say stands on standard error.
pub async fn ssh(args: SshArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let line = Line::read(&args.line)?;
    guard::check()?;
    RawTerminal::check(Keyboard::StandardInput)?;
    let network = args.network.terminal()?;
    let host = line.host.display().to_string();
    let mut share = meeting(&args.meeting, &host)?;
    share.extend(paths(&args.network));
    let certificates = args.network.reach.certificates()?;
    let word = script(&share, certificates.as_deref(), &line.command);
    let (name, link) =
        match Connection::start(&args.program, &line, &word)?.link(&host, &mut interrupts).await? {
            Started::Session { name, link } => (name, link),
            Started::Refused(status) => return Ok(status),
        };
    if link.is_local() {
        Lines::new(To::Stderr).say(&format!(
            "{host} meets at {}, which means each machine itself: where it cannot be joined, name a control plane that \
             both reach with --control-plane",
            link.control_plane()
        ));
    }
    let farewell = show(link, network, &args.view, Keyboard::StandardInput, &mut interrupts).await?;
    let mut lines = Lines::new(To::Stdout);
    if farewell == Farewell::Left {
        let there = |words: &[&str]| {
            let ssh =
                [args.program.as_os_str()].into_iter().chain(line.options.iter().map(OsString::as_os_str));
            let words = words.iter().map(OsStr::new);
            readable(ssh.chain([OsStr::new("-t"), line.host.as_os_str()]).chain(words))
        };
        lines.say(&format!(
            "left; the session goes on at {host}: `{}` comes back, `{}` ends it",
            there(&["beach-link", "attach", &name]),
            there(&["beach-link", "stop", &name])
        ));
    } else {
        lines.say(&farewell.to_string());
    }
    Ok(farewell.code())
}

/// How a session there began.
enum Started {
    /// It did not; the program there said why, and ended with this status.
    Refused(u8),
    Session {
        name: String,
        link: JoinLink,
    },
}

/// ssh, while it runs. It has the terminal for its own questions.
struct Connection {
    ssh: Child,
    said: BufReader<tokio::io::Take<ChildStdout>>,
}

impl Connection {
    fn start(program: &OsStr, line: &Line, word: &OsStr) -> Result<Self, Failure> {
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
    async fn link(mut self, host: &str, interrupts: &mut Interrupts) -> Result<Started, Failure> {
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

/// Where the session there meets, in the words of `share`. Says so when the host is left to its own.
fn meeting(args: &MeetingArgs, host: &str) -> Result<Vec<OsString>, Failure> {
    let found = match args.find() {
        Ok(found) => Some(found),
        // The host may know one.
        Err(Failure::NoControlPlane) => None,
        Err(failure) => return Err(failure),
    };
    let mut words = Vec::new();
    let mut pin = args.pin;
    if let Some(found) = found {
        let (url, local) = (&found.control_plane, is_local(&found.control_plane));
        let named = found.named_by == NamedBy::Argument;
        if local && !named {
            Lines::new(To::Stderr).say(&format!(
                "the control plane here ({url}) answers on this machine alone: {host} is left to its own; --control-plane \
                 names one that both reach"
            ));
        } else {
            if local {
                Lines::new(To::Stderr)
                    .say(&format!("{url} means {host} itself there, if that is another machine"));
            }
            words.extend(["--control-plane".into(), url.into()]);
            pin = found.pin;
        }
    }
    if let Some(pin) = pin {
        words.extend(["--pin".into(), pin.to_string().into()]);
    }
    Ok(words)
}

/// Which paths the session there may take, in the words of `share`. What proves who somebody is stays here.
fn paths(args: &NetworkArgs) -> Vec<OsString> {
    let flags = [
        (args.direct_only, "--direct-only"),
        (args.relay_only, "--relay-only"),
        (args.no_relay, "--no-relay"),
        (args.loopback, "--loopback"),
    ];
    let mut words: Vec<OsString> =
        flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag.into()).collect();
    for url in &args.ice_server {
        words.extend(["--ice-server".into(), url.into()]);
    }
    if let Some(window) = args.resume_window {
        words.extend(["--resume-window".into(), window.as_secs().to_string().into()]);
    }
    words
}

fn is_local(url: &str) -> bool {
    match url::Url::parse(url).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Bytes of what the other end may say before the link: a login's greeting, and two links.
const MOST: u64 = 256 * 1024;

/// How long ssh may take to end by itself once the link came. What it carries beside, such as a forwarded port, ends with it.
const PARTING: Duration = Duration::from_secs(3);

/// The status with which ssh itself fails: ssh(1).
const OWN: u8 = 255;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(line: &[&str]) -> SshArgs {
        let cli = Cli::try_parse_from([&["beach-link", "ssh"], line].concat()).unwrap();
        let Command::Ssh(args) = cli.command else { panic!() };
        args
    }

    #[test]
    fn own_options_stand_first_and_everything_behind_them_is_for_ssh() {
        let args = args(&["--loopback", "--keep", "-p", "22", "-v", "box", "--", "ls", "--keep", "--", "-x"]);
        assert!(args.view.keep && args.network.loopback);
        let line = Line::read(&args.line).unwrap();
        assert_eq!(line.options, ["-p", "22", "-v"]);
        assert_eq!(line.command, ["ls", "--keep", "--", "-x"]);
        assert!(Cli::try_parse_from(["beach-link", "ssh"]).is_err());
    }

    #[test]
    fn what_is_named_here_is_named_there() {
        let pin = "ab".repeat(32);
        let args = args(&[
            "--control-plane",
            "https://beach.example",
            "--pin",
            &pin,
            "--no-relay",
            "--resume-window",
            "60",
            "--ice-server",
            "stun:h",
            "box",
        ]);
        let meeting = meeting(&args.meeting, "box").unwrap();
        assert_eq!(meeting[..3], ["--control-plane", "https://beach.example", "--pin"]);
        assert_eq!(meeting[3].to_string_lossy().replace(':', "").to_lowercase(), pin);
        assert_eq!(paths(&args.network), ["--no-relay", "--ice-server", "stun:h", "--resume-window", "60"]);
    }

    #[test]
    fn addresses_of_this_machine_are_told_from_others() {
        for (url, local) in [
            ("http://127.0.0.1:9443", true),
            ("https://[::1]", true),
            ("http://localhost:1", true),
            ("https://10.0.0.1", false),
            ("https://beach.example", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_local(url), local, "{url}");
        }
    }
}
