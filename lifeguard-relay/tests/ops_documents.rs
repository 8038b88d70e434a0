//! What the operations documents lean on is there: pages, sections, tests, flags, words.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
#[allow(unused, reason = "shared with tests that speak to a service")]
mod relay_support;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use beach_lifeguard_client::{reason::Reason, token::MAX_LIFE_SECS};
use lifeguard_relay::{RelayConfig, control::ControlConfig, listen::ListenConfig};
use ops_support::{BINARY, metrics_in, read, repository, said};

/// The pages of this area, beside the generated one.
fn pages() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository("docs/operations")).unwrap();
    let mut pages: Vec<PathBuf> =
        folder.map(|entry| entry.unwrap().path()).filter(|path| is(path, "md")).collect();
    pages.push(repository("docs/using-fallback.md"));
    assert!(pages.len() >= 11, "{pages:?}");
    pages
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = read(&page);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("http") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                let there = read(&target).lines().any(|line| line.starts_with('#') && slug(line) == anchor);
                assert!(there, "{}: no section {link}", page.display());
            }
        }
    }
    println!("{links} links");
}

#[test]
fn figures_that_documents_ask_for_are_exported() {
    let exported = ops_support::exported();
    for page in pages().iter().filter(|page| !page.ends_with("metrics.md")) {
        for metric in metrics_in(&read(page)) {
            // A family may be named without the suffix of its series.
            let known = exported.iter().any(|name| name.starts_with(metric));
            assert!(known, "{}: nobody exports {metric}", page.display());
        }
    }
}

#[test]
fn each_threat_names_a_test_that_exists() {
    let text = read(repository("docs/operations/threat-model.md"));
    let sources = sources();
    let table = text.split("## Threats").nth(1).unwrap().split("## ").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 12);
    for row in rows {
        let proof = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in proof.split('`').skip(1).step_by(2) {
            let found = sources.iter().any(|(path, text)| {
                path.ends_with(name)
                    || text.contains(&format!("fn {name}("))
                    || text.contains(&format!("alert: {name}\n"))
            });
            assert!(found, "no test {name}");
        }
    }
}

#[test]
fn commands_take_the_flags_they_are_shown_with() {
    let mut flags = 0;
    for page in pages() {
        let text = read(&page).replace("\\\n", " ");
        let lines = text.lines().map(|line| line.trim_start_matches("$ "));
        for line in lines.filter(|line| line.starts_with("beach-lifeguard ")) {
            let line = line.split('#').next().unwrap().split('|').next().unwrap();
            let words: Vec<&str> = line.split_whitespace().skip(1).collect();
            let command: Vec<&str> = words
                .iter()
                .copied()
                .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
                .take(2)
                .collect();
            let help = Command::new(BINARY).args(&command).arg("--help").output().unwrap();
            assert!(help.status.success(), "{}: {line}", page.display());
            let help = said(&help);
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                let name = flag.split('=').next().unwrap();
                assert!(help.contains(name) || name == "--version", "{}: {line}: no {name}", page.display());
                flags += 1;
            }
        }
    }
    assert!(flags > 30, "{flags}");
}

#[test]
fn clients_read_the_words_that_are_documented() {
    let text = read(repository("docs/using-fallback.md"));
    let table = text.split("## What the client shows").nth(1).unwrap().split("## ").next().unwrap();
    let mut said = 0;
    for words in
        table.lines().filter_map(|line| line.strip_prefix("| `")).map(|line| line.split('`').next().unwrap())
    {
        let start = words.trim_end_matches('…').trim_end();
        let known = Reason::ALL.iter().any(|reason| reason.message().starts_with(start));
        assert!(known, "no refusal says {words:?}");
        said += 1;
    }
    assert!(said >= 5, "{said}");
}

#[test]
fn the_table_of_defaults_says_what_the_code_does() {
    let (relay, control, listen) =
        (RelayConfig::default(), ControlConfig::default(), ListenConfig::default());
    let size = |bytes: usize| format!("{} KiB", bytes / 1024);
    let time = |time: Duration| format!("{} s", time.as_secs());
    assert_eq!(relay.patience.missed, 3);
    let rows = [
        ("frame limit", size(relay.max_frame)),
        (
            "per-peer budgets",
            format!("reliable {}, datagram {}", size(relay.reliable_budget), size(relay.datagram_budget)),
        ),
        (
            "header / hello deadline",
            format!("{} / {}", time(listen.header_timeout), time(relay.hello_deadline)),
        ),
        ("heartbeat", format!("{} ± jitter, three missed", time(relay.patience.heartbeat))),
        ("idle", format!("{} without", time(relay.patience.idle))),
        ("token", format!("{} s, {MAX_LIFE_SECS} s at most", control.token_ttl)),
        ("guardrail", format!("{} % of sessions", control.guardrail_threshold * 100.0)),
        ("JWKS cache", format!("{} s,", control.entitlement.jwks_cache_ttl)),
    ];
    let text = read(repository("docs/defaults.md"));
    let table = text.split("## The relay").nth(1).unwrap().split("## ").next().unwrap();
    for (name, value) in rows {
        let row = format!("| {name} | {value}");
        assert!(table.lines().any(|line| line.starts_with(&row)), "no row begins with {row:?}");
    }
}

/// The anchor of a heading, as forges make it.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>()
        .replace(' ', "-")
}

/// Every source file of the workspace, and the rules.
fn sources() -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), Vec::new());
    let crates = [
        "transport-core",
        "transport-webrtc",
        "transport-ws-fallback",
        "lifeguard-relay",
        "negotiator",
        "conformance",
    ];
    folders.extend(crates.map(repository));
    let mut seen = BTreeSet::new();
    while let Some(folder) = folders.pop().filter(|folder| seen.insert(folder.clone())) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if is(&path, "rs") || path.ends_with("rules.yml") {
                found.push((path.display().to_string(), read(&path)));
            }
        }
    }
    found
}

fn is(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|extension| extension == end)
}
