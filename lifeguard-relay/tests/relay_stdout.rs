//! Standard output that takes nothing: each command says so, none panics, and what it made is not half made.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
#[allow(unused, reason = "shared with tests that speak to a service")]
mod relay_support;

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use ops_support::{BINARY, Service, said};

/// How standard output fails.
#[derive(Debug, Clone, Copy)]
enum Broken {
    /// Nobody reads the pipe.
    Abandoned,
    /// There is none.
    Closed,
    /// The disk is full.
    Full,
}

const ALL: [Broken; 3] = [Broken::Abandoned, Broken::Closed, Broken::Full];

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// Runs a command to its end, with `input` to read.
fn run(broken: Broken, admin: &str, arguments: &[String], input: &str) -> Output {
    let mut command = Command::new("sh");
    let close = if matches!(broken, Broken::Closed) { ">&-" } else { "" };
    command.args(["-c", &format!("exec \"$@\" {close}"), "sh", BINARY]).args(arguments);
    command.env("BEACH_LIFEGUARD_ADMIN", admin).stdin(Stdio::piped()).stderr(Stdio::piped());
    match broken {
        Broken::Full => command.stdout(full()),
        // A pipe whose reading end is gone before anything is written.
        Broken::Abandoned => command.stdout(std::io::pipe().unwrap().1),
        Broken::Closed => command.stdout(Stdio::null()),
    };
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn each_command_ends_with_a_sentence() {
    let service = Service::dev();
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = key(folder.path());
    let session = "11111111-1111-4111-8111-111111111111";
    let mint = format!("token mint --key {key} --key-id k --session {session}");
    let token = String::from_utf8(Command::new(BINARY).args(words(&mint)).output().unwrap().stdout).unwrap();
    for broken in ALL {
        for (line, input) in [
            ("--help", ""),
            ("--version", ""),
            ("config print-default", ""),
            ("config check", ""),
            (mint.as_str(), ""),
            (&format!("token verify --public-keys {public}"), token.as_str()),
            ("status", ""),
            ("status --json", ""),
            ("pause --reason test", ""),
            ("resume", ""),
            ("up --public 127.0.0.1 --print-unit", ""),
            ("drain", ""),
        ] {
            let output = run(broken, &service.admin, &words(line), input);
            let told = said(&output);
            assert!(!told.contains("panicked"), "{broken:?}: {line}: {told}");
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 1)), "{broken:?}: {line}: {code:?}: {told}");
            assert!(code == Some(0) || told.contains("standard output"), "{broken:?}: {line}: {told}");
        }
    }
}

#[test]
fn a_key_whose_public_half_got_lost_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (_, trusted) = key(folder.path());
    let out = folder.path().join("new.pem");
    for command in ["keys generate".to_owned(), format!("keys rotate --trusted {trusted}")] {
        for broken in [Broken::Abandoned, Broken::Full] {
            let line = format!("{command} --out {}", out.display());
            let output = run(broken, "http://127.0.0.1:1", &words(&line), "");
            assert_eq!(output.status.code(), Some(1), "{broken:?}: {line}: {}", said(&output));
            assert!(!out.exists(), "{broken:?}: {line}: the file stands in the way of a second try");
        }
    }
}

#[test]
fn a_service_goes_on_when_nobody_reads_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (_, public) = key(folder.path());
    let state = folder.path().join("state").display().to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for line in [
        "dev --listen-addr 127.0.0.1:0 --admin-addr 127.0.0.1:0".to_owned(),
        format!("serve --tokens-public-keys {public} --listen-addr 127.0.0.1:0 --admin-addr 127.0.0.1:0"),
        format!("up --public {free} --listen-addr {free} --admin-addr 127.0.0.1:0 --state {state}"),
    ] {
        let mut child = Command::new(BINARY)
            .args(words(&line))
            .env("RUST_LOG", "info")
            .stdout(full())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = child.stderr.take().unwrap();
        let (mut told, mut buffer) = (String::new(), [0; 1024]);
        let begun = Instant::now();
        while !told.contains("the service goes on") && begun.elapsed() < Duration::from_secs(30) {
            match log.read(&mut buffer).unwrap() {
                0 => break,
                length => told.push_str(&String::from_utf8_lossy(&buffer[..length])),
            }
        }
        let alive = child.try_wait().unwrap().is_none();
        let _ = child.kill();
        let _ = child.wait();
        assert!(alive && told.contains("the service goes on"), "{line}: {told}");
    }
}

/// Each command that there is, as its help lists them.
fn commands(prefix: &[String]) -> Vec<String> {
    let help = Command::new(BINARY).args(prefix).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let Some((_, listed)) = help.split_once("Commands:\n") else { return vec![prefix.join(" ")] };
    let listed = listed.lines().take_while(|line| !line.is_empty());
    // A line of a description that was wrapped is indented further.
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| commands(&[prefix, &[name.to_owned()]].concat())).collect()
}

#[test]
fn each_command_there_is_is_tried() {
    let this = include_str!("relay_stdout.rs");
    // This one takes the same way to its listeners and to its first line as `serve`.
    let like_another = ["control-plane"];
    let all = commands(&[]);
    assert!(all.len() > 10, "{all:?}");
    for command in all.iter().filter(|command| !like_another.contains(&command.as_str())) {
        let tried = [format!("\"{command}"), format!("!(\"{command}")];
        assert!(tried.iter().any(|words| this.contains(words)), "`{command}` is not tried here");
    }
}

/// Makes a key; returns its file and its public entry.
fn key(folder: &Path) -> (String, String) {
    let file = folder.join("key.pem").display().to_string();
    let made = Command::new(BINARY).args(["keys", "generate", "--id", "k", "--out", &file]).output().unwrap();
    assert!(fs::exists(&file).unwrap());
    (file, String::from_utf8(made.stdout).unwrap().trim().to_owned())
}
