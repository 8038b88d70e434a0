//! Whoever shares, at a real terminal: takes part, decides, goes away and comes back.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use std::path::Path;

use beach_link::wire::Size;
use lifeguard_relay::{Dev, DevConfig};
use program::{
    End, Program, lives, read_when_there,
    terminal::{Terminal, USUAL},
    until,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A control plane, and a folder for one test's sockets and links.
struct Stage {
    _runtime: Runtime,
    dev: Dev,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let dev = runtime.block_on(Dev::start(DevConfig::default())).unwrap();
        Self { _runtime: runtime, dev, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let (url, file) = (self.dev.public_url(), self.path("link"));
        let share = ["share", "--loopback", "--control-plane", &url, "--link-file", &file];
        share.iter().chain(more).map(ToString::to_string).collect()
    }

    /// Shares in a terminal. Returns with the link, before return was pressed.
    fn share(&self, more: &[&str]) -> (Terminal, String) {
        let arguments = self.arguments(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let terminal =
            Terminal::start(USUAL, &arguments, &[("XDG_RUNTIME_DIR", self.folder.path().to_str().unwrap())]);
        let link = read_when_there(Path::new(&self.path("link")));
        (terminal, link)
    }

    fn program(&self, arguments: &[&str]) -> Program {
        Program::new(arguments).env("XDG_RUNTIME_DIR", self.folder.path().to_str().unwrap())
    }

    fn run(&self, arguments: &[&str]) -> End {
        self.program(arguments).run()
    }

    fn attach(&self, size: Size, name: &str) -> Terminal {
        Terminal::start(size, &["attach", name], &[("XDG_RUNTIME_DIR", self.folder.path().to_str().unwrap())])
    }

    /// Who is here, or knocks, as soon as there is somebody: the digits that name them.
    fn somebody(&self, name: &str, kind: &str) -> String {
        until("nobody came", || {
            let end = self.run(&["sessions", "-s", name, "who", "--output", "json"]);
            let state: serde_json::Value = serde_json::from_str(&end.stdout).ok()?;
            state[kind][0]["id"].as_str().map(|id| id[..6].to_owned())
        })
    }
}

#[test]
fn the_host_types_sees_decides_and_the_last_screen_stays() {
    let stage = Stage::new();
    let (mut host, link) = stage.share(&["--", "sh"]);
    host.sees("Return goes to the shared terminal");
    host.type_text("\r");
    host.sees("nobody is here");
    host.type_text("echo $((6*7)); stty size\r");
    host.sees("\n42");
    host.sees("23 80");
    // Ctrl-C is the program's.
    host.type_text("sleep 1000\r");
    host.sees("sleep 1000");
    host.type_text("\x03");
    host.type_text("echo on $((50+5))\r");
    host.sees("on 55");

    host.type_text("\x1eh");
    host.sees("no line has left");
    host.type_text("q");
    host.type_text("seq 1 100; echo up $((40+4))\r");
    host.sees("up 44");
    host.type_text("\x1eh");
    host.sees("PgUp PgDn g G");
    host.type_text("q");
    host.type_text("clear; echo on $((50+5))\r");
    host.sees("on 55");

    let mut viewer = Terminal::join(&link, Size { columns: 60, rows: 15 }, &["--name", "ada"]);
    viewer.sees("on 55");
    host.sees("1 viewer · ada webrtc");
    host.type_text("clear; stty size\r");
    host.sees("14 60");
    viewer.sees("14 60");
    viewer.type_text("echo from $((30+3))\r");
    host.sees("from 33");

    host.type_text("\x1ew");
    host.sees("may type · webrtc");
    host.type_text("r");
    viewer.sees("read-only");
    viewer.type_text("echo never\r");
    viewer.sees("what you type goes nowhere");
    host.sees("read-only · webrtc");
    host.type_text("q");
    // Who only watches has no say in the size.
    host.type_text("clear; stty size\r");
    host.sees("23 80");
    assert!(!host.text().contains("never"), "{}", host.text());

    host.type_text("\x1ew");
    host.sees(">ada");
    host.type_text("x");
    host.sees("Remove ada");
    host.type_text("y");
    viewer.ends_with(90);
    host.sees("Nobody is here");
    host.type_text("q");
    host.type_text("exit 5\r");
    host.ends_with(5);
    host.sees("exit 5");
    host.sees("the command ended with status 5");
    assert!(!host.text().contains("nobody watches"), "live lines are left behind: {}", host.text());
}

#[test]
fn the_host_ends_the_session_from_the_menu() {
    let stage = Stage::new();
    let (mut host, link) = stage.share(&["--", "sh", "-c", "echo look; sleep 1000"]);
    host.type_text("\r");
    host.sees("look");
    let viewer = Terminal::join(&link, USUAL, &[]);
    viewer.sees("look");
    host.type_text("\x1eq");
    host.sees("End the program, and the session for everybody?");
    host.type_text("n");
    host.sees("nothing was done");
    host.type_text("\x1eqy");
    host.ends_with(129);
    viewer.sees("the command ended with status 129");
}

#[test]
fn what_is_typed_after_the_end_does_not_run() {
    let stage = Stage::new();
    let binary = env!("CARGO_BIN_EXE_beach-link");
    let console =
        stage.arguments(&["--", "sh", "-c", "read go"]).join(" ").replace("-c read go", "-c 'read go'");
    let board = format!("{} --board -- sleep 1", stage.arguments(&[]).join(" "));
    let marks = ["one", "two"].map(|name| stage.path(name));
    let mut shell = Terminal::run(
        "sh",
        USUAL,
        &[],
        &[("XDG_RUNTIME_DIR", stage.folder.path().to_str().unwrap()), ("PS1", "$ ")],
    );
    shell.type_text(&format!("{binary} {console}; echo ended $((1+1))\r"));
    shell.sees("Return goes to the shared terminal");
    shell.type_text("\r");
    shell.sees("nobody is here");
    shell.type_text(&format!("go\rtouch {}\r", marks[0]));
    shell.sees("ended 2");
    shell.type_text(&format!("clear; {binary} {board}; echo ended $((2+2))\r"));
    shell.sees("nobody watches");
    shell.type_text(&format!("touch {}\r", marks[1]));
    shell.sees("ended 4");
    shell.type_text("echo last $((3+3))\r");
    shell.sees("last 6");
    for mark in marks {
        assert!(!Path::new(&mark).exists(), "what was typed for the session ran after it: {}", shell.text());
    }
}

#[test]
fn who_knocks_waits_for_a_yes_and_goes_at_a_no() {
    let stage = Stage::new();
    let (mut host, link) =
        stage.share(&["--approve", "--name", "careful", "--", "sh", "-c", "echo inside; read go"]);
    host.sees("Return goes to");
    host.type_text("\r");
    host.sees("nobody is here");
    let wanted = Terminal::join(&link, USUAL, &["--name", "ada"]);
    wanted.sees("the host is asked whether to let you in");
    host.sees("ada (");
    host.sees("asks to come in by link");
    host.type_text("\x1ey");
    wanted.sees("inside");
    host.sees("1 viewer");
    let mut stranger = Terminal::join(&link, USUAL, &["--name", "mallory"]);
    host.sees("mallory (");
    host.type_text("\x1en");
    stranger.ends_with(90);
    stranger.sees("the host did not approve");
    // A program of the same user can say it as well.
    let other = Terminal::join(&link, USUAL, &["--name", "grace"]);
    let digits = stage.somebody("careful", "knocks");
    let end = stage.run(&["sessions", "approve", &digits]);
    assert!(end.code == 0 && end.stdout.contains("grace"), "{end:?}");
    other.sees("inside");
    host.type_text("\r");
    host.ends_with(0);
}

#[test]
fn a_session_in_the_background_is_attached_to_decided_about_and_stopped() {
    let stage = Stage::new();
    let arguments = stage.arguments(&["--detach", "--name", "work", "--also-read-only", "--", "sh"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let end = stage.run(&arguments);
    assert_eq!(end.code, 0, "{end:?}");
    assert_eq!(end.stdout.matches("beach-link join '").count(), 2, "{end:?}");
    assert!(end.stdout.contains("beach-link attach work"), "{end:?}");
    let link = read_when_there(Path::new(&stage.path("link")));
    let taken = stage.run(&arguments);
    taken.fails(2, "a session called work runs already");

    let listed = stage.run(&["list", "--output", "json"]);
    let state: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let pid = u32::try_from(state["pid"].as_u64().unwrap()).unwrap();
    assert!(lives(pid) && state["name"] == "work" && state["program"] == "sh", "{listed:?}");

    let mut first = stage.attach(USUAL, "work");
    first.sees("nobody is here");
    first.type_text("echo $((6*7)) > /dev/null; echo first $((4+4))\r");
    first.sees("first 8");
    first.type_text(&format!("clear; {} attach work; echo status $?\r", env!("CARGO_BIN_EXE_beach-link")));
    first.sees("this terminal is shared by beach-link already");
    first.sees("status 93");
    let status = std::process::Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap();
    assert!(status.success());
    first.type_text("echo still $((5+5))\r");
    first.sees("still 10");
    first.type_text("\x1eq");
    first.ends_with(0);
    first.sees("the session goes on");

    let mut viewer = Terminal::join(&link, USUAL, &["--name", "ada"]);
    viewer.sees("still 10");
    let digits = stage.somebody("work", "viewers");
    let who = stage.run(&["sessions", "who"]);
    assert!(who.stdout.starts_with("ada (") && who.stdout.contains("may type · webrtc"), "{who:?}");
    let end = stage.run(&["sessions", "access", &digits, "read-only"]);
    assert_eq!(end.code, 0, "{end:?}");
    viewer.sees("read-only");
    let end = stage.run(&["sessions", "access", &digits, "full"]);
    assert!(end.stdout.contains("may type"), "{end:?}");
    viewer.sees("the host lets you type");
    viewer.type_text("echo typed $((7+7))\r");
    viewer.sees("typed 14");
    stage.run(&["sessions", "remove", "zzzz"]).fails(97, "is none of who is here");
    stage.run(&["sessions", "remove", "zzzz", "--output", "json"]).fails(97, "is none of who is here");

    let added = stage.run(&["sessions", "links", "add", "--uses", "1"]);
    assert_eq!(added.stdout.matches("beach-link join '").count(), 1, "{added:?}");
    let links = stage.run(&["sessions", "links"]);
    assert_eq!(links.stdout.matches("beach-link join '").count(), 3, "{links:?}");
    let end = stage.run(&["sessions", "links", "rotate"]);
    assert_eq!(end.stdout.matches("beach-link join '").count(), 3, "{end:?}");
    viewer.ends_with(89);

    let mut again = stage.attach(Size { columns: 60, rows: 15 }, "work");
    again.sees("typed 14");
    let end = stage.run(&["stop"]);
    assert!(end.code == 0 && end.stdout.contains("session work has ended"), "{end:?}");
    again.ends_with(129);
    until("it goes on", || (!lives(pid)).then_some(()));
    stage.run(&["attach", "work"]).fails(81, "terminal");
    stage.run(&["stop", "work"]).fails(96, "no session called work");
    stage.run(&["sessions", "who"]).fails(96, "share --detach");
    let listed = stage.run(&["list"]);
    assert!(listed.code == 0 && listed.stdout.is_empty(), "{listed:?}");
    let left = std::fs::read_dir(stage.folder.path().join("beach-link")).unwrap().count();
    assert_eq!(left, 0, "a socket or a log is left behind");
}

#[test]
fn what_keeps_a_session_out_of_the_background_is_told_here() {
    let stage = Stage::new();
    stage.run(&["share", "--detach", "--", "no-such-program-anywhere"]).fails(127, "command not found");
    let url = "http://127.0.0.1:1";
    stage.run(&["share", "--detach", "--control-plane", url, "--", "true"]).fails(74, "control plane");
    stage
        .run(&["share", "--detach", "--name", "a/b", "--control-plane", url, "--", "true"])
        .fails(2, "a session's name has");
    assert_eq!(stage.run(&["list"]).stdout, "");
}
