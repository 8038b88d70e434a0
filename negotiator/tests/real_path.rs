//! The judgement on real sockets: UDP blocked from the start, and a direct path that dies with data pending
//! and heals. Here it must only work; `cargo run -p beach-negotiator --example figures` measures it.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod real;

use std::time::Duration;

use lifeguard_relay::DevConfig;
use negotiator::{NetworkConfig, TunePolicy};
use real::{Stage, amount, network, scenes};

#[tokio::test]
async fn where_udp_is_blocked_every_session_reaches_the_relay() {
    let stage = Stage::set(DevConfig::default(), network()).await;
    let runs = amount("BLOCKED_RUNS", 3);
    for run in 1..=runs {
        let took = scenes::udp_blocked(&stage).await;
        println!("run {run} of {runs}: usable after {took:?}");
        // The promise is 5 s on an idle machine, and figures are taken there.
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
    assert!(stage.dev.total_relay_connections() >= runs as u64);
    stage.end().await;
}

#[tokio::test]
async fn a_dead_path_is_noticed_left_and_returned_to_when_it_heals_and_nothing_is_lost() {
    let stage = Stage::set(DevConfig::default(), network()).await;
    let impatient = |mut config: NetworkConfig| {
        config.tune_policy = Some(TunePolicy::new(|policy| {
            policy.restore.cadence = Duration::from_secs(2);
            policy.restore.dwell = Duration::from_secs(1);
        }));
        config
    };
    let death = scenes::path_dies(&stage, impatient).await;
    println!("{death:#?}");
    // The promise is 6 s and 12 s on an idle machine.
    assert!(death.detected < Duration::from_secs(15), "{death:#?}");
    assert!(death.rescued < Duration::from_secs(40), "{death:#?}");
    stage.end().await;
}
