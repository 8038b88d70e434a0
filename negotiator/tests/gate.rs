//! What an application allows is followed however busy the session is, and a joiner is told why it is not let in.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test ends where something is wrong")]
#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::{sync::Arc, time::Duration};

use negotiator::{
    Access, FallbackMode, Gate, GateState, Gates, JoinError, NetworkConfig, Received, Session, SwitchGate,
};
use support::{FALLBACK, Net, PRIMARY, Scenes as _, host_config};
use tokio::time::{sleep, timeout};

/// Until `session` explains itself as expected.
async fn until(session: &Session, expected: impl Fn(&Session) -> bool) {
    while !expected(session) {
        let changed = session.changed();
        if expected(session) {
            return;
        }
        changed.await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_changes_together_with_anything_else_is_followed() {
    let net = Net::new();
    let gate = Arc::new(SwitchGate::new(Gates::all_open()));
    let mut config = NetworkConfig::default();
    config.gate = Some(gate.clone());
    let (_host, viewer, hosted) = net.session(config).await;
    for round in 0..800 {
        let state = if round % 2 == 0 { GateState::Closed } else { GateState::Open };
        // All at one moment: the driver finds several things to do and takes up one of them.
        viewer.woke();
        viewer.set_mode(FallbackMode::Auto);
        viewer.send("key".into()).await.unwrap();
        hosted.send("echo".into()).await.unwrap();
        gate.set(Gate::KillSwitch, state);
        let followed =
            until(&viewer, |viewer| viewer.explain().closed_gates.is_empty() == (state == GateState::Open));
        timeout(Duration::from_millis(1_500), followed)
            .await
            .unwrap_or_else(|_| panic!("check {round}: {state:?} was not followed"));
        while viewer.try_recv().unwrap().is_some() || hosted.try_recv().unwrap().is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_busy_sessions_follow_one_gate_fifty_times() {
    let net = Net::new();
    let gate = Arc::new(SwitchGate::new(Gates::all_open()));
    let host = net.host(host_config(), Access::Full).await;
    let mut viewers = Vec::new();
    for _ in 0..16 {
        let mut config = NetworkConfig::default();
        config.gate = Some(gate.clone());
        let (viewer, hosted) = tokio::join!(net.viewer(&host, config).connect(), host.accept());
        let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
        tokio::spawn({
            let viewer = viewer.clone();
            async move { while viewer.send(vec![7; 2_000].into()).await.is_ok() {} }
        });
        tokio::spawn(async move { while hosted.recv().await.is_ok() {} });
        viewers.push(viewer);
    }
    for round in 0..50 {
        let state = if round % 2 == 0 { GateState::Closed } else { GateState::Open };
        gate.set(Gate::KillSwitch, state);
        for (number, viewer) in viewers.iter().enumerate() {
            let followed = until(viewer, |viewer| {
                viewer.explain().closed_gates.is_empty() == (state == GateState::Open)
            });
            timeout(Duration::from_secs(10), followed)
                .await
                .unwrap_or_else(|_| panic!("round {round}: session {number} has not followed"));
        }
    }
    for viewer in &viewers {
        viewer.abort("done");
    }
}

#[tokio::test(start_paused = true)]
async fn the_host_s_mode_reaches_the_leader() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    hosted.set_mode(FallbackMode::RelayOnly);
    let moved = until(&viewer, |viewer| viewer.status().path == Some(FALLBACK));
    timeout(Duration::from_secs(20), moved).await.unwrap_or_else(|_| panic!("{}", viewer.explain()));
    hosted.set_mode(FallbackMode::NoRelay);
    let back = until(&viewer, |viewer| viewer.status().path == Some(PRIMARY));
    timeout(Duration::from_secs(20), back).await.unwrap_or_else(|_| panic!("{}", viewer.explain()));
    viewer.send("still one session".into()).await.unwrap();
    assert_eq!(hosted.recv().await.unwrap(), Received::Message("still one session".into()));
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_full_or_an_expired_session_is_told_so() {
    let net = Net::new();
    let mut config = host_config();
    config.max_viewers = 1;
    let host = net.host(config, Access::Full).await;
    let (first, _hosted) = tokio::join!(net.viewer(&host, NetworkConfig::default()).connect(), host.accept());
    let error = net.viewer(&host, NetworkConfig::default()).connect().await.unwrap_err();
    assert!(matches!(error, JoinError::Full), "{error}");
    first.unwrap().close().await;

    let mut config = host_config();
    config.links = vec![negotiator::LinkOptions::full().expiring_in(Duration::ZERO)];
    let host = net.host(config, Access::Full).await;
    // A viewer whose clock is behind, or whose link does not say until when it lasts.
    let link = host.link().clone().expiring_at(u64::MAX);
    let viewer = negotiator::Negotiator::meeting_at(link, NetworkConfig::default(), Arc::new(net.clone()));
    let error = viewer.connect().await.unwrap_err();
    assert!(matches!(error, JoinError::LinkExpired), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_events_end_with_the_session_although_a_handle_lives() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    let mut events = [viewer.events(), hosted.events()];
    viewer.close().await;
    for events in &mut events {
        let all = async { while events.next().await.is_some() {} };
        timeout(Duration::from_secs(5), all).await.expect("the stream ends");
    }
    hosted.closed().await;
    assert_eq!(viewer.events().next().await, None, "nothing is to come");
    sleep(Duration::from_millis(1)).await;
    drop((viewer, hosted));
}
