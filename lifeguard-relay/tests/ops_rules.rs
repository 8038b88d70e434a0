//! The alert rules: clean, each tested from both sides, each with its section of the runbook, and about
//! metrics that exist.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

#[allow(unused, reason = "shared with tests that speak to a service")]
mod ops_support;
mod relay_support;

use std::path::Path;

use ops_support::{deploy, exported, metrics_in, read, repository, run, said};
use serde_yaml_ng::Value;

fn promtool(arguments: &[&str], folder: &Path) -> Result<(), String> {
    let output = run("promtool", "prometheus", arguments, folder);
    if output.status.success() { Ok(()) } else { Err(said(&output)) }
}

/// Every alert: name, whole rule.
fn alerts() -> Vec<(String, Value)> {
    let rules: Value = serde_yaml_ng::from_str(&read(deploy("prometheus/rules.yml"))).unwrap();
    let groups = rules["groups"].as_sequence().unwrap().clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap().clone());
    rules.map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule)).collect()
}

#[test]
fn rules_and_configuration_are_clean_and_the_unit_tests_pass() {
    let folder = deploy("prometheus");
    promtool(&["check", "rules", "rules.yml"], &folder).unwrap();
    promtool(&["check", "config", "--syntax-only", "prometheus.yml"], &folder).unwrap();
    promtool(&["test", "rules", "rules_test.yml"], &folder).unwrap();
}

#[test]
fn an_alert_that_always_or_never_fires_fails_its_unit_tests() {
    let rules = read(deploy("prometheus/rules.yml"));
    let unit_tests: Value = serde_yaml_ng::from_str(&read(deploy("prometheus/rules_test.yml"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut caught = 0;
    for (name, _) in alerts() {
        let mut its_own = unit_tests.clone();
        let about = format!("{name} ");
        its_own["tests"]
            .as_sequence_mut()
            .unwrap()
            .retain(|case| case["name"].as_str().unwrap().starts_with(&about));
        assert_eq!(its_own["tests"].as_sequence().unwrap().len(), 2, "{name}: once firing, once quiet");
        let its_own = serde_yaml_ng::to_string(&its_own).unwrap();
        std::fs::write(folder.path().join("rules_test.yml"), its_own).unwrap();
        for broken in ["vector(1)", "vector(0) > 1"] {
            let mut changed: Value = serde_yaml_ng::from_str(&rules).unwrap();
            for group in changed["groups"].as_sequence_mut().unwrap() {
                for rule in group["rules"].as_sequence_mut().unwrap() {
                    if rule["alert"] == name.as_str() {
                        rule["expr"] = broken.into();
                    }
                }
            }
            std::fs::write(folder.path().join("rules.yml"), serde_yaml_ng::to_string(&changed).unwrap())
                .unwrap();
            let outcome = promtool(&["test", "rules", "rules_test.yml"], folder.path());
            assert!(outcome.is_err(), "{name} as {broken} passes its tests");
            caught += 1;
        }
    }
    println!("{caught} broken rules, {caught} caught");
}

#[test]
fn each_alert_leads_to_its_section_of_the_runbook() {
    let runbook = read(repository("docs/operations/beach-lifeguard-runbook.md"));
    let card = read(repository("docs/operations/on-call-card.md"));
    let alerts = alerts();
    assert!(alerts.len() >= 12);
    for (name, rule) in &alerts {
        let notes = &rule["annotations"];
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")), "{name}");
        assert!(notes["summary"].as_str().is_some_and(|words| words.len() > 10), "{name} has no summary");
        let url = notes["runbook_url"].as_str().unwrap();
        let (page, anchor) = url.split_once('#').unwrap();
        assert!(page.ends_with("docs/operations/beach-lifeguard-runbook.md"), "{url}");
        assert!(
            rule["labels"]["severity"] != "page" || card.contains(name),
            "the on-call card does not know {name}"
        );
        assert_eq!(anchor, name.to_lowercase());
        assert!(
            runbook.lines().any(|line| line == format!("### {name}")),
            "the runbook has no section {name}"
        );
    }
    for section in runbook.split("## Alerts").nth(1).unwrap().split("\n## ").next().unwrap().lines() {
        if let Some(name) = section.strip_prefix("### ") {
            assert!(
                alerts.iter().any(|(alert, _)| alert == name),
                "the runbook speaks of {name}, which is no alert"
            );
        }
    }
}

#[test]
fn alerts_are_about_metrics_that_exist() {
    let exported = exported();
    for (name, rule) in alerts() {
        for metric in metrics_in(rule["expr"].as_str().unwrap()) {
            assert!(exported.iter().any(|known| known == metric), "{name}: nobody exports {metric}");
        }
    }
}
