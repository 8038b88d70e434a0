//! Rescue grants: given in the room, honoured by the relay as far as a token would be minted at that moment, once.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;
mod relay_support;

use std::{sync::Arc, time::Duration};

use beach_lifeguard_client::{
    CloseCode, FallbackToken, Role, SUBPROTOCOL,
    signaling::{FromRoom, RescueGrant, RescueRequest, ToRoom},
    token::TokenKind,
};
use control_support::{
    member::Socket,
    plane::{Person, Plane},
    redis::Redis,
    until,
};
use lifeguard_relay::{
    control::{ControlConfig, TokenKeys},
    kill_switch::Verb,
    store::{Bucket, Counted, MemoryStore, RedisStore, Store},
};
use relay_support::{Client, Heard, Rig, hello};
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// A control plane whose rules the relay can read.
async fn plane() -> Plane {
    shared(ControlConfig::development(), Arc::new(MemoryStore::new()), keys()).await
}

async fn shared(config: ControlConfig, store: Arc<dyn Store>, keys: TokenKeys) -> Plane {
    let plane = Plane::node(config, store, keys, |_, _| {}).await;
    until("the rules are known", async || plane.store.rules().await.is_ok_and(|rules| rules.is_some())).await;
    plane
}

fn keys() -> TokenKeys {
    TokenKeys::generate("https://control.test").unwrap()
}

async fn grant(plane: &Plane, person: &Person) -> RescueGrant {
    let (mut room, _) = Socket::enter(plane, person).await;
    room.say(&ToRoom::Rescue(RescueRequest::default())).await;
    match room.hear().await {
        FromRoom::Rescue(grant) => grant,
        other => panic!("instead of a grant: {other:?}"),
    }
}

/// Comes to the relay with a token: `None` when it is let in, else how it is closed.
async fn come(plane: &Plane, person: &Person, token: FallbackToken) -> Option<(u16, String)> {
    let protocol = [("sec-websocket-protocol", SUBPROTOCOL)];
    let mut client = Client::connect(plane.address, "/v2/ws", &protocol).await.unwrap();
    let first = hello(person.session, person.peer, person.role, token);
    client.say(Message::text(first.encode())).await;
    match client.hear().await {
        Heard::Text(_) => None,
        Heard::Closed(code, reason) => Some((code, reason)),
        other => panic!("{other:?}"),
    }
}

/// Comes in, and returns the ticket that the relay gives.
async fn ticket(plane: &Plane, person: &Person, token: FallbackToken) -> FallbackToken {
    let protocol = [("sec-websocket-protocol", SUBPROTOCOL)];
    let mut client = Client::connect(plane.address, "/v2/ws", &protocol).await.unwrap();
    client.say(Message::text(hello(person.session, person.peer, person.role, token).encode())).await;
    client.welcome().await;
    client.ticket().await
}

/// Comes in with minted tokens until the relay knows the key it signs tickets with.
async fn first_ticket(plane: &Plane, person: &Person) -> FallbackToken {
    loop {
        let token = person.token(plane).await.token;
        let given = timeout(Duration::from_secs(2), ticket(plane, person, token)).await;
        if let Ok(ticket) = given {
            return ticket;
        }
    }
}

fn closed(code: CloseCode, reason: &str) -> Option<(u16, String)> {
    Some((code.get(), reason.to_owned()))
}

fn spare(plane: &Plane, outcome: &str) -> u64 {
    plane.metrics.read("beach_fallback_spare_tokens", &["rescue", outcome])
}

async fn activations(plane: &Plane) -> u64 {
    let hour = Bucket::of(OffsetDateTime::now_utc());
    plane.store.count("public", &hour, Counted::Session).await.unwrap().activations
}

#[tokio::test]
async fn a_grant_admits_host_and_viewer_once_each_and_counts_when_it_is_used() {
    let plane = plane().await;
    let host = plane.session().await;
    let viewer = host.viewer();
    for person in [&host, &viewer] {
        let given = grant(&plane, person).await;
        assert_eq!(given.life_secs, TokenKind::Rescue.max_life_secs());
        assert_eq!(
            activations(&plane).await,
            u64::from(person.role == Role::Viewer),
            "not before it is used"
        );
        assert_eq!(come(&plane, person, given.token.clone()).await, None);
        assert_eq!(activations(&plane).await, 1, "a session counts once");
        let again = come(&plane, person, given.token).await;
        assert_eq!(again, closed(CloseCode::BAD_TOKEN, "token_spent"));
    }
    assert_eq!((spare(&plane, "used"), spare(&plane, "token_spent")), (2, 2));
    assert_eq!(plane.metrics.read("beach_fallback_rescue_grants", &["given"]), 2);
    assert_eq!(plane.requests("issued", "within_budget"), 0, "no token was minted");
}

#[tokio::test]
async fn a_pause_holds_for_grants_too_and_spends_none() {
    let plane = plane().await;
    let host = plane.session().await;
    plane.kill_switch.set(None, Some(Verb::PauseMinting), "test", "").await.unwrap();
    let given = grant(&plane, &host).await;
    for _ in 0..2 {
        let refused = come(&plane, &host, given.token.clone()).await;
        assert_eq!(refused, closed(CloseCode::PAUSED, "fallback_paused"));
    }
    assert_eq!((spare(&plane, "fallback_paused"), activations(&plane).await), (2, 0));
    plane.kill_switch.set(None, None, "test", "").await.unwrap();
    assert_eq!(come(&plane, &host, given.token).await, None);
}

#[tokio::test]
async fn a_cohort_that_is_gone_is_gone_for_grants_and_so_is_a_guardrail_that_paused_it() {
    let (store, keys): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), keys());
    let before = shared(ControlConfig::development(), store.clone(), keys.clone()).await;
    let host = before.session().await;
    let given = grant(&before, &host).await;
    let mut narrower = ControlConfig::development();
    narrower.rollout.percent = 0;
    let after = shared(narrower, store.clone(), keys).await;
    until("the newer rules", async || {
        store.rules().await.unwrap().is_some_and(|rules| !rules.is_rolled_out("public", host.session))
    })
    .await;
    let refused = come(&before, &host, given.token.clone()).await;
    assert_eq!(refused, closed(CloseCode::PAUSED, "fallback_disabled"));
    // Nor is another one given there.
    let (mut room, _) = Socket::enter(&after, &host).await;
    room.say(&ToRoom::Rescue(RescueRequest::default())).await;
    until("it is denied", async || {
        after.metrics.read("beach_fallback_rescue_grants", &["fallback_disabled"]) == 1
    })
    .await;
    // What an hour's activations do to the cohort, grants do as well: 250 sessions, half of them on the relay.
    let mut rules = store.rules().await.unwrap().unwrap();
    rules.rollout.percent = 100;
    rules.budget.pause_at = Some(0.4);
    store.set_rules(&rules).await.unwrap();
    let hour = Bucket::of(OffsetDateTime::now_utc());
    for n in 0..250 {
        store.count("public", &hour, Counted::Session).await.unwrap();
        if n % 2 == 0 {
            store.count("public", &hour, Counted::Activation(uuid::Uuid::from_u128(n))).await.unwrap();
        }
    }
    assert_eq!(come(&before, &host, given.token).await, None);
    assert!(before.kill_switch.pauses_minting("public"), "the guardrail pauses at the relay, too");
}

#[tokio::test]
async fn what_the_host_took_back_is_taken_back_from_grants() {
    let plane = plane().await;
    let host = plane.session().await;
    let (revoked, removed, foreign) = (host.viewer(), host.viewer(), host.viewer());
    let given = [grant(&plane, &revoked).await, grant(&plane, &removed).await, grant(&plane, &foreign).await];
    let [by_link, by_name, by_other] = given.map(|grant| grant.token);
    // A grant is somebody's.
    let stolen = come(&plane, &host.viewer(), by_other).await;
    assert_eq!(stolen, closed(CloseCode::BAD_TOKEN, "peer_mismatch"));
    let mut document = host.document(2);
    document.removed.push(removed.peer);
    assert_eq!(plane.publish(&document.sign(&host.host)).await.0, 200);
    let refused = come(&plane, &removed, by_name).await;
    assert_eq!(refused, closed(CloseCode::REMOVED, "peer_removed"));
    document.revision = 3;
    document.links.clear();
    assert_eq!(plane.publish(&document.sign(&host.host)).await.0, 200);
    let refused = come(&plane, &revoked, by_link).await;
    assert_eq!(refused, closed(CloseCode::BAD_TOKEN, "link_unknown"));
    assert_eq!(spare(&plane, "revoked"), 2);
}

#[tokio::test]
async fn a_relay_that_shares_no_store_with_a_control_plane_honours_no_grant() {
    let rig = Rig::start().await;
    let host = Person::new();
    let token = rig.token(host.session, host.peer, Role::Host, |claims| {
        claims.aud = TokenKind::Rescue.audience().to_owned();
    });
    let first = hello(host.session, host.peer, Role::Host, token);
    let refused = rig.turned_away(Message::text(first.encode())).await;
    assert_eq!(refused, (CloseCode::RATE_LIMITED.get(), "not_judged".to_owned()));
    // A relay's own kind is nothing a control plane signs.
    let token = rig.token(host.session, host.peer, Role::Host, |claims| {
        claims.aud = TokenKind::Rejoin.audience().to_owned();
    });
    let first = hello(host.session, host.peer, Role::Host, token);
    let refused = rig.turned_away(Message::text(first.encode())).await;
    assert_eq!(refused, (CloseCode::BAD_TOKEN.get(), "wrong_audience".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn one_use_and_the_rules_hold_on_all_nodes_of_a_pool() {
    let (redis, keys) = (Redis::start(), keys());
    let store = || Arc::new(RedisStore::open(&redis.url()).unwrap());
    let one = shared(ControlConfig::development(), store(), keys.clone()).await;
    let other = shared(ControlConfig::development(), store(), keys).await;
    let host = one.session().await;
    let given = grant(&one, &host).await;
    assert_eq!(come(&other, &host, given.token.clone()).await, None);
    let again = come(&one, &host, given.token).await;
    assert_eq!(again, closed(CloseCode::BAD_TOKEN, "token_spent"));
    let (rules, known) = (one.store.rules().await.unwrap(), other.store.rules().await.unwrap());
    assert!(rules.is_some() && rules == known);
}

#[tokio::test]
async fn a_ticket_admits_once_to_any_relay_of_the_deployment_and_brings_the_next() {
    let (redis, keys) = (Redis::start(), keys());
    let store = || Arc::new(RedisStore::open(&redis.url()).unwrap());
    let one = shared(ControlConfig::development(), store(), keys.clone()).await;
    let host = one.session().await;
    let first = first_ticket(&one, &host).await;
    // A relay that was started later: it finds the key in the store.
    let other = shared(ControlConfig::development(), store(), keys).await;
    let viewer = host.viewer();
    let by_viewer = first_ticket(&other, &viewer).await;
    let second = ticket(&other, &host, first.clone()).await;
    for plane in [&one, &other] {
        let again = come(plane, &host, first.clone()).await;
        assert_eq!(again, closed(CloseCode::BAD_TOKEN, "token_spent"));
    }
    assert_eq!(come(&one, &host, second).await, None);
    assert_eq!(other.metrics.read("beach_fallback_spare_tokens", &["rejoin", "used"]), 1);
    // It is somebody's, and a pause and the host's word hold for it.
    let stolen = come(&one, &host.viewer(), by_viewer.clone()).await;
    assert_eq!(stolen, closed(CloseCode::BAD_TOKEN, "peer_mismatch"));
    one.kill_switch.set(None, Some(Verb::PauseMinting), "test", "").await.unwrap();
    let paused = come(&one, &viewer, by_viewer.clone()).await;
    assert_eq!(paused, closed(CloseCode::PAUSED, "fallback_paused"));
    one.kill_switch.set(None, None, "test", "").await.unwrap();
    let mut document = host.document(2);
    document.links.clear();
    assert_eq!(one.publish(&document.sign(&host.host)).await.0, 200);
    let revoked = come(&one, &viewer, by_viewer).await;
    assert_eq!(revoked, closed(CloseCode::BAD_TOKEN, "link_unknown"));
}
