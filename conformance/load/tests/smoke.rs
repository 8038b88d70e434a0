//! Each scenario once, tiny, against a relay in this process and the references of the program itself. What
//! arrives is checked, never how fast.
#![allow(clippy::unwrap_used, reason = "tests and benchmarks end loudly")]

use std::process::Stdio;

use lifeguard_relay::{Dev, DevConfig};
use serde_json::Value;
use tokio::process::Command;

async fn load(control_plane: &str, arguments: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_lifeguard-load"))
        .args(arguments.split_whitespace())
        .args(["--json", "--control-plane", control_plane])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments}: {err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn figure(report: &Value, name: &str) -> f64 {
    let figures = report["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report}"))["value"].as_f64().unwrap()
}

#[tokio::test]
async fn every_scenario_delivers_what_it_sends() {
    let dev = Dev::start(DevConfig::default()).await.unwrap();
    let url = dev.public_url();
    let (closed, stream, throughput, slow, soak, fanout, chaos) = tokio::join!(
        load(&url, "closed --sessions 2 --viewers 3 --size 256 --seconds 1 --turns 2 --reference"),
        load(&url, "stream --sessions 2 --size 256 --rate 5120 --seconds 1 --reference --v1"),
        load(&url, "throughput --sessions 2 --size 1024 --in-flight 2 --seconds 1 --reference"),
        load(&url, "slow --fast 2 --slow 1 --size 512 --messages 20 --seconds 1"),
        load(&url, "soak --sessions 2 --size 256 --messages 5 --churn 2 --every 1 --seconds 2"),
        load(&url, "fanout --viewers 3 --size 256 --messages 20 --seconds 1 --v1"),
        load(&url, "chaos --sessions 2 --size 256 --rate 5120 --troublemakers 12 --seconds 1"),
    );
    let names = |reports: &[Value]| reports.iter().map(|r| r["target"].to_string()).collect::<Vec<_>>();
    assert_eq!(names(&stream), ["\"relay\"", "\"forwarder\"", "\"websocket\"", "\"v1\""]);
    for report in stream.iter().chain(&fanout) {
        assert_eq!(figure(report, "lost"), 0.0, "{report}");
    }
    assert_eq!(names(&closed), ["\"relay\"", "\"forwarder\"", "\"websocket\""]);
    for report in &closed {
        assert!(figure(report, "messages that all have") > 0.0, "{report}");
        assert_eq!(figure(report, "connections that broke"), 0.0, "{report}");
    }
    assert_eq!(throughput.len(), 3);
    for report in &throughput {
        assert!(figure(report, "messages a second") > 0.0, "{report}");
        assert_eq!(figure(report, "sessions that broke"), 0.0, "{report}");
    }
    assert_eq!(figure(&slow[0], "lost by those that read"), 0.0);
    // 20 small messages wait for the one that did not read: they fit, so all are there when it comes back.
    assert_eq!(figure(&slow[0], "lost in silence"), 0.0);
    assert!(figure(&soak[0], "delivered") > 0.0 && figure(&soak[0], "guests") > 0.0);
    assert_eq!(figure(&soak[0], "sessions that broke"), 0.0);
    assert!(figure(&chaos[0], "troublemakers") >= 6.0, "each kind came: {chaos:?}");
    assert_eq!(figure(&chaos[0], "of them not let in"), 0.0, "{chaos:?}");
    assert_eq!((figure(&chaos[0], "lost"), figure(&chaos[0], "sessions that broke")), (0.0, 0.0));
    dev.shutdown().await;
}

#[tokio::test]
async fn a_session_is_measured_over_both_of_its_paths_and_drawn() {
    let dev = Dev::start(DevConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("keys.svg");
    let keys = format!("keystrokes --size 1024 --keys 20 --seconds 1 --svg {}", chart.display());
    let url = dev.public_url();
    let (keys, throughput) = tokio::join!(
        load(&url, &keys),
        load(&url, "throughput --sessions 1 --size 1024 --in-flight 2 --seconds 1 --negotiated"),
    );
    for report in &keys {
        assert!(figure(report, "keys") > 0.0 && figure(report, "output") > 0.0, "{report}");
        assert_eq!(figure(report, "keys without an echo"), 0.0, "{report}");
    }
    let targets: Vec<_> = throughput.iter().map(|report| report["target"].as_str().unwrap()).collect();
    assert_eq!(targets, ["relay", "session", "webrtc"]);
    for report in &throughput {
        assert!(figure(report, "messages a second") > 0.0, "{report}");
    }
    let drawn = std::fs::read_to_string(chart).unwrap();
    assert!(drawn.contains("session") && drawn.contains("webrtc") && drawn.ends_with("</svg>\n"));
    dev.shutdown().await;
}
