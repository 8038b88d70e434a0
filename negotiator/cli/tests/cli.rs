//! The built binary, without any service: help, arguments, bad input. Each failure is one line and its own code.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use program::{Program, run};

#[test]
fn every_subcommand_explains_itself() {
    for (arguments, words) in [
        (&["--help"][..], &["Exit codes", "Examples", "share", "join", "pipe", "demo"][..]),
        (
            &["share", "--help"],
            &["--read-only", "BEACH_CONTROL_PLANE", "--fallback-telemetry-opt-in", "Examples"],
        ),
        (
            &["join", "--help"],
            &["--direct-only", "--relay-only", "--no-relay", "BEACH_FALLBACK_COHORT", "Ctrl-^"],
        ),
        (
            &["ssh", "--help"],
            &["[SSH OPTIONS] HOST [-- COMMAND", "--control-plane", "BEACH_LINK_SSH", "Examples"],
        ),
        (&["send", "--help"], &["--link-file", "SHA-256", "Examples"]),
        (&["receive", "--help"], &["--to", ".part"]),
        (&["completions", "--help"], &["bash", "fish", "zsh"]),
        (&["man", "--help"], &["DIR"]),
        (&["pipe", "--help"], &["SHA-256", "Examples"]),
        (&["pipe", "host", "--help"], &["--link-file", "--progress"]),
        (&["pipe", "join", "--help"], &["--no-stdin"]),
        #[cfg(feature = "demo")]
        (&["demo", "--help"], &["--report"]),
        (&["probe", "--help"], &["--length", "Examples"]),
    ] {
        let end = run(arguments);
        assert_eq!(end.code, 0, "{arguments:?}");
        for word in words {
            assert!(end.stdout.contains(word), "{arguments:?} does not mention {word}:\n{}", end.stdout);
        }
    }
}

#[test]
fn no_secret_from_the_environment_is_printed_by_help() {
    let end = Program::new(&["join", "--help"]).env("BEACH_ENTITLEMENT_PROOF", "canary").run();
    assert!(!end.stdout.contains("canary"));
}

#[test]
fn completions_and_manual_pages_are_generated() {
    let folder = tempfile::tempdir().unwrap();
    let bash = run(&["completions", "bash"]);
    assert!(bash.code == 0 && bash.stdout.contains("complete -F _beach__link"), "{bash:?}");
    let page = run(&["man"]);
    assert!(page.code == 0 && page.stdout.contains(".TH") && page.stdout.contains("Exit codes"), "{page:?}");
    assert_eq!(run(&["man", folder.path().to_str().unwrap()]).code, 0);
    assert!(folder.path().join("beach-link-join.1").is_file());
}

#[test]
fn ssh_without_a_host_or_a_terminal_is_refused_before_anything_is_started() {
    run(&["ssh", "-p", "22"]).fails(2, "no host");
    run(&["ssh", "box", "-p", "22"]).fails(2, "-p stands behind the host");
    run(&["ssh", "box"]).fails(81, "standard input is not a terminal");
}

#[test]
fn a_file_that_is_none_is_refused_before_anything_is_dialled() {
    run(&["send", "/nowhere/file"]).fails(1, "the file");
    run(&["send", "/tmp"]).fails(2, "tar c");
    run(&["send", "/dev/null"]).fails(2, "no plain file");
    let log = run(&["--log-file", "/dev/full", "send", "/tmp"]);
    log.fails(1, "a device, a FIFO, a symbolic link or a folder");
}

#[test]
fn a_shared_terminal_is_not_shared_again_from_inside() {
    Program::new(&["share", "--", "true"])
        .env("BEACH_SESSION", "1")
        .run()
        .fails(93, "shared by beach-link already");
}

#[test]
fn wrong_arguments_are_code_2() {
    for arguments in [
        &["fly"][..],
        &["join"],
        &["join", "http://h/s#AQ", "--direct-only", "--relay-only"],
        &["join", "http://h/s#AQ", "--escape", "^M"],
        &["share", "--link-lifetime", "0"],
        &["share", "--size", "10x2"],
        &["join", "--give-up-after", "0"],
        &["completions", "perl"],
        &["share", "--control-plane", "ftp://nowhere"],
        &["demo", "--report", "xml"],
    ] {
        assert_eq!(run(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn a_missing_link_says_all_the_ways_to_give_one() {
    run(&["join"]).fails(2, "--link-file, in BEACH_LINK, or - for standard input");
    run(&["join", "--link-file", "/nowhere/link"]).fails(1, "the link file");
    Program::new(&["join"]).env("BEACH_LINK", "nonsense").run().fails(70, "link");
    Program::new(&["join", "-"]).start_with(b"nonsense\n".to_vec()).end().fails(70, "link");
}

#[test]
fn damaged_links_are_code_70_and_say_what_to_do() {
    for link in ["http://127.0.0.1:1/s", "http://127.0.0.1:1/s#AQ", "nonsense#AQ", "http://127.0.0.1:1/s#ü"]
    {
        for command in [&["join", link][..], &["pipe", "join", link]] {
            run(command).fails(70, "");
        }
    }
}

#[test]
fn a_command_that_cannot_run_is_found_before_anything_is_shared() {
    run(&["share", "--", "no-such-program-anywhere"])
        .fails(127, "command not found: no-such-program-anywhere");
    run(&["share", "--", "/etc/passwd"]).fails(126, "cannot be executed");
}

#[test]
fn an_unreachable_control_plane_is_code_74_for_hosts() {
    // Port 1 of this machine: refused at once.
    let share = &["share", "--control-plane", "http://127.0.0.1:1", "--", "true"];
    run(share).fails(74, "control plane");
    run(&["pipe", "host", "--control-plane", "http://127.0.0.1:1"]).fails(74, "control plane");
}

#[test]
fn diagnostics_go_to_their_file_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let end = run(&[
        "--log-file",
        log.to_str().unwrap(),
        "--log",
        "trace",
        "share",
        "--control-plane",
        "http://127.0.0.1:1",
        "--",
        "true",
    ]);
    end.fails(74, "control plane");
    assert!(std::fs::read_to_string(&log).unwrap().contains("failed"));
}
