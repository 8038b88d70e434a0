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
    let (stream, throughput, slow, soak, fanout) = tokio::join!(
        load(&url, "stream --sessions 2 --size 256 --rate 5120 --seconds 1 --reference"),
        load(&url, "throughput --sessions 2 --size 1024 --in-flight 2 --seconds 1 --reference"),
        load(&url, "slow --fast 2 --slow 1 --size 512 --messages 20 --seconds 1"),
        load(&url, "soak --sessions 2 --size 256 --messages 5 --churn 2 --every 1 --seconds 2"),
        load(&url, "fanout --viewers 3 --size 256 --messages 20 --seconds 1"),
    );
    let names = |reports: &[Value]| reports.iter().map(|r| r["target"].to_string()).collect::<Vec<_>>();
    assert_eq!(names(&stream), ["\"relay\"", "\"forwarder\"", "\"websocket\""]);
    for report in stream.iter().chain(&fanout) {
        assert_eq!(figure(report, "lost"), 0.0, "{report}");
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
    dev.shutdown().await;
}
