//! The runbook and the drill, typed in: every command of every `console` block runs against a live service,
//! and what it prints is compared.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
mod relay_support;

use std::{
    collections::VecDeque,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use beach_lifeguard_client::{Role, token::FallbackToken};
use ops_support::{
    BINARY, Service, deploy,
    people::{Session, knock, talk},
    prometheus::Prometheus,
    read, repository, said,
};
use relay_support::hello;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_does_what_it_says() {
    follow("docs/operations/beach-lifeguard-runbook.md", 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_drill_does_what_it_says() {
    follow("docs/operations/kill-switch-drill.md", 15).await;
}

#[test]
fn expectations_are_strict_but_for_the_ellipsis() {
    let matches = |wanted: &str, printed: &str| in_order(&lines(wanted), &lines(printed));
    assert!(matches("a …\nb", "a 17\nb") && matches("…\nok", "x\ny\nok") && matches("…\nok", "ok"));
    assert!(
        !matches("a", "a\nb") && !matches("a\nb", "a") && !matches("a …", "b 17") && !matches("a", "a 1")
    );
    let of = |wanted: &str, printed: &str| in_any_order(&lines(wanted), &lines(printed));
    assert!(
        of("x => …\ny => 1", "y => 1\nx => 2")
            && !of("x => …", "x => 1\ny => 1")
            && !of("x => 1\n…", "y => 1")
    );
}

/// Runs a document from top to bottom against a service of its own.
async fn follow(document: &str, at_least: usize) {
    let service = Service::dev();
    let jobs = [("relay", &*service.admin), ("control-plane", &*service.admin)];
    let prometheus = Prometheus::start(&jobs, &read(deploy("prometheus/rules.yml"))).await;
    assert!(prometheus.until("count(up == 1)", LOOK_FOR, |up| up == 2.0).await.is_some());
    some_life(&service).await;
    let refused = "sum(beach_lifeguard_handshakes_failure_total)";
    assert!(
        prometheus.until(refused, LOOK_FOR, |count| count > 0.0).await.is_some(),
        "the refusal was not scraped"
    );

    let folder = tempfile::tempdir().unwrap();
    let text = read(repository(document));
    let blocks = consoles(&text);
    let mut ran = 0;
    for (line, command, wanted) in blocks.iter().flatten() {
        let start = Instant::now();
        loop {
            let output = shell(command, &service, &prometheus, folder.path());
            let printed = said(&output);
            let right = if command.starts_with("promtool query") {
                in_any_order(wanted, &lines(&printed))
            } else {
                in_order(wanted, &lines(&printed))
            };
            if right {
                break;
            }
            // A figure takes a scrape to arrive, a drain a moment to begin; orders are given once.
            let again = LOOKS.iter().any(|look| command.starts_with(look)) && start.elapsed() < LOOK_FOR;
            assert!(
                again,
                "{document}:{line}\n$ {command}\nprinted\n{printed}\ninstead of\n{}",
                wanted.join("\n")
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        ran += 1;
    }
    let unexecuted = text.matches("```sh\n").count();
    println!(
        "{document}: {} blocks, {ran} commands, {ran} as written; {unexecuted} `sh` blocks not run",
        blocks.len()
    );
    assert!(ran >= at_least, "{ran}");
    let state = service.operate(&["status"]);
    assert!(said(&state).starts_with("  state      open\n"), "{document} leaves it as\n{}", said(&state));
}

/// What the figures of the runbook are about.
async fn some_life(service: &Service) {
    talk(&service.public, 4).await;
    let session = Session::register(&service.public).await;
    session.ask_as_a_stranger().await.unwrap_err();
    let mut stranger = knock(service.address()).await;
    let forged = hello(session.id, Uuid::new_v4(), Role::Viewer, FallbackToken::new("forged"));
    stranger.say(Message::text(forged.encode())).await;
    stranger.closed().await;
}

fn shell(command: &str, service: &Service, prometheus: &Prometheus, folder: &Path) -> std::process::Output {
    let bin = Path::new(BINARY).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("bash")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("BEACH_LIFEGUARD_ADMIN", &service.admin)
        .env("CONTROL_PLANE", &service.public)
        .env("PROMETHEUS", &prometheus.url)
        .output()
        .unwrap()
}

/// The `console` blocks: each command with its line and what it should print.
fn consoles(text: &str) -> Vec<Vec<(usize, String, Vec<&str>)>> {
    let (mut blocks, mut inside) = (Vec::new(), false);
    for (at, line) in text.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => {
                blocks.push(Vec::<(usize, String, Vec<&str>)>::new());
                inside = true;
            }
            (true, "```") => inside = false,
            (true, line) => {
                let block = blocks.last_mut().unwrap();
                match (line.strip_prefix("$ "), block.last_mut()) {
                    (Some(command), _) => block.push((at + 1, command.to_owned(), Vec::new())),
                    (None, Some((_, _, wanted))) => wanted.push(line),
                    (None, None) => panic!("line {}: a console block begins with a command", at + 1),
                }
            }
            (false, _) => {}
        }
    }
    blocks
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// A line that is only `…` stands for any number of lines.
fn in_order(wanted: &[&str], printed: &[&str]) -> bool {
    match (wanted.split_first(), printed.split_first()) {
        (None, printed) => printed.is_none(),
        (Some((&"…", rest)), None) => in_order(rest, printed),
        (Some((&"…", rest)), Some((_, later))) => in_order(rest, printed) || in_order(wanted, later),
        (Some((line, rest)), Some((first, later))) => like(line, first) && in_order(rest, later),
        (Some(_), None) => false,
    }
}

/// Prometheus does not order the series of an answer.
fn in_any_order(wanted: &[&str], printed: &[&str]) -> bool {
    let mut left: VecDeque<&str> = printed.iter().copied().collect();
    let found = wanted.iter().filter(|line| **line != "…").all(|line| {
        let at = left.iter().position(|printed| like(line, printed));
        at.is_some_and(|at| left.remove(at).is_some())
    });
    found && (left.is_empty() || wanted.contains(&"…"))
}

/// Whether a line is as written, where `…` stands for anything.
fn like(wanted: &str, printed: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

const LOOKS: [&str; 3] = ["promtool query", "curl -s $", "beach-lifeguard status"];
const LOOK_FOR: Duration = Duration::from_secs(10);
