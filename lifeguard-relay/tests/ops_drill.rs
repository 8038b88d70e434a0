//! An incident from breach to all-clear: a real service, a real Prometheus with our rules, an operator's
//! commands, and a clock. `scripts/ops-drill` runs it with the timeline shown.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
mod relay_support;

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use beach_lifeguard_client::{Lane, Role, reason::Reason};
use futures::{StreamExt, stream};
use ops_support::{Service, deploy, people::Session, prometheus::Prometheus, read, said};
use serde_yaml_ng::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_is_seen_paused_and_lifted_in_time() {
    let service = Service::dev();
    let rules = hurried(&read(deploy("prometheus/rules.yml")));
    let jobs = [("relay", &*service.admin), ("control-plane", &*service.admin)];
    let prometheus = Prometheus::start(&jobs, &rules).await;
    assert!(prometheus.until("count(up == 1)", PATIENCE, |up| up == 2.0).await.is_some());
    let quiet = prometheus.now(FIRING).await;
    assert_eq!(quiet, None, "the alert fires before anything has happened");

    let mut timeline = Timeline::begin();
    // Two people who are on the relay already, and must not be bothered by a pause.
    let before = Session::register(&service.public).await;
    let (mut host, mut viewer) = (before.join(Role::Host).await, before.join(Role::Viewer).await);

    let sessions: Vec<Session> = stream::iter(0..SESSIONS)
        .map(|_| Session::register(&service.public))
        .buffer_unordered(32)
        .collect()
        .await;
    let mut breached = false;
    for session in sessions.iter().take(ACTIVATIONS) {
        breached |= session.ask(&session.member(Role::Viewer)).await.unwrap().guardrail_soft_breach;
    }
    assert!(breached, "{ACTIVATIONS} activations of {SESSIONS} sessions are no breach");
    timeline.step("breach injected: tokens are tagged, minting goes on", Duration::from_secs(30));

    let fired = prometheus.until(FIRING, PATIENCE, |value| value == 1.0).await;
    assert!(fired.is_some(), "the alert did not fire");
    timeline.step("FallbackActivationSoftBreach fires, as Prometheus evaluates it", Duration::from_secs(15));

    let order = service.operate(&["pause", "--by", "on call", "--reason", "drill: soft breach"]);
    assert!(order.status.success(), "{}", said(&order));
    let refused = loop {
        match sessions[SESSIONS - 1].ask(&sessions[SESSIONS - 1].member(Role::Viewer)).await {
            Err(body) => break body,
            Ok(_) => assert!(timeline.elapsed() < PATIENCE, "tokens are minted in spite of the pause"),
        }
    };
    assert_eq!(refused["reason"], "fallback_paused");
    assert_eq!(refused["message"], Reason::FallbackPaused.message());
    timeline.step("operator pauses; the next token is refused", Duration::from_secs(5));

    viewer.send(host.address(), Lane::Reliable, b"still here").await;
    assert_eq!(host.data().await.1, "still here");
    timeline.step("the session on the relay goes on", Duration::from_secs(1));

    let shown = "max(beach_lifeguard_paused{verb=\"pause_minting\"})";
    assert!(prometheus.until(shown, PATIENCE, |value| value == 1.0).await.is_some());
    timeline.step("the pause shows on the dashboard", Duration::from_secs(5));

    if let Some(program) = std::env::var_os("BEACH_LINK") {
        let seen = client(&program, &service.public);
        let (direct, relay) = (of_path(&seen, "direct"), of_path(&seen, "relay"));
        assert_eq!(
            direct["error"],
            serde_json::Value::Null,
            "WebRTC does not work during the pause: {seen:?}"
        );
        let words = relay["error"].as_str().unwrap_or_default();
        assert!(words.contains("paused"), "the client says {words:?}");
        println!("the client says: {words}");
        timeline.step("a client: WebRTC works, the relay is refused in words", Duration::from_secs(60));
    }

    let order = service.operate(&["resume", "--by", "on call", "--reason", "drill over"]);
    assert!(order.status.success(), "{}", said(&order));
    sessions[SESSIONS - 1].ask(&sessions[SESSIONS - 1].member(Role::Viewer)).await.unwrap();
    timeline.step("operator resumes; tokens again", Duration::from_secs(5));
    viewer.ws.close(None).await.unwrap();

    println!("refusal a person reads: {}", refused["message"]);
    println!("{}", timeline.table());
    assert!(timeline.in_time(), "a step took longer than its target");
}

/// The rules with short waits, so that a drill takes seconds. Says what it changed.
fn hurried(rules: &str) -> String {
    let mut rules: Value = serde_yaml_ng::from_str(rules).unwrap();
    let groups = rules["groups"].as_sequence_mut().unwrap();
    for rule in groups.iter_mut().flat_map(|group| group["rules"].as_sequence_mut().unwrap()) {
        if rule["alert"] == ALERT {
            println!("for the drill: {ALERT} waits 2s instead of {}", rule["for"].as_str().unwrap());
            rule["for"] = "2s".into();
        }
    }
    println!("for the drill: scraped and evaluated every 1s instead of every 15s");
    serde_yaml_ng::to_string(&rules).unwrap()
}

/// What `beach-link probe` finds: one object for each path.
fn client(program: &std::ffi::OsStr, control: &str) -> Vec<serde_json::Value> {
    let arguments = ["probe", "--output", "json", "--control-plane", control];
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn of_path<'a>(seen: &'a [serde_json::Value], path: &str) -> &'a serde_json::Value {
    let found = seen.iter().map(|line| &line["result"]).find(|result| result["path"] == path);
    found.unwrap_or_else(|| panic!("the probe said nothing about {path}: {seen:?}"))
}

/// What happened when, and when it should have.
struct Timeline {
    start: Instant,
    last: Instant,
    steps: Vec<(&'static str, Duration, Duration, Duration)>,
}

impl Timeline {
    fn begin() -> Self {
        Self { start: Instant::now(), last: Instant::now(), steps: Vec::new() }
    }

    fn step(&mut self, what: &'static str, target: Duration) {
        self.steps.push((what, self.start.elapsed(), self.last.elapsed(), target));
        self.last = Instant::now();
    }

    /// Since the last step.
    fn elapsed(&self) -> Duration {
        self.last.elapsed()
    }

    fn in_time(&self) -> bool {
        self.steps.iter().all(|(_, _, took, target)| took <= target)
    }

    fn table(&self) -> String {
        let mut out = format!("\n  {:>8}  {:>8}  {:>8}\n", "at", "took", "target");
        for (what, at, took, target) in &self.steps {
            let late = if took > target { "  LATE" } else { "" };
            let [at, took, target] = [at, took, target].map(|span| format!("{:.2} s", span.as_secs_f64()));
            let _ = writeln!(out, "  {at:>8}  {took:>8}  {target:>8}  {what}{late}");
        }
        out
    }
}

const ALERT: &str = "FallbackActivationSoftBreach";
const FIRING: &str = "ALERTS{alertname=\"FallbackActivationSoftBreach\", alertstate=\"firing\"}";
const SESSIONS: usize = 300;
const ACTIVATIONS: usize = 30;
const PATIENCE: Duration = Duration::from_secs(30);
