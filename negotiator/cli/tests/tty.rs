//! `beach-link join` in a real terminal: what the person sees, and the terminal as it was afterwards.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use std::path::Path;

use beach_link::wire::Size;
use lifeguard_relay::{Dev, DevConfig};
use program::{
    Program, Running, read_when_there, run,
    terminal::{Terminal, USUAL},
    until,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Stage {
    _runtime: Runtime,
    _dev: Dev,
    folder: TempDir,
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
        Self { _runtime: runtime, _dev: dev, folder, sharing, link }
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
    // The new size may reach the host behind what is typed.
    until("14 60 was not seen", || {
        terminal.type_text("clear; stty size\r");
        std::thread::sleep(std::time::Duration::from_millis(500));
        terminal.text().contains("14 60").then_some(())
    });
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
    }
    small.sees("\n40\n");
    // What the larger terminal has beside the shared screen is behind a border.
    large.sees(&format!("\n{:50}│\n", "40"));
    large.sees(&format!("\n{}│\n", "x".repeat(50)));
    large.sees(&format!("\n{}┘\n", "─".repeat(50)));
}

#[test]
fn a_size_that_the_host_chose_stays_whoever_watches() {
    let stage = Stage::new(&["--size", "40x8", "--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    terminal.type_text("stty size\r");
    terminal.sees("8 40");
    terminal.sees(&"─".repeat(40));
    terminal.resize(Size { columns: 30, rows: 7 });
    terminal.type_text("clear; stty size; seq 1 20\r");
    terminal.sees("\n20\n");
    terminal.type_text("clear; stty size\r");
    terminal.sees("8 40");
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
}

#[test]
fn a_shared_terminal_is_not_shared_or_joined_from_inside() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    let program = env!("CARGO_BIN_EXE_beach-link");
    for inner in [format!("{program} share -- true"), format!("BEACH_LINK='{}' {program} join", stage.link)] {
        terminal.type_text(&format!("clear; {inner}; echo status $?\r"));
        terminal.sees("this terminal is shared by beach-link already");
        terminal.sees("status 93");
    }
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
}

#[test]
fn what_was_seen_last_can_be_kept() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &["--keep"]);
    terminal.type_text("echo $((6*7))\r");
    terminal.sees("\n42");
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
    terminal.sees("\n42");
    terminal.sees("left; the session goes on");
}

#[test]
fn a_title_goes_through_and_the_persons_own_comes_back() {
    let stage = Stage::new(&["--", "sh"]);
    let join =
        format!("printf '\\033]2;mine\\007'; exec {} join --loopback", env!("CARGO_BIN_EXE_beach-link"));
    let mut terminal = Terminal::run("sh", USUAL, &["-c", &join], &[("BEACH_LINK", &stage.link)]);
    terminal.sees("webrtc ·");
    assert_eq!(terminal.take_title().as_deref(), Some("mine"));
    terminal.type_text("printf '\\033]2;theirs\\007'\r");
    until("no title came", || terminal.take_title().filter(|title| title == "theirs"));
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
    terminal.sees("left; the session goes on");
    assert_eq!(terminal.take_title().as_deref(), Some("mine"));
}

#[test]
fn focus_reports_reach_the_program_that_asked_and_end_with_it() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    terminal.sees("webrtc ·");
    terminal.type_text("printf '\\033[?1004h'; cat -v\r");
    until("nobody asked", || terminal.output().contains("\x1b[?1004h").then_some(()));
    terminal.type_text("\x1b[O\x1b[I\r");
    terminal.sees("^[[O^[[I");
    let asked = terminal.output().len();
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
    assert!(terminal.output()[asked..].contains("\x1b[?1004l"), "{:?}", &terminal.output()[asked..]);
}

#[test]
fn a_clipboard_is_given_by_the_configuration_and_withheld_by_an_option() {
    let stage = Stage::new(&["--", "sh"]);
    let folder = stage.folder.path();
    std::fs::create_dir_all(folder.join("beach")).unwrap();
    let chosen = |text: &str| std::fs::write(folder.join("beach/config.toml"), text).unwrap();
    let config = ("XDG_CONFIG_HOME", folder.to_str().unwrap());
    let join = |more: &[&str]| {
        let arguments = [&["join", "--loopback"], more].concat();
        Terminal::start(USUAL, &arguments, &[("BEACH_LINK", &stage.link), config])
    };
    chosen("clipboard = 'on'\n");
    let (mut given, mut withheld) = (join(&[]), join(&["--clipboard", "off"]));
    given.sees("2 viewers");
    withheld.sees("2 viewers");
    given.type_text("printf '\\033]52;c;aGVsbG8=\\007'; echo $((6*7))\r");
    until("nothing was copied", || given.output().contains("\x1b]52;c;aGVsbG8=").then_some(()));
    withheld.sees("\n42");
    for terminal in [&mut given, &mut withheld] {
        terminal.type_text("\x1eq");
        terminal.ends_with(0);
    }
    assert!(!withheld.output().contains("\x1b]52;"));
    chosen("clipboard = 'always'\n");
    let mut refused = join(&[]);
    refused.ends_with(2);
    refused.sees("config.toml");
    refused.sees("clipboard");
}

#[test]
fn a_viewer_is_suspended_and_comes_back() {
    let stage = Stage::new(&["--", "sh"]);
    let join = format!("{} join --loopback", env!("CARGO_BIN_EXE_beach-link"));
    let shell = ["--norc", "--noprofile", "-i"];
    let mut terminal = Terminal::run("bash", USUAL, &shell, &[("BEACH_LINK", &stage.link)]);
    terminal.type_text("PS1='local> '\r");
    terminal.sees("local> ");
    terminal.type_text(&format!("{join}; echo left $?\r"));
    terminal.sees("webrtc ·");
    terminal.type_text("echo $((6*7))\r");
    terminal.sees("\n42");
    terminal.type_text("\x1ez");
    terminal.sees("Stopped");
    terminal.type_text("stty size; fg\r");
    terminal.sees("webrtc ·");
    terminal.sees("\n42");
    terminal.type_text("clear; echo $((90+9))\r");
    terminal.sees("99\n");
    terminal.type_text("\x1eq");
    terminal.sees("left; the session goes on");
    // What is typed before the shell reads is thrown away with what was meant for the session.
    until("no prompt came", || terminal.text().trim_end().ends_with("local>").then_some(()));
    terminal.type_text("exit\r");
    terminal.ends_with(0);
}

#[test]
fn sigquit_puts_the_terminal_back() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    terminal.sees("webrtc ·");
    let pid = terminal.child.process_id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
    terminal.ends_with(130);
}

#[test]
fn who_does_not_want_to_wait_gives_up() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &["--give-up-after", "3"]);
    terminal.sees("webrtc ·");
    stage.sharing.signal("STOP");
    terminal.ends_with(94);
    terminal.sees("--give-up-after");
    stage.sharing.signal("CONT");
}

#[test]
fn what_left_the_screen_is_read_and_searched_while_the_session_goes_on() {
    let stage = Stage::new(&["--", "sh"]);
    let mut terminal = Terminal::join(&stage.link, USUAL, &[]);
    let mut other = Terminal::join(&stage.link, USUAL, &[]);
    terminal.sees("2 viewers");
    terminal.type_text("seq -f 'line %g.' 1 3000; echo d''one\r");
    terminal.sees("done");
    terminal.type_text("\x1eh");
    terminal.sees("PgUp PgDn g G");
    terminal.sees("line 2970.");
    terminal.type_text("/line 123.\r");
    terminal.sees("line 123.");
    terminal.type_text("g");
    terminal.sees("line 5.");
    terminal.sees("history 1–");
    // Nothing that is typed here goes to the shell, and what others do is not lost.
    other.type_text("clear; echo meanwhile $((6*7))\r");
    other.sees("meanwhile 42");
    assert!(!terminal.text().contains("meanwhile"), "{}", terminal.text());
    terminal.type_text("q");
    terminal.sees("meanwhile 42");
    terminal.type_text("echo on $((50+5))\r");
    terminal.sees("on 55");
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
}

#[test]
fn a_session_that_is_over_is_entered_anew_by_the_same_link_which_is_used_once() {
    let stage = Stage::new(&["--name", "lent", "--", "sh"]);
    let added = run(&["sessions", "--session", "lent", "links", "add", "--uses", "1"]);
    let for_one = added.stdout.split('\'').nth(1).unwrap();
    let mut terminal = Terminal::join(for_one, USUAL, &["--resume-window", "2"]);
    terminal.type_text("echo before $((4*8))\r");
    terminal.sees("before 32");
    stage.sharing.signal("STOP");
    terminal.sees("entering anew");
    // The last screen stays meanwhile.
    terminal.sees("before 32");
    stage.sharing.signal("CONT");
    terminal.sees("entered anew by the same link");
    terminal.type_text("echo after $((6*7))\r");
    terminal.sees("after 42");
    terminal.sees("webrtc ·");
    // Somebody else is not let in.
    let stranger = Terminal::join(for_one, USUAL, &[]);
    stranger.sees("was used up by others");
    terminal.type_text("\x1eq");
    terminal.ends_with(0);
}

#[test]
fn whoever_is_not_let_in_anew_leaves_or_gives_up() {
    let stage = Stage::new(&["--", "sh"]);
    let mut leaves = Terminal::join(&stage.link, USUAL, &["--resume-window", "2"]);
    let gives_up = ["--resume-window", "2", "--give-up-after", "25"];
    let mut gives_up = Terminal::join(&stage.link, USUAL, &gives_up);
    for terminal in [&leaves, &gives_up] {
        terminal.sees("2 viewers");
    }
    stage.sharing.signal("STOP");
    leaves.sees("entering anew");
    leaves.type_text("\x1eq");
    leaves.ends_with(0);
    gives_up.ends_with(94);
    gives_up.sees("--give-up-after");
    stage.sharing.signal("CONT");
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
    terminal.ends_with(9);
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
