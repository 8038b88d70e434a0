//! `beach-link ssh`: a session on another machine, started there over ssh and joined at once. ssh carries the link and
//! nothing else; the session needs it no more.

mod connection;
mod line;
mod remote;

use std::ffi::{OsStr, OsString};

use self::{
    connection::{Connection, Started},
    line::Line,
    remote::{readable, script},
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
    // Before anything runs there.
    args.view.clipboard()?;
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
