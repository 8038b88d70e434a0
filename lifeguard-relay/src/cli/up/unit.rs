//! Systemd units that run `up` as a service of the machine.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use super::{
    UpArgs,
    state::{FOLDER, holds_certificate, of_user},
};
use crate::cli::failure::Failure;

/// Which of the two units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// The process.
    Service,
    /// The address it listens on, open while the process restarts.
    Socket,
}

/// The unit, for the arguments that were given.
///
/// # Errors
///
/// [`Failure`] when this program's path cannot be known or written into a unit.
pub(super) fn unit(args: &UpArgs, kind: Kind) -> Result<String, Failure> {
    match kind {
        Kind::Service => service(args),
        Kind::Socket => Ok(socket(args)),
    }
}

fn socket(args: &UpArgs) -> String {
    let listen = args.listen_addr.or_else(|| args.public.as_ref().map(super::Public::everywhere));
    let listen = match listen {
        None => super::PORT.to_string(),
        // By its port alone it is for every address, on machines without IPv6 too.
        Some(SocketAddr::V6(address)) if address.ip().is_unspecified() => address.port().to_string(),
        Some(address) => address.to_string(),
    };
    format!(
        "# Install:  beach-lifeguard up … --print-unit=socket | sudo tee /etc/systemd/system/beach-lifeguard.socket\n\
         #           sudo systemctl daemon-reload && sudo systemctl enable --now beach-lifeguard.socket\n\
         # Before the service is started, or restart that once. From then on no restart of it refuses a connection.\n\
         [Unit]\n\
         Description=beach-lifeguard: the address of the service\n\
         \n\
         [Socket]\n\
         ListenStream={listen}\n\
         FileDescriptorName=public\n\
         Backlog=4096\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n"
    )
}

fn service(args: &UpArgs) -> Result<String, Failure> {
    let program = std::env::current_exe()?;
    let mut words = vec![word(&program.display().to_string())?, "up".to_owned()];
    let public = args.public.as_ref().map(ToString::to_string);
    let listen = args.listen_addr.map(|address| address.to_string());
    for (name, value) in [("--public", public), ("--listen-addr", listen)] {
        if let Some(value) = value {
            words.extend([name.to_owned(), word(&value)?]);
        }
    }
    let mut credentials = String::new();
    for (name, file) in [("cert", &args.cert), ("key", &args.key)] {
        if let Some(file) = file {
            // The service runs as nobody in particular, who may not read the files themselves.
            credentials += &format!("LoadCredential={name}.pem:{}\n", plain(file)?);
            words.push(format!("--{name} %d/{name}.pem"));
        }
    }
    let port = args.listen_addr.map(|address| address.port());
    let port = port.or_else(|| args.public.as_ref().map(|public| public.everywhere().port()));
    let low = if port.is_some_and(|port| port < 1024) { LOW_PORT } else { NO_RIGHTS };
    Ok(format!(
        "{}# Install:  beach-lifeguard up … --print-unit | sudo tee /etc/systemd/system/beach-lifeguard.service\n\
         #           sudo systemctl daemon-reload && sudo systemctl enable --now beach-lifeguard\n\
         # The line to share stands in:  journalctl -u beach-lifeguard\n\
         {}\
         [Unit]\n\
         Description=beach-lifeguard: relay, control plane and STUN for friends\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={}\n\
         ExecReload=kill -HUP $MAINPID\n\
         WatchdogSec=30\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         DynamicUser=yes\n\
         StateDirectory=beach-lifeguard\n\
         StateDirectoryMode=0700\n\
         RuntimeDirectory=beach-lifeguard\n\
         RuntimeDirectoryMode=0755\n\
         LimitNOFILE=65536\n\
         LimitCORE=0\n\
         {credentials}{low}{HARDENING}\n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        at_home(&program),
        kept(args.state.clone().or_else(of_user)),
        words.join(" ")
    ))
}

/// The path of a file, for a credential.
fn plain(file: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(file)?.display().to_string();
    if path.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.".contains(c)) {
        return Ok(path);
    }
    Err(Failure::Public(format!(
        "a unit can name {path} only without spaces and special characters: move the file"
    )))
}

/// How the certificate of before stays the service's, where there is one: links that are out name it.
fn kept(state: Option<PathBuf>) -> String {
    let folder = state.and_then(|folder| std::path::absolute(folder).ok());
    let Some(folder) = folder.filter(|folder| holds_certificate(folder)) else { return String::new() };
    let folder = folder.display().to_string();
    // A comment ends with its line, and the shell's quotes with the next one.
    if folder.chars().any(|c| c.is_control() || c == '\'') {
        return String::new();
    }
    format!(
        "# To keep the certificate that links name, before the first start:\n\
         #           sudo install -D -m 600 -t /var/lib/private/{FOLDER} '{folder}'/*.pem\n"
    )
}

/// What to do first where the service's user would not find the program.
fn at_home(program: &Path) -> &'static str {
    if ["/home", "/root"].iter().any(|home| program.starts_with(home)) { COPY_FIRST } else { "" }
}

const COPY_FIRST: &str = "# First copy the program to /usr/local/bin, and name it so in ExecStart: a home is closed to services.\n";

/// A word of `ExecStart`: `%` begins a specifier there, and `$` a variable.
fn word(text: &str) -> Result<String, Failure> {
    if text.chars().any(char::is_control) {
        return Err(Failure::Public("a unit holds no control characters: rename the file".to_owned()));
    }
    let text = text.replace('%', "%%").replace('$', "$$");
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.:[]%$".contains(c));
    Ok(if plain { text } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) })
}

/// A port below 1024 is for who has this right.
const LOW_PORT: &str =
    "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n";
const NO_RIGHTS: &str = "CapabilityBoundingSet=\n";

const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateDevices=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
";

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn printed(arguments: &[&str]) -> String {
        let command = UpArgs::augment_args(Command::new("up"));
        let matches = command.get_matches_from([&["up"], arguments].concat());
        let args = UpArgs::from_arg_matches(&matches).unwrap();
        unit(&args, args.print_unit.unwrap_or(Kind::Service)).unwrap()
    }

    #[test]
    fn the_socket_is_where_the_service_would_listen() {
        let listens = |arguments: &[&str]| {
            let unit = printed(&[&["--print-unit=socket"], arguments].concat());
            unit.lines().find_map(|line| line.strip_prefix("ListenStream=")).unwrap().to_owned()
        };
        assert_eq!(listens(&[]), "7443");
        assert_eq!(listens(&["--public", "beach.example:443"]), "443");
        assert_eq!(listens(&["--public", "a.example", "--listen-addr", "10.0.0.1:99"]), "10.0.0.1:99");
        assert!(printed(&["--print-unit"]).contains("Type=notify\n"));
    }

    fn start(unit: &str) -> &str {
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap()
    }

    #[test]
    fn a_unit_repeats_what_was_said_and_asks_for_no_more_rights_than_that_needs() {
        let plain = printed(&["--public", "beach.example"]);
        assert!(start(&plain).ends_with(" up --public beach.example:7443"), "{plain}");
        assert!(plain.contains("CapabilityBoundingSet=\n") && !plain.contains("Ambient"));
        let files = ["--cert", "/etc/tls/a.pem", "--key", "/etc/tls/k.pem"];
        let low = printed(&[&["--public", "beach.example:443"], &files[..]].concat());
        assert!(start(&low).ends_with("--cert %d/cert.pem --key %d/key.pem"), "{low}");
        assert!(low.contains("LoadCredential=key.pem:/etc/tls/k.pem\n"), "{low}");
        assert!(low.contains("AmbientCapabilities=CAP_NET_BIND_SERVICE\n"));
    }

    #[test]
    fn the_certificate_of_before_is_kept_where_there_is_one() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().display().to_string();
        let hint = || printed(&["--state", &state]).contains(&format!("'{state}'/*.pem"));
        assert!(!hint());
        std::fs::write(home.path().join("certificate.pem"), "").unwrap();
        assert!(hint());
    }

    #[test]
    fn a_word_cannot_end_its_line() {
        assert!(word("a\nExecStartPre=rm").is_err());
        assert!(plain(Path::new("/etc/a b.pem")).is_err());
        assert_eq!(word("a\"b\\c $d").unwrap(), "\"a\\\"b\\\\c $$d\"");
    }
}
