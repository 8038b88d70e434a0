//! The network in memory does what its faults say, under the real session.

use super::*;
use crate::{
    Received,
    runtime::{Duration, Instant, now, timeout},
};

/// Sends one message there and has it come back; the time that took.
async fn there_and_back(pair: &Pair) -> Duration {
    let begun: Instant = now();
    for (from, to) in [(&pair.viewer, &pair.hosted), (&pair.hosted, &pair.viewer)] {
        from.send("x".into()).await.unwrap();
        assert_eq!(to.recv().await.unwrap(), Received::Message("x".into()));
    }
    now() - begun
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_taken_in_each_direction_and_order_is_kept_when_it_shrinks() {
    let network = MemoryNetwork::new();
    let pair = network.pair().await.unwrap();
    assert!(there_and_back(&pair).await < Duration::from_millis(5));
    network.primary.delay(Duration::from_millis(150));
    let taken = there_and_back(&pair).await;
    assert!((300..320).contains(&taken.as_millis()), "{taken:?}");
    for index in 0..20u8 {
        network.primary.delay(Duration::from_millis(150 - 7 * u64::from(index)));
        pair.viewer.send(vec![index].into()).await.unwrap();
    }
    for index in 0..20u8 {
        assert_eq!(pair.hosted.recv().await.unwrap(), Received::Message(vec![index].into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_path_is_dialled_again_and_a_blocked_one_is_left() {
    let network = MemoryNetwork::new();
    let pair = network.pair().await.unwrap();
    network.primary.cut();
    there_and_back(&pair).await;
    assert_eq!((pair.viewer.status().path, network.fallback.dials()), (Some(PRIMARY), 0));
    network.primary.block();
    there_and_back(&pair).await;
    assert_eq!(pair.viewer.status().path, Some(FALLBACK));
}

#[tokio::test(start_paused = true)]
async fn datagrams_are_lost_at_the_rate_asked_for_and_messages_are_not() {
    let network = MemoryNetwork::new();
    network.primary.lose_datagrams(0.5, 7);
    let pair = network.pair().await.unwrap();
    let mut heard = (0, 0);
    for _ in 0..200 {
        pair.viewer.send_datagram("maybe".into()).unwrap();
        pair.viewer.send("surely".into()).await.unwrap();
        loop {
            match timeout(Duration::from_millis(50), pair.hosted.recv()).await {
                Ok(Ok(Received::Datagram(_))) => heard.0 += 1,
                Ok(Ok(Received::Message(_))) => heard.1 += 1,
                Ok(other) => panic!("{other:?}"),
                Err(_nothing_more) => break,
            }
        }
    }
    assert_eq!(heard.1, 200);
    assert!((60..140).contains(&heard.0), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_path_nobody_joins_and_the_error_says_so() {
    let network = MemoryNetwork::new();
    network.primary.block();
    network.fallback.refuse(true);
    let error = network.pair().await.unwrap_err();
    assert!(matches!(error, PairError::Join(JoinError::NoPath { .. })), "{error}");
}
