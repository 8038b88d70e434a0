//! A guard that is no wall clock: system calls of the relay for each message of a fixed script.
//!
//! The relay runs on one thread under `strace -c`. Two runs of different length are compared, so that neither the start
//! nor the end counts. More than a tenth above `system_calls.txt` fails. After a change that is worth it:
//! `UPDATE_SYSTEM_CALLS=1 cargo test -p beach-load --test system_calls`, and say why in the commit.
#![allow(clippy::unwrap_used, reason = "tests and benchmarks end loudly")]

use std::{
    fmt::Write,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use beach_lifeguard_client::{Lane, LinkNumber, PeerAddr, Role};
use conformance::relay::{Endpoint, RelayTarget, Session};

/// Messages of the short run, and how many more the long one has.
const FEW: u64 = 100;
const MORE: u64 = 1_000;

#[tokio::test]
async fn a_message_costs_no_more_system_calls_than_it_did() {
    let mut measured = Vec::new();
    for (name, viewers) in [("to_one", 1), ("to_eight", 8)] {
        let (few, more) = (calls(viewers, FEW).await, calls(viewers, FEW + MORE).await);
        measured.push((name, (more - few) as f64 / MORE as f64));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system_calls.txt");
    if std::env::var_os("UPDATE_SYSTEM_CALLS").is_some() {
        let mut text = String::from(HEAD);
        for (name, calls) in measured {
            writeln!(text, "{name} {calls:.1}").unwrap();
        }
        std::fs::write(file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(file).unwrap();
    for (name, calls) in measured {
        let line = committed.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        let committed = line.unwrap_or_else(|| panic!("{name} is not in system_calls.txt"));
        println!("{name}: {calls:.2} system calls for a message, {committed} committed");
        assert!(calls > 1.0, "{name}: {calls} for a message that is read and written: nothing was counted");
        assert!(
            calls <= committed * 1.1,
            "{name}: {calls:.2} system calls for a message, {committed} committed. If it is worth it: \
             UPDATE_SYSTEM_CALLS=1 cargo test -p beach-load --test system_calls"
        );
    }
}

const HEAD: &str = "# System calls of the relay for a message of 1 KiB that waits for nothing, to one and to eight \
    viewers; tests/system_calls.rs compares and says how to update.\n";

/// All system calls of a relay that carried so many messages from a host to each of its viewers, one after the other.
async fn calls(viewers: usize, messages: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("strace");
    let (tracer, base) = start(&summary);
    let target = RelayTarget::new(base.replacen("http", "ws", 1), base);
    let session = Session::register(&target).await.unwrap();
    let mut host = session.join(Role::Host).await.unwrap();
    let mut receivers: Vec<Endpoint> = Vec::new();
    for _ in 0..viewers {
        receivers.push(session.join(Role::Viewer).await.unwrap());
    }
    for _ in 0..messages {
        host.send(Lane::Reliable, PeerAddr::EVERYONE, LinkNumber(1), &[0x5A; 1_024]).await.unwrap();
        for receiver in &mut receivers {
            receiver.expect(Lane::Reliable, host.addr(), LinkNumber(1), &[0x5A; 1_024]).await.unwrap();
        }
    }
    drop((host, receivers));
    end(tracer);
    let summary = std::fs::read_to_string(&summary).unwrap();
    let total = summary.lines().find(|line| line.ends_with(" total")).expect("strace sums up");
    // `100.00    0.000000           0        29         1 total`: the fourth column.
    total.split_whitespace().nth(3).unwrap().parse().unwrap()
}

/// Starts the relay under `strace`; returns that and the control plane's URL.
fn start(summary: &Path) -> (Child, String) {
    let mut tracer = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .arg(summary)
        .arg(relay())
        .args(["dev", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])
        .env("TOKIO_WORKER_THREADS", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is installed (Debian: strace)");
    let mut lines = BufReader::new(tracer.stdout.take().unwrap()).lines().map_while(Result::ok);
    let base = lines.find_map(|line| Some(line.trim().strip_prefix("control plane")?.trim().to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    (tracer, base.expect("the relay says where it listens"))
}

/// Asks the relay to go; `strace` writes its summary then.
fn end(mut tracer: Child) {
    let children = format!("/proc/{0}/task/{0}/children", tracer.id());
    for child in std::fs::read_to_string(children).unwrap().split_whitespace() {
        Command::new("kill").args(["-TERM", child]).status().unwrap();
    }
    tracer.wait().unwrap();
}

/// The binary of this build; built now when only this package's tests were.
fn relay() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("beach-lifeguard");
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-q", "-p", "beach-lifeguard", "--bin", "beach-lifeguard"]);
        assert!(build.status().unwrap().success(), "the relay does not build");
    }
    program
}
