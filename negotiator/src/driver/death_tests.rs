//! How long a session is without a path when the one it is on dies with data pending, in virtual time.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use transport_core::Role;

use crate::{
    Session,
    testing::{FALLBACK, MemoryNetwork, PRIMARY, Pair},
};

/// Types ten keys a second at the viewer; the host reads them and echoes each.
fn typing(viewer: &Session, hosted: &Session) -> [JoinHandle<()>; 2] {
    let (viewer, hosted) = (viewer.clone(), hosted.clone());
    let types = tokio::spawn(async move {
        while viewer.send("key".into()).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    let echoes = tokio::spawn(async move {
        while hosted.recv().await.is_ok() && hosted.send("echo".into()).await.is_ok() {}
    });
    [types, echoes]
}

/// Blocks the primary from one side or both, `phase` after a sample, and returns when the fallback carried the session.
async fn silence(side: Option<Role>, phase: u64) -> Duration {
    let net = MemoryNetwork::new();
    let Pair { host, viewer, hosted } = net.pair().await.unwrap();
    let typing = typing(&viewer, &hosted);
    sleep(Duration::from_millis(5_000 + phase)).await;
    assert_eq!(viewer.status().path, Some(PRIMARY));
    match side {
        Some(side) => net.primary.block_from(side),
        None => net.primary.block(),
    }
    let cut = Instant::now();
    let moved = async {
        while viewer.status().path.as_ref() != Some(&FALLBACK) {
            viewer.changed().await;
        }
    };
    timeout(Duration::from_secs(60), moved).await.expect("the session moves");
    let took = cut.elapsed();
    typing.into_iter().for_each(|task| task.abort());
    viewer.close().await;
    host.close().await;
    took
}

#[tokio::test(start_paused = true)]
async fn a_path_that_dies_both_ways_or_one_is_left_soon_after_three_seconds_whenever_it_dies() {
    for side in [None, Some(Role::Host), Some(Role::Viewer)] {
        for phase in [0, 120, 250, 380, 490] {
            let took = silence(side, phase).await;
            println!("{side:?} {phase}: {took:?}");
            assert!(
                (Duration::from_secs(3)..Duration::from_millis(3_400)).contains(&took),
                "{side:?}: {took:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_three_seconds_dials_no_fallback() {
    let net = MemoryNetwork::new();
    let Pair { host, viewer, hosted } = net.pair().await.unwrap();
    let typing = typing(&viewer, &hosted);
    sleep(Duration::from_secs(5)).await;
    net.primary.block();
    sleep(Duration::from_secs(3)).await;
    net.primary.restore();
    sleep(Duration::from_secs(20)).await;
    assert_eq!((viewer.status().path, net.fallback.dials()), (Some(PRIMARY), 0));
    typing.into_iter().for_each(|task| task.abort());
    viewer.close().await;
    host.close().await;
}
