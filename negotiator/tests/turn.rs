//! The TURN rung with a real coturn and credentials of a real control plane, through the whole ladder.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod real;

use std::{
    net::TcpListener,
    time::{Duration, SystemTime},
};

use lifeguard_relay::DevConfig;
use negotiator::{NetworkConfig, Reason, Received, TransitionKind, TunePolicy};
use real::{
    RELAY, Stage,
    coturn::{Coturn, offer},
    fence::Fence,
    flow::Flow,
    network, through,
};
use transport_webrtc::{ID, TURN_ID};

fn offering(urls: impl IntoIterator<Item = String>) -> DevConfig {
    let mut config = DevConfig::default();
    config.control.turn = offer(urls);
    config
}

/// Joins from behind `fence`, and expects the session on TURN.
async fn relayed(coturn: &Coturn, urls: Vec<String>, fence: Fence) {
    let trusting = |mut config: NetworkConfig| {
        config.outbound.trust.add_roots("coturn", &coturn.root).unwrap();
        config
    };
    let stage = Stage::set(offering(urls), trusting(network())).await;
    let (pair, took) = stage.join(trusting(through(fence))).await;
    let explanation = pair.viewer.explain();
    println!("usable after {took:?}: {explanation}");
    assert_eq!(explanation.path, Some(TURN_ID), "{explanation}");
    assert_eq!(explanation.missing, []);
    pair.talk().await;
    assert_eq!(stage.dev.total_relay_connections(), 0, "the fallback slept");
    drop(pair);
    stage.end().await;
}

#[tokio::test]
async fn where_only_the_turn_server_is_reachable_the_session_goes_over_udp_through_it() {
    let coturn = Coturn::start();
    relayed(&coturn, vec![coturn.udp()], Fence::around([coturn.address()])).await;
}

#[tokio::test]
async fn with_udp_dropped_it_goes_over_tcp() {
    let coturn = Coturn::start();
    relayed(&coturn, vec![coturn.udp(), coturn.tcp()], Fence::around([])).await;
}

#[tokio::test]
async fn with_udp_dropped_it_goes_over_tls() {
    let coturn = Coturn::start();
    relayed(&coturn, vec![coturn.udp(), coturn.tls()], Fence::around([])).await;
}

#[tokio::test]
async fn with_turn_blocked_too_the_ladder_goes_on_to_the_relay_and_says_so() {
    let coturn = Coturn::start();
    // Accepts and never answers, as a middlebox does.
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = format!("turn:{}?transport=tcp", hole.local_addr().unwrap());
    let stage = Stage::set(offering([coturn.udp(), tcp]), network()).await;
    let (pair, took) = stage.join(through(Fence::around([]))).await;
    let explanation = pair.viewer.explain();
    println!("usable after {took:?}: {explanation}");
    assert_eq!(explanation.path, Some(RELAY), "{explanation}");
    assert_eq!(explanation.reason, Reason::PrimariesSilent.code());
    let turn = explanation.tried.iter().find(|tried| tried.transport == TURN_ID).unwrap();
    assert!(turn.given_up && turn.failures >= turn.quorum, "{explanation}");
    assert!(explanation.to_string().contains("\n  webrtc-turn "), "{explanation}");
    pair.talk().await;
    stage.end().await;
}

#[tokio::test]
async fn a_session_whose_turn_server_dies_moves_to_the_relay_and_the_event_says_why() {
    let coturn = Coturn::start();
    let stage = Stage::set(offering([coturn.udp()]), network()).await;
    let (mut pair, _) = stage.join(through(Fence::around([coturn.address()]))).await;
    pair.on(&TURN_ID).await;
    let died = SystemTime::now();
    drop(coturn);
    pair.viewer.send("into the void".into()).await.unwrap();
    let (event, after) = pair.decision(died, |event| event.name == TransitionKind::FallbackActivated).await;
    println!("{event} {after:?} after the server died");
    assert_eq!((event.reason, event.to), (Reason::RedialFailed, Some(RELAY)));
    assert!(event.detail.contains("webrtc-turn"), "{}", event.detail);
    assert_eq!(pair.hosted.recv().await.unwrap(), Received::Message("into the void".into()));
    stage.end().await;
}

#[tokio::test]
async fn a_session_on_turn_moves_to_a_direct_path_that_opens_and_nothing_is_lost_and_the_relay_sleeps() {
    let coturn = Coturn::start();
    let stage = Stage::set(offering([coturn.udp()]), network()).await;
    let fence = Fence::around([coturn.address()]);
    let mut config = through(fence.clone());
    config.tune_policy = Some(TunePolicy::new(|policy| {
        policy.restore.cadence = Duration::from_secs(2);
        policy.restore.dwell = Duration::from_secs(1);
    }));
    let (mut pair, _) = stage.join(config).await;
    pair.on(&TURN_ID).await;
    let flows = [(&pair.viewer, &pair.hosted), (&pair.hosted, &pair.viewer)];
    let flows = flows.map(|(from, to)| Flow::start(from, to));
    fence.open();
    let opened = SystemTime::now();
    let (event, after) = pair.decision(opened, |event| event.name == TransitionKind::Restored).await;
    println!("{event} {after:?} after the fence opened");
    assert_eq!((event.reason, event.to), (Reason::DirectFound, Some(ID)));
    for flow in flows {
        flow.finish().await;
    }
    assert_eq!(stage.dev.total_relay_connections(), 0, "the fallback slept");
    pair.viewer.close().await;
    stage.end().await;
}

#[tokio::test]
async fn without_a_turn_server_there_is_no_rung_and_the_reason_is_told() {
    let stage = Stage::set(DevConfig::default(), network()).await;
    let (pair, _) = stage.join(network()).await;
    let explanation = pair.viewer.explain();
    assert_eq!(explanation.path, Some(ID), "{explanation}");
    assert!(explanation.tried.iter().all(|tried| tried.transport != TURN_ID));
    let missing: Vec<_> =
        explanation.missing.iter().map(|gone| (&gone.transport, gone.why.as_str())).collect();
    assert_eq!(missing, [(&TURN_ID, "no TURN server is configured")]);
    let line = "webrtc-turn not tried: no TURN server is configured";
    assert!(explanation.to_string().contains(line), "{explanation}");
    stage.end().await;
}

#[tokio::test]
async fn without_turn_the_control_planes_own_stun_server_is_asked_by_both_sides() {
    let mut config = DevConfig::default();
    config.stun = Some(([127, 0, 0, 1], 0).into());
    let stage = Stage::set(config, network()).await;
    let (pair, _) = stage.join(network()).await;
    let explanation = pair.viewer.explain();
    assert_eq!(explanation.path, Some(ID), "{explanation}");
    let missing: Vec<_> = explanation.missing.iter().map(|gone| gone.why.as_str()).collect();
    assert_eq!(missing, ["no TURN server is configured"]);
    let count = |name, outcome| stage.dev.metrics().read(name, &[outcome]);
    assert_eq!(count("beach_turn_credentials", "stun_only"), 2);
    // The path may be up before the second one's question came.
    let both = async {
        while count("beach_stun_requests", "answered") < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("each side asks");
    assert_eq!(count("beach_stun_requests", "malformed"), 0, "by plain requests");
    drop(pair);
    stage.end().await;
}

#[tokio::test]
async fn where_stun_is_switched_off_nobody_asks() {
    let mut config = DevConfig::default();
    config.stun = Some(([127, 0, 0, 1], 0).into());
    let mut quiet = network();
    quiet.webrtc.stun = false;
    let stage = Stage::set(config, quiet.clone()).await;
    let (pair, _) = stage.join(quiet).await;
    assert_eq!(pair.viewer.explain().path, Some(ID));
    assert_eq!(stage.dev.metrics().read("beach_stun_requests", &["answered"]), 0);
    drop(pair);
    stage.end().await;
}

#[tokio::test]
async fn credentials_that_run_out_are_asked_for_anew_by_the_next_dial() {
    let coturn = Coturn::start();
    let mut config = offering([coturn.udp()]);
    config.control.turn.ttl = 4;
    let stage = Stage::set(config, network()).await;
    // Half their life is kept back for the dial itself, so the host's first ones begin no dial any more.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let (pair, _) = stage.join(through(Fence::around([coturn.address()]))).await;
    pair.on(&TURN_ID).await;
    pair.talk().await;
    assert!(stage.dev.metrics().read("beach_turn_credentials", &["issued"]) >= 3);
    stage.end().await;
}

#[tokio::test]
async fn credentials_are_asked_for_once_by_each_side_while_they_hold() {
    let coturn = Coturn::start();
    let mut config = network();
    config.outbound.trust.add_roots("coturn", &coturn.root).unwrap();
    let stage = Stage::set(offering([coturn.udp()]), config).await;
    let (pair, _) = stage.join(through(Fence::around([coturn.address()]))).await;
    pair.on(&TURN_ID).await;
    // Each side looked when it came and dialled at least once since.
    assert_eq!(stage.dev.metrics().read("beach_turn_credentials", &["issued"]), 2);
    drop(pair);
    stage.end().await;
}
