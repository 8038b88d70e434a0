use beach_lifeguard_client::{CloseCode, token::TokenError};

use super::*;

/// The document an operator reads, made from the table.
fn document() -> String {
    let mut text = String::from(
        "# Metrics\n\nServed as Prometheus text 0.0.4 at `/metrics` of the admin address. Labels are closed sets, so the number\nof series never depends on traffic. This page is checked against the code by a test.\n\n\
         | name | kind | labels | what |\n|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let labels: Vec<String> =
            family.labels.iter().map(|(name, values)| format!("`{name}`: {}", values.join(", "))).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join("; ") };
        let (name, kind) = match family.kind {
            Kind::Counter => (format!("{}_total", family.name), "counter"),
            Kind::Gauge => (family.name.to_owned(), "gauge"),
        };
        text.push_str(&format!("| `{name}` | {kind} | {labels} | {} |\n", family.help));
    }
    for (name, help) in HISTOGRAMS {
        text.push_str(&format!("| `{name}` | histogram | – | {help} |\n"));
    }
    for (name, kind, help) in PROCESS {
        text.push_str(&format!("| `{name}` | {kind} | – | {help} |\n"));
    }
    text
}

#[test]
fn the_document_is_what_the_code_serves() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations/metrics.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    if written != document() {
        std::fs::write(path, document()).unwrap();
        panic!(
            "docs/operations/metrics.md was out of date; it has been written anew: look at it and commit it"
        );
    }
}

#[test]
fn every_series_shows_from_the_start_and_there_are_few() {
    let text = Metrics::new().render();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 350, "{series}");
    for family in FAMILIES {
        let name = match family.kind {
            Kind::Counter => format!("{}_total", family.name),
            Kind::Gauge => family.name.to_owned(),
        };
        let shown = text
            .lines()
            .filter(|line| line.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert_eq!(shown.count(), family.series(), "{name}\n{text}");
    }
    for (name, _) in HISTOGRAMS {
        assert!(text.contains(&format!("{name}_bucket")), "{name}");
    }
    for (name, kind, _) in PROCESS {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n{name} ")), "{name}\n{text}");
    }
}

#[test]
fn every_reason_the_crates_know_has_a_series_of_its_own() {
    let metrics = Metrics::new();
    for error in TokenError::ALL {
        metrics.token_refused(error.label());
        assert_eq!(
            metrics.read("beach_lifeguard_token_validation_failure", &[error.label()]),
            1,
            "{error:?}"
        );
    }
    for code in CloseCode::ALL {
        metrics.connection_opened(Carrier::WebSocket);
        metrics.connection_closed(Carrier::WebSocket, *code, Duration::ZERO);
        assert_eq!(metrics.read("beach_lifeguard_connections_closed", &[code.label()]), 1, "{code}");
    }
    assert_eq!(metrics.read("beach_lifeguard_token_validation_failure", &["other"]), 0);
    assert_eq!(metrics.read("beach_lifeguard_token_validation_failure", &["no such label"]), 0);
}

#[test]
fn what_is_counted_is_what_is_shown() {
    let metrics = Metrics::new();
    metrics.forwarded([100], 3);
    metrics.handshake_failed("session_mismatch");
    metrics.handshake_failed("a reason nobody listed");
    metrics.token_requested("issued", "soft_breach");
    metrics.session_emptied();
    let text = metrics.render();
    for line in [
        "beach_lifeguard_messages_forwarded_total 3",
        "beach_lifeguard_bytes_forwarded_total 300",
        r#"beach_lifeguard_handshakes_failure_total{reason="session_mismatch"} 1"#,
        r#"beach_lifeguard_handshakes_failure_total{reason="other"} 1"#,
        r#"beach_fallback_token_requests_total{guardrail="soft_breach",outcome="issued"} 1"#,
        "beach_lifeguard_sessions_active 0",
        "beach_lifeguard_message_size_bytes_sum 100",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}
