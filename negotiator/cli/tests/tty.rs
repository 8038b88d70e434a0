//! `beach-link join` in a real terminal: what the person sees, and the terminal as it was afterwards.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use std::path::Path;

use beach_link::wire::Size;
use lifeguard_relay::{Dev, DevConfig};
use program::{
    Program, Running, read_when_there,
    terminal::{Terminal, USUAL},
    until,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Stage {
    _runtime: Runtime,
    _dev: Dev,
    _folder: TempDir,
    sharing: Running,
    link: String,
}

impl Stage {
    fn new(more: &[&str]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let dev = runtime.block_on(Dev::start(DevConfig::default())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("link").to_str().unwrap().to_owned();
        let url = dev.public_url();
        let share = ["share", "--loopback", "--control-plane", &url, "--link-file", &file];
        let sharing = Program::new(&[&share[..], more].concat()).start();
        let link = read_when_there(Path::new(&file));
        Self { _runtime: runtime, _dev: dev, _folder: folder, sharing, link }
    }
}

#[test]
fn a_person_types_resizes_asks_and_leaves() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    terminal.sees("webrtc ·");
    terminal.type_text("echo $((6*7)); stty size\r");
    terminal.sees("\n42");
    terminal.sees("23 80");
    terminal.resize(Size { columns: 60, rows: 15 });
    terminal.type_text("clear; stty size\r");
    terminal.sees("14 60");
    terminal.sees("webrtc ·");
    terminal.type_text("\x1ee");
    terminal.sees("on webrtc for");
    terminal.sees("any key continues");
    terminal.type_text(" ");
    until("the overlay stayed", || (!terminal.text().contains("any key continues")).then_some(()));
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
    terminal.sees("left; the session goes on");
}

#[test]
fn two_terminals_of_different_sizes_show_the_same() {
    let stage = Stage::new(&["--", "sh"]);
    let mut small = Terminal::join(&stage.link, Size { columns: 50, rows: 12 }, &[]);
    let large = Terminal::join(&stage.link, USUAL, &[]);
    small.sees("2 viewers");
    large.sees("2 viewers");
    small.type_text("clear; seq 1 40; printf 'x%.0s' $(seq 1 70); echo; stty size\r");
    for terminal in [&small, &large] {
        terminal.sees("11 50");
        terminal.sees(&"x".repeat(50));
        terminal.sees("\n40\n");
    }
    assert!(!large.text().contains(&"x".repeat(51)), "{}", large.text());
}

#[test]
fn the_end_of_the_command_and_signals_put_the_terminal_back() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminated = Terminal::join(&stage.link, USUAL, &[]);
    terminated.sees("webrtc ·");
    let pid = terminated.child.process_id().unwrap();
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    terminated.ends_with(130);

    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    terminal.sees("webrtc ·");
    terminal.type_text("exit 9\r");
    terminal.ends_with(0);
    terminal.sees("the command ended with status 9");
    assert_eq!(stage.sharing.end().code, 9);
}

#[test]
fn the_commands_last_words_are_seen_and_stay() {
    let last = "read go; echo first; printf '\\033[32mthe very last words\\033[m'";
    let stage = Stage::new(&["--", "sh", "-c", last]);
    let mut terminals =
        [USUAL, Size { columns: 50, rows: 12 }].map(|size| Terminal::join(&stage.link, size, &[]));
    for terminal in &terminals {
        terminal.sees("2 viewers");
    }
    terminals[0].type_text("\r");
    for terminal in &mut terminals {
        terminal.ends_with(0);
        terminal.sees("first\nthe very last words\nthe command ended with status 0");
    }
    assert_eq!(stage.sharing.end().code, 0);
}

#[test]
fn a_read_only_viewer_watches_and_is_told() {
    let stage = Stage::new(&["--read-only", "--", "sh", "-c", "echo look; sleep 60"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    terminal.sees("look");
    terminal.sees("read-only");
    terminal.type_text("x");
    terminal.sees("what you type goes nowhere");
    terminal.type_text("\x1e.");
    terminal.ends_with(0);
}

#[test]
fn the_escape_key_can_be_another() {
    let stage = Stage::new(&["--", "cat"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &["--escape", "^]"]);
    terminal.sees("Ctrl-]");
    terminal.type_text("\x1d?");
    terminal.sees("explain which path");
    terminal.type_text("x\x1dq");
    terminal.ends_with(0);
}

#[test]
fn the_prompt_takes_a_link_and_the_keys_come_after_it() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::start(USUAL, &["join", "--loopback"], &[]);
    terminal.sees("link:");
    terminal.type_text(&format!("{}\r", stage.link));
    terminal.sees("webrtc ·");
    terminal.type_text("echo $((6*7))\r");
    terminal.sees("\n42");
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
}

#[test]
fn a_terminal_that_is_too_small_is_refused_before_anything_happens() {
    let stage = Stage::new(&["--", "sleep", "60"]);
    let mut terminal = Terminal::join(&stage.link, Size { columns: 19, rows: 24 }, &[]);
    terminal.ends_with(82);
    let words = "the terminal is too small (19×24): make it at least 20×5";
    until("the reason was not seen", || terminal.text().replace('\n', "").contains(words).then_some(()));
}
