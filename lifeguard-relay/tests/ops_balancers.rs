//! The load balancers' samples against each other and against the code: the same nodes and paths, and no connection that is cut before
//! the service would end it. nginx and HAProxy are run by `conformance/pool/tests/one_address.rs`; Envoy is read here alone.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
mod relay_support;

use std::{collections::BTreeSet, time::Duration};

use lifeguard_relay::relay::RelayConfig;
use ops_support::{deploy, read};
use serde_yaml_ng::Value;

const SAMPLES: [&str; 3] = ["envoy/beach.yaml", "haproxy/beach.cfg", "nginx/beach.conf"];

/// The text without comments.
fn sample(path: &str) -> String {
    let text = read(deploy(path));
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn all_samples_name_the_same_nodes_and_paths() {
    let nodes = ["10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.21", "10.0.0.22"].map(str::to_owned);
    for path in SAMPLES {
        let text = sample(path);
        let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
        let named: BTreeSet<_> =
            words.filter(|word| word.starts_with("10.0.0.")).map(str::to_owned).collect();
        assert_eq!(named, nodes.clone().into(), "{path}");
        for wanted in ["/v2/ws", "/ws", "/v2/stream", "/readyz", "503"] {
            assert!(text.contains(wanted), "{path} says nothing of {wanted}");
        }
        assert!(text.to_lowercase().contains("x-forwarded-for"), "{path}");
    }
}

#[test]
fn no_sample_cuts_what_the_service_keeps() {
    let idle = RelayConfig::default().patience.idle;
    for (path, keys) in [
        ("envoy/beach.yaml", &["stream_idle_timeout:"][..]),
        ("haproxy/beach.cfg", &["timeout server", "timeout tunnel"]),
        ("nginx/beach.conf", &["proxy_read_timeout", "proxy_send_timeout"]),
    ] {
        let text = sample(path);
        for key in keys {
            let said = text.split_once(key).unwrap_or_else(|| panic!("{path}: no {key}")).1;
            let seconds = said.trim_start().split_once('s').unwrap().0.parse().unwrap();
            assert!(Duration::from_secs(seconds) > idle, "{path}: {key} {seconds}s");
        }
    }
}

#[test]
fn envoys_sample_hangs_together() {
    let envoy: Value = serde_yaml_ng::from_str(&read(deploy(SAMPLES[0]))).unwrap();
    let resources = &envoy["static_resources"];
    let names = |list: &Value, key: &str| -> BTreeSet<String> {
        list.as_sequence().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    let clusters = names(&resources["clusters"], "name");
    let http = &resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let routes = http["route_config"]["virtual_hosts"][0]["routes"].as_sequence().unwrap();
    let used: BTreeSet<_> =
        routes.iter().filter_map(|route| Some(route["route"]["cluster"].as_str()?.to_owned())).collect();
    assert_eq!(used, clusters);
    for route in routes.iter().filter(|route| !route["route"].is_null()) {
        // An answer may last for hours.
        assert_eq!(route["route"]["timeout"].as_str(), Some("0s"), "{route:?}");
    }
    assert_eq!(names(&http["upgrade_configs"], "upgrade_type"), ["websocket".to_owned()].into());
}
