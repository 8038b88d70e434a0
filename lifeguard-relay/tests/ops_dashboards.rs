//! Every query of every dashboard, answered by a real Prometheus that scrapes a live service under load.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
mod relay_support;

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use beach_lifeguard_client::{Role, token::FallbackToken};
use ops_support::{
    Service, deploy,
    people::{Session, knock, talk},
    prometheus::Prometheus,
    read, repository, run, said,
};
use relay_support::hello;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_has_data_when_there_is_traffic() {
    let service = Service::dev();
    let probe = serve_probe().await;
    let jobs = [("relay", &*service.admin), ("control-plane", &*service.admin), ("probe", &*probe)];
    let prometheus = Prometheus::start(&jobs, &read(deploy("prometheus/rules.yml"))).await;
    let start = Instant::now();
    while start.elapsed() < LOAD {
        everything_that_happens(&service).await;
    }
    // One more look of Prometheus at the last of it.
    let sockets = prometheus.now("sum(beach_lifeguard_connections_total)").await.unwrap_or(0.0);
    everything_that_happens(&service).await;
    let scraped = "sum(beach_lifeguard_connections_total)";
    assert!(prometheus.until(scraped, Duration::from_secs(10), |now| now > sockets).await.is_some());

    let (mut panels, mut queries, mut alive, mut empty) = (0, 0, 0, Vec::new());
    for (file, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            let Some(targets) = panel["targets"].as_array() else { continue };
            panels += 1;
            for target in targets {
                queries += 1;
                let query = substituted(target["expr"].as_str().unwrap());
                let named = format!("{file}, {}: {query}", panel["title"]);
                match prometheus.over(&query, LOAD.as_secs()).await {
                    Err(error) => empty.push(format!("{named}: {error}")),
                    Ok(series) if !series.iter().flatten().any(|value| value.is_finite()) => {
                        empty.push(named)
                    }
                    Ok(series) => alive += usize::from(series.iter().flatten().any(|value| *value > 0.0)),
                }
            }
        }
    }
    println!(
        "{panels} panels, {queries} queries, {} with data, {alive} of them above zero",
        queries - empty.len()
    );
    assert!(empty.is_empty(), "without data:\n{}", empty.join("\n"));
    assert!(panels >= 40, "{panels} panels");
}

#[test]
fn dashboards_are_complete_and_about_metrics_that_exist() {
    let exported = ops_support::exported();
    let mut uids = std::collections::BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{file}: its uid is taken");
        for panel in dashboard["panels"].as_array().unwrap() {
            let named = format!("{file}, {}", panel["title"]);
            let place = &panel["gridPos"];
            assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{named} is too wide");
            let Some(targets) = panel["targets"].as_array() else { continue };
            assert!(
                panel["description"].as_str().is_some_and(|words| words.len() > 10),
                "{named} explains nothing"
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{named} has no unit");
            for target in targets {
                for metric in ops_support::metrics_in(target["expr"].as_str().unwrap()) {
                    assert!(exported.iter().any(|known| known == metric), "{named}: nobody exports {metric}");
                }
            }
        }
    }
}

/// A bit of each thing a dashboard shows.
async fn everything_that_happens(service: &Service) {
    talk(&service.public, 8).await;
    let session = Session::register(&service.public).await;
    session.ask_as_a_stranger().await.unwrap_err();
    let mut stranger = knock(service.address()).await;
    let forged = hello(session.id, Uuid::new_v4(), Role::Viewer, FallbackToken::new("forged"));
    stranger.say(Message::text(forged.encode())).await;
    assert_eq!(stranger.closed().await.0, 4500);
    let order = service.operate(&["pause", "--by", "test", "--reason", "dashboards"]);
    assert!(order.status.success(), "{}", said(&order));
    assert_eq!(session.ask(&session.member(Role::Host)).await.unwrap_err()["reason"], "fallback_paused");
    assert!(service.operate(&["resume"]).status.success());
    tokio::time::sleep(PAUSE).await;
}

/// A probe's figures, recorded from `beach-link probe` and made into metrics as cron does it.
async fn serve_probe() -> String {
    let folder = repository("");
    let recorded = "lifeguard-relay/tests/fixtures/probe.jsonl";
    let output = run("scripts/ops-probe", "jq", &["--from", recorded], &folder.canonicalize().unwrap());
    assert!(output.status.success(), "{}", said(&output));
    let metrics = String::from_utf8(output.stdout).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(
        axum::serve(listener, Router::new().route("/metrics", get(|| async { metrics }))).into_future(),
    );
    url
}

fn dashboards() -> Vec<(String, Value)> {
    let mut found: Vec<_> = std::fs::read_dir(deploy("grafana/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                serde_json::from_str(&read(path)).unwrap(),
            )
        })
        .collect();
    found.sort_by(|a: &(String, Value), b| a.0.cmp(&b.0));
    assert!(!found.is_empty());
    found
}

/// What Grafana puts in place of its variables, for one scrape a second.
fn substituted(query: &str) -> String {
    let query = query.replace("$__rate_interval", "5s").replace("$__range", "20s").replace("$instance", ".*");
    assert!(!query.contains('$'), "an unknown variable: {query}");
    query
}

/// How long there is traffic: several scrapes and rate windows.
const LOAD: Duration = Duration::from_secs(12);
/// Between two rounds, so that a scrape falls into each state now and then.
const PAUSE: Duration = Duration::from_millis(50);
