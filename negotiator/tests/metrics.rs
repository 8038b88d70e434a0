//! What is counted of sessions, with the recorder of the example.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "../examples/metrics.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod example;

use negotiator::metrics;

/// Paused time and one thread: the recorder of this thread sees everything, in the same order in each run.
#[tokio::test(start_paused = true)]
async fn sessions_dials_and_changes_of_path_are_counted_with_their_reasons() {
    let figures = example::Figures::default();
    let _recording = ::metrics::set_default_local_recorder(&figures);
    example::run().await.unwrap();
    let all = figures.all();
    let of = |name: &str, labels: &str| all.get(&format!("{name}{{{labels}}}")).copied().unwrap_or(-1.0);
    for role in ["role=host", "role=viewer"] {
        assert_eq!(of(metrics::SESSIONS_TOTAL, role), 1.0, "{all:#?}");
        assert_eq!(of(metrics::SESSIONS, role), 0.0, "{all:#?}");
    }
    assert_eq!(of(metrics::DIALS, "transport=primary,outcome=up,stage=up"), 2.0, "{all:#?}");
    assert_eq!(of(metrics::PATH_CHANGES, "from=none,to=primary,reason=primary_connected"), 2.0, "{all:#?}");
    let to_fallback = |(name, _): &(&String, &f64)| {
        name.starts_with(metrics::PATH_CHANGES) && name.contains("to=fallback,reason=")
    };
    assert!(all.iter().any(|figure| to_fallback(&figure)), "{all:#?}");
    // Into the blocked path, until the policy gave it up.
    assert!(of(metrics::DIALS, "transport=primary,outcome=abandoned,stage=dial") >= 1.0, "{all:#?}");
    // The path was dead for some time before anybody could know, and not for ever.
    assert!((0.1..120.0).contains(&of(metrics::SWITCH_SILENCE, "")), "{all:#?}");
    assert!(of(metrics::SEGMENTS_RESENT, "") >= 1.0, "{all:#?}");
}

#[test]
fn every_metric_is_in_the_table() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/metrics.rs")).unwrap();
    for name in [
        metrics::SESSIONS,
        metrics::SESSIONS_TOTAL,
        metrics::EVENTS_TOTAL,
        metrics::PATH_CHANGES,
        metrics::SWITCH_SILENCE,
        metrics::DIALS,
        metrics::SEGMENTS_RESENT,
        metrics::SEGMENTS_REPEATED,
        metrics::DUPLICATES,
        metrics::DATAGRAMS_DROPPED,
    ] {
        assert!(source.contains(&format!("//! | `{name}` |")), "{name} is not in the table");
    }
}
