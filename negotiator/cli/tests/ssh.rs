//! `beach-link ssh` against OpenSSH's own server, on loopback, as whoever runs the tests.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use beach_link::wire::Size;
use lifeguard_relay::{Dev, DevConfig};
use program::{
    Program,
    terminal::{Terminal, USUAL},
    until,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A machine that ssh reaches: this one, with a home of its own.
struct Machine {
    folder: TempDir,
    sshd: Child,
    port: String,
}

impl Machine {
    /// `path`: where programs are found there.
    fn start(path: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for key in ["host", "key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.path().join(key))
                .status();
            assert!(made.expect("openssh-client is installed").success());
        }
        // As root it wants a folder of its own, which is made at boot otherwise.
        let _ = fs::create_dir_all("/run/sshd");
        let home = folder.path().display();
        loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let config = format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {home}/host\nAuthorizedKeysFile {home}/key.pub\n\
                 PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n\
                 SetEnv PATH={path} HOME={home} XDG_RUNTIME_DIR={home}\n"
            );
            fs::write(folder.path().join("config"), config).unwrap();
            let said = fs::File::create(folder.path().join("said")).unwrap();
            let sshd = Command::new("/usr/sbin/sshd")
                .args(["-D", "-e", "-f"])
                .arg(folder.path().join("config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(said)
                .spawn();
            let mut sshd = sshd.expect("openssh-server is installed");
            let listens = until("sshd neither listens nor ends", || {
                let said = fs::read_to_string(folder.path().join("said")).unwrap_or_default();
                if said.contains("Server listening") {
                    return Some(true);
                }
                sshd.try_wait().unwrap().map(|_| {
                    // Another program may have taken the port meanwhile.
                    assert!(said.contains("Address already in use"), "{said}");
                    false
                })
            });
            if listens {
                return Self { folder, sshd, port: port.to_string() };
            }
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `beach-link ssh`, to this machine.
    fn ssh(&self, own: &[&str], command: &[&str]) -> Terminal {
        let (key, known) = (self.path("key"), format!("UserKnownHostsFile={}", self.path("known")));
        let ssh = ["-F", "/dev/null", "-p", &self.port, "-i", &key, "-o", &known, "127.0.0.1", "--"];
        Terminal::start(Size { columns: 120, ..USUAL }, &[&["ssh"], own, &ssh, command].concat(), &[])
    }

    /// Ends the server, and with it every connection.
    fn end(&mut self) {
        for pid in descendants(self.sshd.id()) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        let _ = self.sshd.wait();
    }

    fn here(&self, arguments: &[&str]) -> program::End {
        Program::new(arguments).env("XDG_RUNTIME_DIR", &self.path("")).run()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A session that a failed test left.
        if self.folder.path().join("beach-link").exists() {
            self.here(&["stop"]);
        }
        self.end();
    }
}

/// A process and those that it and its children started.
fn descendants(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    all
}

/// Where programs are on a machine that has beach-link.
fn path() -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_beach-link")).parent().unwrap().display().to_string();
    format!("{folder}:/usr/bin:/bin")
}

struct Service {
    _runtime: Runtime,
    dev: Dev,
}

impl Service {
    fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let dev = runtime.block_on(Dev::start(DevConfig::default())).unwrap();
        Self { _runtime: runtime, dev }
    }
}

#[test]
fn a_session_is_started_over_ssh_and_outlives_it() {
    let service = Service::start();
    let mut machine = Machine::start(&path());
    let url = service.dev.public_url();
    let mut terminal = machine.ssh(&["--loopback", "--control-plane", &url], &["sh"]);
    // ssh's own question, answered in the same terminal.
    terminal.sees("continue connecting");
    terminal.type_text("yes\r");
    terminal.sees("webrtc ·");
    terminal.type_text("echo with ssh $((6*7))\r");
    terminal.sees("with ssh 42");
    let link = format!("{url}/s#");
    assert!(!terminal.output().contains(&link), "the link is shown: {}", terminal.output());
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        assert!(!arguments.contains(&link), "the link is an argument: {arguments}");
    }
    machine.end();
    terminal.type_text("echo without $((50+5))\r");
    terminal.sees("without 55");
    terminal.type_text("exit 7\r");
    terminal.ends_with(7);
    terminal.sees("the command ended with status 7");
}

#[test]
fn whoever_leaves_is_told_the_way_back() {
    let service = Service::start();
    let machine = Machine::start(&path());
    let url = service.dev.public_url();
    let mut terminal = machine.ssh(&["--loopback", "--control-plane", &url], &["sh"]);
    terminal.sees("continue connecting");
    terminal.type_text("yes\r");
    terminal.sees("webrtc ·");
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
    // It breaks at the end of a row, and what was written last is read after the end.
    until("the way back is not told", || {
        terminal.text().replace('\n', "").contains("-t 127.0.0.1 beach-link attach").then_some(())
    });
    assert!(machine.here(&["list"]).stdout.contains("sh"));
    assert_eq!(machine.here(&["stop"]).code, 0);
}

#[test]
fn what_keeps_a_session_from_starting_there_is_told_here() {
    let service = Service::start();
    let machine = Machine::start(&path());
    let url = service.dev.public_url();
    let mut terminal = machine.ssh(&["--control-plane", &url], &["/no/such/command"]);
    terminal.sees("continue connecting");
    terminal.type_text("yes\r");
    terminal.ends_with(127);
    terminal.sees("/no/such/command");

    let mut empty = Machine::start("/usr/bin:/bin");
    let mut terminal = empty.ssh(&["--control-plane", &url], &["sh"]);
    terminal.sees("continue connecting");
    terminal.type_text("yes\r");
    terminal.ends_with(99);
    terminal.sees("beach-link is not installed on 127.0.0.1: `cargo install beach-link` there");

    empty.end();
    let mut terminal = empty.ssh(&["--control-plane", &url], &["sh"]);
    terminal.ends_with(98);
    terminal.sees("ssh did not reach 127.0.0.1");
}
