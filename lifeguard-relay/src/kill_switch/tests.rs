use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::store::{MemoryStore, flaky::Flaky};

#[tokio::test]
async fn each_verb_includes_the_milder_ones_and_a_cohort_has_its_own() {
    let switch = KillSwitch::local();
    switch.set(Some("beta"), Some(Verb::RefuseNew), "op", "trying").await.unwrap();
    assert!(switch.pauses_minting("beta") && switch.refuses_new("beta") && !switch.is_draining("beta"));
    assert!(!switch.pauses_minting("public"));
    switch.set(None, Some(Verb::PauseMinting), "op", "incident").await.unwrap();
    assert!(switch.pauses_minting("public") && !switch.refuses_new("public"));
    assert!(switch.refuses_new("beta"), "the stronger order counts");
    switch.set(None, None, "op", "over").await.unwrap();
    assert!(!switch.pauses_minting("public"));
    let verbs: Vec<_> = switch.state().audit.iter().map(|audit| audit.verb).collect();
    assert_eq!(verbs, [Some(Verb::RefuseNew), Some(Verb::PauseMinting), None]);
}

#[tokio::test(start_paused = true)]
async fn another_node_sees_it_within_five_seconds() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (here, there) = (KillSwitch::new(Some(store.clone())), KillSwitch::new(Some(store)));
    let stop = CancellationToken::new();
    tokio::spawn(there.clone().follow(Arc::new(Metrics::new()), stop.clone()));
    here.set(None, Some(Verb::Stop), "op", "incident").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(there.is_stopped("anything"));
    stop.cancel();
}

#[tokio::test]
async fn two_nodes_that_order_at_once_are_both_obeyed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let nodes: Vec<_> = (0..8).map(|_| KillSwitch::new(Some(store.clone()))).collect();
    let orders = nodes.iter().enumerate().map(|(n, node)| async move {
        node.set(Some(&format!("c{n}")), Some(Verb::RefuseNew), "op", "").await.unwrap();
    });
    futures::future::join_all(orders).await;
    let stands = store.switch().await.unwrap();
    assert_eq!((stands.cohorts.len(), stands.revision), (8, 8));
}

#[tokio::test]
async fn an_order_given_during_an_outage_stands_here_and_is_told_afterwards() {
    let store = Arc::new(Flaky::default());
    let (here, there) = (KillSwitch::new(Some(store.clone())), KillSwitch::new(Some(store.clone())));
    here.set(None, Some(Verb::PauseMinting), "op", "before").await.unwrap();
    there.agree().await.unwrap();
    store.away.store(true, Relaxed);
    let told = here.set(None, Some(Verb::Stop), "op", "meanwhile").await;
    assert_eq!(told, Err(StoreError::Unavailable));
    assert_eq!(here.agree().await, Err(StoreError::Unavailable));
    assert!(here.is_stopped("x") && !there.is_stopped("x"));
    assert!(there.pauses_minting("x"), "the last state stands");
    store.away.store(false, Relaxed);
    here.agree().await.unwrap();
    there.agree().await.unwrap();
    assert!(there.is_stopped("x"));
    assert_eq!(here.state(), there.state());
}

#[tokio::test]
async fn a_store_that_comes_back_empty_does_not_lift_an_order() {
    let store = Arc::new(Flaky::default());
    let switch = KillSwitch::new(Some(store.clone()));
    switch.set(None, Some(Verb::RefuseNew), "op", "incident").await.unwrap();
    store.forget();
    switch.agree().await.unwrap();
    assert!(switch.refuses_new("x"));
    assert_eq!(store.switch().await.unwrap(), switch.state());
}

#[tokio::test]
async fn a_configured_pause_is_only_where_a_deployment_begins() {
    let store = Arc::new(Flaky::default());
    let first = KillSwitch::new(Some(store.clone())).initially_paused("FALLBACK_WS_PAUSED");
    assert!(first.pauses_minting("x"), "also before the store was asked");
    first.agree().await.unwrap();
    assert!(store.switch().await.unwrap().everybody.is_some());
    first.set(None, None, "op", "go").await.unwrap();
    let restarted = KillSwitch::new(Some(store.clone())).initially_paused("FALLBACK_WS_PAUSED");
    restarted.agree().await.unwrap();
    assert!(!restarted.pauses_minting("x"), "the operator's word is newer than the file");
}

#[tokio::test]
async fn there_is_an_end_to_cohorts() {
    let switch = KillSwitch::local();
    for n in 0..256 {
        switch.set(Some(&format!("c{n}")), Some(Verb::Stop), "op", "").await.unwrap();
    }
    assert_eq!(switch.set(Some("more"), Some(Verb::Stop), "op", "").await, Err(StoreError::Full));
    switch.set(Some("c1"), None, "op", "").await.unwrap();
    switch.set(Some("more"), Some(Verb::Stop), "op", "").await.unwrap();
}
