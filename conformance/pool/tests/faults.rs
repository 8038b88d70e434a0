//! Sessions over a pool whose nodes are restarted, killed, drained, stopped and cut off, and whose Redis fails over: nothing is
//! lost, and the silence is short.
//!
//! `POOL_SESSIONS` says how many sessions, `POOL_ROUNDS` how often each fault strikes (1), `POOL_FAULTS` which, by a part of
//! the name. Without the first there are 6 sessions, and of the faults those that are over in seconds; `scripts/measure
//! pool` has 200 and all.

use std::time::{Duration, Instant};

use pool::{
    crowd::{Crowd, Ends, PATIENCE, Rhythm, relayed},
    fault::Fault,
    report::{Row, number},
    service::{Plan, Service},
};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_costs_silence_and_no_message() {
    let mut plan = Plan::default();
    let mut faults = &Fault::OF_NODES[..];
    if number("POOL_SESSIONS").is_none() {
        // The program's own waits are for thousands of clients.
        plan.drain = Some([Duration::from_millis(500), Duration::from_secs(1)]);
        faults = &[Fault::OwnerKilled, Fault::OwnerDrained];
    }
    strike_all(plan, faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_fails_over_costs_nothing_but_newcomers_patience() {
    let mut plan = Plan::default();
    plan.watched = true;
    strike_all(plan, &[Fault::StoreMasterKilled]).await;
}

async fn strike_all(plan: Plan, faults: &[Fault]) {
    let sessions = number("POOL_SESSIONS").unwrap_or(6);
    let rounds = number("POOL_ROUNDS").unwrap_or(1) as usize;
    let wanted = std::env::var("POOL_FAULTS").unwrap_or_default();
    let faults: Vec<_> = faults.iter().filter(|fault| format!("{fault:?}").contains(&wanted)).collect();
    if faults.is_empty() {
        return;
    }
    let mut service = Service::start(plan).await;
    println!("{sessions} sessions, {} messages a second each way\n{}", 1_000 / PAUSE.as_millis(), Row::HEAD);
    for fault in faults {
        let row = strike(&mut service, *fault, sessions, rounds).await;
        println!("{row}");
        assert!(row.verdict.is_whole() && row.verdict.delivered > 0, "{fault:?}: {:?}", row.verdict);
        let moves = !matches!(fault, Fault::Calm | Fault::StoreMasterKilled);
        assert_eq!(!row.silences.is_empty(), moves, "{fault:?} is not what it says: {row}");
        service.is_left_with(0).await;
    }
}

async fn strike(service: &mut Service, fault: Fault, sessions: u64, rounds: usize) -> Row {
    let rhythm = Rhythm { pause: PAUSE, size: 200 };
    let crowd = Crowd::gather(&service.url(), sessions, rhythm).await;
    let (mut silences, mut longest, mut newcomer) = (Vec::new(), Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        sleep(BREATH).await;
        crowd.watch();
        let url = service.url();
        let (waited, ()) = tokio::join!(a_newcomer(&url), fault.strike(service));
        let effect = crowd.effect().await;
        silences.extend(effect.silences);
        longest = longest.max(effect.longest);
        newcomer = newcomer.max(waited);
    }
    let verdict = crowd.end().await;
    Row { fault, rounds, silences, longest, newcomer, verdict }
}

/// Tries until a session stands, beginning when the blow has fallen.
async fn a_newcomer(url: &str) -> Duration {
    let began = Instant::now();
    sleep(Duration::from_millis(200)).await;
    loop {
        match Ends::try_meet(url, relayed(), Duration::from_secs(15)).await {
            Ok(ends) => {
                let stood = began.elapsed();
                ends.end().await;
                return stood;
            }
            Err(why) => assert!(began.elapsed() < PATIENCE, "no new session after {PATIENCE:?}: {why}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Between two messages of one direction.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two blows.
const BREATH: Duration = Duration::from_secs(3);
