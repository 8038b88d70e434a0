//! The built binary against a relay and control plane in this process.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use lifeguard_relay::{Dev, DevConfig, kill_switch::Verb};
use negotiator::Fingerprint;
use program::{End, Program, Running, SEEN, lives, read_when_there, run, until};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use transport_core::secure::{CertificatePin, Identity, JoinFragment, LinkSecret};

/// A service, and a folder for link files.
struct Service {
    runtime: Runtime,
    dev: Option<Dev>,
    folder: TempDir,
}

impl Service {
    fn start() -> Self {
        Self::with(DevConfig::default())
    }

    fn with_tls() -> Self {
        let mut config = DevConfig::default();
        config.tls = true;
        Self::with(config)
    }

    fn with(config: DevConfig) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let dev = runtime.block_on(Dev::start(config)).unwrap();
        Self { runtime, dev: Some(dev), folder: tempfile::tempdir().unwrap() }
    }

    fn url(&self) -> String {
        self.dev.as_ref().unwrap().public_url()
    }

    /// Of its certificate.
    fn fingerprint(&self) -> String {
        let pem = self.dev.as_ref().unwrap().certificate_pem().unwrap();
        Fingerprint::of(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).to_string()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs `beach-link share` and returns it with its link.
    fn share(&self, more: &[&str]) -> (Running, String) {
        let (url, file) = (self.url(), self.path("share"));
        let share = ["share", "--loopback", "--control-plane", &url, "--link-file", &file];
        let running = Program::new(&[&share[..], more].concat()).start();
        let link = read_when_there(Path::new(&file));
        (running, link)
    }

    fn pipe_host(&self, input: Vec<u8>, more: &[&str]) -> (Running, String) {
        let (url, file) = (self.url(), self.path("pipe"));
        let host = ["pipe", "host", "--loopback", "--control-plane", &url, "--link-file", &file];
        let running = Program::new(&[&host[..], more].concat()).start_with(input);
        let link = read_when_there(Path::new(&file));
        (running, link)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(dev) = self.dev.take() {
            self.runtime.block_on(dev.shutdown());
        }
    }
}

/// Changes what a link says and signs it anew, as somebody with a mind to would.
fn forge(link: &str, change: impl FnOnce(&mut JoinFragment)) -> String {
    let (address, fragment) = link.split_once('#').unwrap();
    let mut parts = JoinFragment::parse(fragment).unwrap();
    change(&mut parts);
    format!("{address}#{}", *parts.to_fragment())
}

fn join_json(link: &str) -> End {
    run(&["join", "--loopback", "--output", "json", link])
}

#[test]
fn a_link_that_is_wrong_in_any_way_has_its_own_code_and_line() {
    let service = Service::start();
    let (_sharing, link) = service.share(&["--", "sleep", "60"]);

    let secret = LinkSecret::random().unwrap();
    join_json(&forge(&link, |parts| parts.secret = secret))
        .fails(89, "revoked this link, or it is not whole");
    join_json(&forge(&link, |parts| parts.expires_at = Some(1_000_000))).fails(71, "expired");
    let host = Identity::random().unwrap().public();
    join_json(&forge(&link, |parts| parts.host = host)).fails(73, "no such session");
    let middle = link.find('#').unwrap() + 20;
    let other = if link.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let altered = format!("{}{other}{}", &link[..middle], &link[middle + 1..]);
    join_json(&altered).fails(70, "copy it again");
    let elsewhere = link.replace(&service.url(), "http://127.0.0.1:1");
    assert_ne!(elsewhere, link);
    join_json(&elsewhere).fails(74, "control plane");
    run(&["join", &link]).fails(81, "not a terminal");
    run(&["pipe", "join", "--loopback", &link]).fails(80, "beach-link join");
}

#[test]
fn a_pin_in_the_link_is_all_that_a_certificate_nobody_signed_needs() {
    let service = Service::with_tls();
    let pin = service.fingerprint();
    let joined = |link: &str| run(&["pipe", "join", "--loopback", "--relay-only", "-n", link]);
    let (host, link) =
        service.pipe_host(b"over a relay of friends".to_vec(), &["--relay-only", "--pin", &pin]);
    let end = joined(&link);
    assert_eq!((end.code, end.stdout.as_str()), (0, "over a relay of friends"), "{}", end.stderr);
    assert_eq!(host.end().code, 0);

    let (_sharing, link) = service.share(&["--pin", &pin, "--", "sleep", "60"]);
    let another = forge(&link, |parts| parts.certificate = Some(CertificatePin([7; 16])));
    let end = joined(&another);
    end.fails(91, "not the pinned one; its fingerprint is ");
    end.fails(91, "a new link");
    let end = joined(&forge(&link, |parts| parts.certificate = None));
    end.fails(74, &format!("({}: tls: the certificate's issuer", service.url()));
    end.fails(74, "--ca");
    let url = service.url();
    let wrong = pin.replace(|digit: char| digit.is_ascii_hexdigit(), "7");
    run(&["share", "--control-plane", &url, "--pin", &wrong, "--", "true"]).fails(91, &pin);
    let end = run(&["share", "--control-plane", &url, "--pin", "7", "--", "true"]);
    assert!(end.code == 2 && end.stderr.contains("64 hexadecimal digits"), "{end:?}");
    run(&["share", "--control-plane", "http://127.0.0.1:1", "--pin", &pin, "--", "true"])
        .fails(2, "https://");
}

#[test]
fn a_second_link_is_printed_for_who_may_only_watch() {
    let service = Service::start();
    let (sharing, link) = service.share(&["--also-read-only", "--", "true"]);
    let printed = sharing.end().stdout;
    assert!(printed.contains("works on this machine only"), "{printed}");
    let links: Vec<&str> = printed.split('\'').filter(|part| part.starts_with("http")).collect();
    assert_eq!(links[0], link);
    let access = [0, 1].map(|n| JoinFragment::parse(links[n].split_once('#').unwrap().1).unwrap().access);
    assert_eq!(access, [transport_core::secure::Access::Full, transport_core::secure::Access::ReadOnly]);
    assert_eq!(run(&["share", "--read-only", "--also-read-only"]).code, 2, "one or the other");
}

/// Everything that other users may read of a process.
fn arguments(pid: u32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap()).into_owned()
}

#[test]
fn a_link_is_gone_from_the_list_of_processes_before_anything_is_dialled() {
    let service = Service::start();
    let (_sharing, link) = service.share(&["--", "sleep", "60"]);
    let secret = link.split_once('#').unwrap().1;
    let join = Program::new(&["join", "--loopback", "--output", "json", &link]).start();
    until("the link is still among the arguments", || {
        let arguments = arguments(join.pid());
        (arguments.contains("--output") && !arguments.contains(secret)).then_some(())
    });
    join.signal("TERM");
    let end = join.end();
    assert!(end.stderr.contains(SEEN), "{end:?}");
}

#[test]
fn a_link_need_not_be_an_argument() {
    let service = Service::start();
    let (_sharing, link) = service.share(&["--", "sleep", "60"]);
    let explain = ["explain", "--loopback", "--output", "json"];
    let file = service.path("share");
    for end in [
        Program::new(&explain).env("BEACH_LINK", &link).run(),
        Program::new(&[&explain[..], &["--link-file", &file]].concat()).run(),
        Program::new(&[&explain[..], &["-"]].concat()).start_with(format!("{link}\n").into_bytes()).end(),
    ] {
        assert_eq!(end.code, 0, "{end:?}");
        assert!(end.stdout.contains("\"path\":\"webrtc\"") && !end.stderr.contains(SEEN), "{end:?}");
    }
}

#[test]
fn a_pipe_reads_its_link_and_then_its_bytes_from_standard_input() {
    let service = Service::start();
    let (host, link) = service.pipe_host(b"from the host".to_vec(), &[]);
    let input = format!("{link}\nfrom the joiner").into_bytes();
    let joiner = Program::new(&["pipe", "join", "--loopback", "-"]).start_with(input).end();
    assert_eq!((joiner.code, joiner.stdout.as_str()), (0, "from the host"), "{joiner:?}");
    assert_eq!(host.end().stdout, "from the joiner");
}

#[test]
fn a_host_that_left_is_told_from_one_that_never_was() {
    let service = Service::start();
    let (sharing, link) = service.share(&["--", "sleep", "60"]);
    sharing.signal("TERM");
    assert_eq!(sharing.end().code, 130);
    let end = join_json(&link);
    assert!(matches!(end.code, 73 | 77), "{end:?}");
    end.fails(end.code, "");
}

#[test]
fn explain_says_which_path_and_why_and_leaves() {
    let service = Service::start();
    let (_sharing, link) = service.share(&["--", "sleep", "60"]);
    let end = run(&["explain", "--loopback", &link]);
    assert_eq!(end.code, 0, "{end:?}");
    assert!(end.stdout.starts_with("on webrtc for ") && end.stdout.contains("ws-fallback"), "{end:?}");
    let end = run(&["explain", "--relay-only", "--output", "json", &link]);
    let answer: serde_json::Value = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!(answer["explain"]["path"], "ws-fallback", "{answer}");
    assert!(answer["explain"]["rtt_us"].is_u64(), "{answer}");
}

#[test]
fn a_relay_that_its_operator_paused_is_told_in_those_words() {
    let service = Service::start();
    let (_sharing, link) = service.share(&["--", "sleep", "60"]);
    let switch = service.dev.as_ref().unwrap().kill_switch();
    let pause = switch.set(None, Some(Verb::PauseMinting), "test", "drill");
    service.runtime.block_on(pause).unwrap();
    let join = ["join", "--relay-only", "--connect-timeout", "3", "--output", "json", &link];
    run(&join).fails(76, "the operator has paused the relay");
}

#[test]
fn share_exits_with_its_commands_status_and_viewers_are_told() {
    let service = Service::start();
    let gate = service.path("gate");
    let command = format!("while [ ! -e {gate} ]; do sleep 0.05; done; exit 42");
    let (sharing, link) = service.share(&["--output", "json", "--", "sh", "-c", &command]);
    let viewers: Vec<_> =
        (0..2).map(|_| Program::new(&["join", "--loopback", "--output", "json", &link]).start()).collect();
    std::thread::sleep(std::time::Duration::from_secs(5));
    fs::write(&gate, "").unwrap();
    for viewer in viewers {
        let end = viewer.end();
        assert_eq!(end.code, 42, "{end:?}");
        let events: Vec<serde_json::Value> =
            end.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events[0]["type"], "connected");
        assert_eq!(events[0]["explain"]["path"], "webrtc", "{}", events[0]);
        assert_eq!(events.last().unwrap()["type"], "exit");
        assert_eq!(events.last().unwrap()["status"], 42);
    }
    assert_eq!(sharing.end().code, 42);
}

#[test]
fn ending_share_ends_its_command_and_tells_the_viewer() {
    let service = Service::start();
    let pid_file = service.path("pid");
    let command = format!("echo $$ > {pid_file}.tmp; mv {pid_file}.tmp {pid_file}; exec sleep 1000");
    let (sharing, link) = service.share(&["--", "sh", "-c", &command]);
    let pid: u32 = read_when_there(Path::new(&pid_file)).parse().unwrap();
    assert!(lives(pid));
    let viewer = Program::new(&["join", "--loopback", "--output", "json", &link]).start();
    std::thread::sleep(std::time::Duration::from_secs(2));
    sharing.signal("TERM");
    sharing.end().fails(130, "interrupted");
    until("the command survived its host", || (!lives(pid)).then_some(()));
    let end = viewer.end();
    assert!(end.stdout.lines().last().unwrap().contains("ended"), "{end:?}");
}

#[test]
fn twenty_megabytes_through_a_pipe_arrive_whole_in_both_directions() {
    let service = Service::start();
    let mut up = vec![0; 20_000_000];
    let mut down = vec![0; 1_000_003];
    StdRng::seed_from_u64(1).fill_bytes(&mut up);
    StdRng::seed_from_u64(2).fill_bytes(&mut down);
    let (host, link) = service.pipe_host(up.clone(), &[]);
    let join = Program::new(&["pipe", "join", "--loopback", "--progress", &link]).start_with(down.clone());
    // Both at once: a program whose output nobody reads cannot end.
    let host = std::thread::spawn(|| host.bytes());
    let (code, received, stderr) = join.bytes();
    assert_eq!(code, 0, "{stderr}");
    assert!(received == up, "{} of {} bytes", received.len(), up.len());
    assert!(stderr.contains("webrtc"), "{stderr}");
    let (code, received, stderr) = host.join().unwrap();
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(received == down);
}

#[test]
fn a_pipe_through_the_relay_alone_works_too() {
    let service = Service::start();
    let (host, link) = service.pipe_host(b"over the relay".to_vec(), &["--relay-only"]);
    let join = Program::new(&["pipe", "join", "--relay-only", "--progress", "-n", &link]).run();
    assert_eq!(join.code, 0, "{join:?}");
    assert_eq!(join.stdout, "over the relay");
    assert!(join.stderr.contains("ws-fallback"), "{}", join.stderr);
    assert_eq!(host.end().code, 0);
}

#[test]
fn a_pipe_has_one_peer_and_says_so() {
    let service = Service::start();
    let (host, link) = service.pipe_host(b"x".to_vec(), &[]);
    // The first peer's input stays open, so the pipe lives.
    let mut first = std::process::Command::new(env!("CARGO_BIN_EXE_beach-link"))
        .args(["pipe", "join", "--loopback", &link])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(first.stdout.as_mut().unwrap(), &mut byte).unwrap();
    run(&["pipe", "join", "--loopback", "-n", &link]).fails(80, "has its peer");
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    assert_eq!(host.end().code, 0);
}

#[test]
fn a_file_is_sent_and_goes_on_after_its_receiver_was_killed() {
    let service = Service::start();
    let mut bytes = vec![0; 16_000_000];
    StdRng::seed_from_u64(3).fill_bytes(&mut bytes);
    let (file, link_file) = (service.path("sent"), service.path("file"));
    fs::write(&file, &bytes).unwrap();
    let url = service.url();
    let send = ["send", &file, "--loopback", "--control-plane", &url, "--link-file", &link_file];
    let sender = Program::new(&send).start();
    read_when_there(Path::new(&link_file));
    let to = service.path("received");
    let receive = || Program::new(&["receive", "--loopback", "--link-file", &link_file, "--to", &to]);
    let first = receive().start();
    let part = service.folder.path().join("received.part");
    until("nothing came", || (part.metadata().ok()?.len() > 1_000_000).then_some(()));
    first.signal("INT");
    first.end().fails(130, "interrupted");
    assert!(part.metadata().unwrap().len() < 16_000_000);
    let end = receive().start().end();
    assert_eq!(end.code, 0, "{end:?}");
    assert!(fs::read(&to).unwrap() == bytes);
    let sent = sender.end();
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.stderr.contains("waiting for the receiver to come again"), "{sent:?}");
    assert_eq!(sent.stdout.split(' ').next(), end.stdout.split(' ').next());
}

#[test]
fn a_pipe_that_is_interrupted_fails_at_its_other_end_at_once() {
    let service = Service::start();
    let (host, link) = service.pipe_host(b"x".to_vec(), &[]);
    // The joining side's input stays open, so the pipe lives.
    let mut join = std::process::Command::new(env!("CARGO_BIN_EXE_beach-link"))
        .args(["pipe", "join", "--loopback", &link])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(join.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    host.signal("INT");
    host.end().fails(130, "interrupted");
    let end = join.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&end.stderr);
    assert_eq!(end.status.code(), Some(80), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
}

#[test]
fn a_pipe_that_is_interrupted_behind_much_data_says_why_it_closes() {
    let service = Service::start();
    let (host, link) = service.pipe_host(vec![0; 50_000_000], &[]);
    let mut join = std::process::Command::new(env!("CARGO_BIN_EXE_beach-link"))
        .args(["pipe", "join", "--loopback", "-n", &link])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It reads no further: what was sent stands in the way.
    std::io::Read::read_exact(join.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    host.signal("INT");
    host.end().fails(130, "interrupted");
    let end = join.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&end.stderr);
    assert!(matches!(end.status.code(), Some(80 | 84)), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
}

#[test]
fn a_probe_measures_both_paths() {
    let service = Service::start();
    let url = service.url();
    let end = run(&["probe", "--loopback", "--output", "json", "--control-plane", &url]);
    assert_eq!(end.code, 0, "{end:?}");
    let results: Vec<serde_json::Value> =
        end.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let transports: Vec<_> = results.iter().map(|result| &result["result"]["figures"]["transport"]).collect();
    assert_eq!(transports, ["webrtc", "ws-fallback"]);
    for result in &results {
        assert!(result["result"]["figures"]["bytes_per_second"].as_u64().unwrap() > 100_000, "{result}");
    }
}

#[test]
fn a_probe_that_serves_shows_both_paths_to_prometheus() {
    let service = Service::start();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = service.url();
    let probe = ["probe", "--loopback", "--serve", &address, "--every", "1", "--control-plane", &url];
    let probing = Program::new(&probe).start();
    let page = until("no round was served", || {
        let mut stream = std::net::TcpStream::connect(&address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        page.contains("beach_probe_success").then_some(page)
    });
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    for path in ["direct", "relay"] {
        assert!(page.contains(&format!("beach_probe_success{{path=\"{path}\"}} 1")), "{page}");
    }
    probing.signal("TERM");
    assert_eq!(probing.end().code, 130);
}

#[test]
fn the_demo_keeps_every_promise() {
    let end = run(&["demo", "--report", "json"]);
    let report: serde_json::Value = serde_json::from_str(end.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(end.code, 0, "{end:?}");
    assert_eq!(report["paths"], serde_json::json!(["webrtc", "ws-fallback", "webrtc"]));
    for key in ["lost", "duplicated", "reordered", "relay_sockets_while_direct"] {
        assert_eq!(report[key], 0, "{key}: {report}");
    }
    assert_eq!(report["sha256_match"], true);
    assert!(report["reliable_bytes"].as_u64().unwrap() > 5_000_000);
    assert!(report["detect_ms"].as_u64().unwrap() <= 6_000, "{report}");
    assert!(report["fallback_ms"].as_u64().unwrap() <= 12_000, "{report}");
    assert_eq!(report["switch_gap_ms"].as_array().unwrap().len(), 2);
    for key in ["connect_ms", "reasons"] {
        assert!(!report[key].is_null(), "{key}");
    }
}
