//! `up` as friends meet it: what it prints, what it keeps, and what it says when it cannot.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use beach_outbound::{Fingerprint, Outbound, OutboundConfig, Request};

struct Home {
    folder: tempfile::TempDir,
    public: String,
}

impl Home {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        Self { folder, public: free.to_string() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beach-lifeguard"));
        command.env_clear().env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.path("run"));
        command.args(["up", "--admin-addr", "127.0.0.1:0"]).args(arguments);
        command
    }

    fn start(&self, more: &[&str]) -> Up {
        let mut command = self.command(&["--public", &self.public, "--listen-addr", &self.public]);
        Up::read(command.args(more).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Runs it where it must fail; returns what it said.
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.command(arguments).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {words}");
        assert!(words.lines().count() <= 2, "{words}");
        words
    }
}

/// A running one. Dropping it ends it.
struct Up {
    process: Child,
    printed: String,
}

impl Up {
    fn read(mut process: Child) -> Self {
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let printed: Vec<String> =
            lines.by_ref().map(Result::unwrap).take_while(|line| !line.contains("stop:")).collect();
        Self { process, printed: printed.join("\n") }
    }

    fn line(&self, label: &str) -> &str {
        let found = self.printed.lines().find_map(|line| line.trim().strip_prefix(label));
        found.unwrap_or_else(|| panic!("no {label} in {}", self.printed)).trim()
    }

    fn stop(mut self) {
        Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_service_is_the_same_after_a_restart_and_answers_whoever_pins_it() {
    let home = Home::new();
    let first = home.start(&[]);
    let url = format!("https://{}", home.public);
    assert_eq!(first.line("address"), url);
    assert_eq!(first.line("share from this machine:"), "beach-link share");
    let fingerprint = first.line("certificate").strip_prefix("sha256:").unwrap().to_owned();
    let elsewhere = first.line("share from another:").to_owned();
    assert_eq!(elsewhere, format!("beach-link share --control-plane {url} --pin {fingerprint}"));
    let state = home.path(".local/state/beach-lifeguard");
    let left = [state.join("service.toml"), home.path("run/beach-lifeguard/service.toml")];
    for file in &left {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&url) && text.contains(&fingerprint), "{text}");
    }
    assert_eq!((mode(&state), mode(&state.join("certificate.pem"))), (0o700, 0o600));
    first.stop();
    assert!(!left.iter().any(|file| file.exists()), "it runs no more");

    let second = home.start(&[]);
    assert_eq!(second.line("share from another:"), elsewhere);
    let answer = |pin: [u8; 16]| {
        let mut config = OutboundConfig::default();
        config.trust.pin_host("127.0.0.1", pin);
        let outbound = Outbound::new(config).unwrap();
        let url = format!("{url}/healthz").parse().unwrap();
        async move { outbound.http(Request::get(url)).await }
    };
    let pin: [u8; 16] = fingerprint.parse::<Fingerprint>().unwrap().as_bytes()[..16].try_into().unwrap();
    assert!(answer(pin).await.unwrap().status.is_success());
    assert!(answer([7; 16]).await.unwrap_err().is_not_pinned());
    let taken = home.fails(&["--public", &home.public, "--listen-addr", &home.public], 4);
    assert!(taken.contains(&home.public) && taken.contains("--listen-addr"), "{taken}");
}

#[test]
fn with_a_certificate_of_ones_own_nothing_is_pinned() {
    let home = Home::new();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (home.path("cert.pem"), home.path("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let state = home.path("own/state");
    let [cert, key, state] = [&cert, &key, &state].map(|path| path.to_str().unwrap().to_owned());
    let up = home.start(&["--cert", &cert, "--key", &key, "--state", &state]);
    let url = format!("https://{}", home.public);
    assert_eq!(up.line("share from another:"), format!("beach-link share --control-plane {url}"));
    assert!(!fs::read_to_string(home.path("own/state/service.toml")).unwrap().contains("pin"));
    up.stop();
}

#[test]
fn each_way_to_fail_has_its_sentence_and_its_code() {
    let home = Home::new();
    let unit = home.command(&["--public", "beach.example", "--print-unit"]).output().unwrap();
    assert!(
        unit.status.success() && String::from_utf8_lossy(&unit.stdout).contains("StateDirectoryMode=0700")
    );
    assert!(!home.path(".local").exists(), "printing a unit makes nothing");
    let said = home.fails(&["--public", "nowhere.invalid"], 11);
    assert!(said.contains("nowhere.invalid resolves to nothing") && said.contains("--public"), "{said}");
    let open = home.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let public = ["--public", home.public.as_str(), "--listen-addr", home.public.as_str(), "--state"];
    let said = home.fails(&[&public[..], &[open.to_str().unwrap()]].concat(), 10);
    assert!(said.contains("chmod 700"), "{said}");
    let file = home.path("file");
    fs::write(&file, "").unwrap();
    let said = home.fails(&[&public[..], &[file.to_str().unwrap()]].concat(), 10);
    assert!(said.contains("no directory"), "{said}");
    let missing = ["--cert", "/nowhere/cert.pem", "--key", "/nowhere/key.pem"];
    let said = home.fails(&[&public[..4], &missing].concat(), 3);
    assert!(said.contains("/nowhere/cert.pem"), "{said}");
}

#[test]
fn another_users_state_is_left_alone() {
    let home = Home::new();
    let state = home.path("another");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    if std::os::unix::fs::chown(&state, Some(65_534), None).is_err() {
        // Only root gives a directory away; anybody else is kept out of one by the system.
        return;
    }
    let arguments = ["--public", home.public.as_str(), "--listen-addr", home.public.as_str(), "--state"];
    let said = home.fails(&[&arguments[..], &[state.to_str().unwrap()]].concat(), 10);
    assert!(said.contains("another user's"), "{said}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "nothing is left in it");
}
