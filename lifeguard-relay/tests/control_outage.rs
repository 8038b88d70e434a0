//! The store goes away: what stands, row by row of the runbook's table; and what a busy day leaves in it.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;
mod relay_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use beach_lifeguard_client::{FallbackToken, Lane, Role, SUBPROTOCOL};
use control_support::{
    plane::{Person, Plane},
    redis::Redis,
    until,
};
use futures::StreamExt;
use lifeguard_relay::{
    control::ControlConfig,
    kill_switch::Verb,
    store::{Bucket, Counted, Flusher, RedisStore, Store, StoreError},
};
use relay_support::{Client, hello};
use serde_json::json;
use time::OffsetDateTime;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn plane(redis: &Redis) -> Plane {
    let store = Arc::new(RedisStore::open(&redis.url()).unwrap());
    // Tokens that are kept for later must live as long as the longest outage.
    let mut config = ControlConfig::default();
    config.fallback_ws_enabled = true;
    config.token_ttl = 300;
    Plane::with(config, store).await
}

async fn knock(plane: &Plane, person: &Person, token: FallbackToken, telemetry: bool) -> Client {
    let mut client =
        Client::connect(plane.address, "/v2/ws", &[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap();
    let mut hello = hello(person.session, person.peer, person.role, token);
    hello.telemetry = telemetry;
    client.say(Message::text(hello.encode())).await;
    client
}

async fn join(plane: &Plane, person: &Person) -> Client {
    let token = person.token(plane).await.token;
    let mut client = knock(plane, person, token, false).await;
    client.welcome().await;
    client
}

/// Sends keystrokes to the host; returns the time each took, sorted.
async fn type_for(host: &mut Client, viewer: &mut Client, how_long: Duration) -> Vec<Duration> {
    let (address, start, mut took) = (host.address(), Instant::now(), Vec::new());
    while start.elapsed() < how_long {
        let sent = Instant::now();
        viewer.send(address, Lane::Reliable, b"x").await;
        assert_eq!(host.data().await.1, "x");
        took.push(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    took.sort();
    took
}

/// How long the store is away: 2 s, or `STORE_AWAY_SECONDS` for the long form.
fn away() -> Duration {
    Duration::from_secs(std::env::var("STORE_AWAY_SECONDS").map_or(2, |text| text.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_each_row_of_the_table_holds() {
    let mut redis = Redis::start();
    let plane = plane(&redis).await;
    let stop = CancellationToken::new();
    let flushing = Flusher::new(plane.store.clone(), plane.metrics.clone()).run(Vec::new, stop.clone());
    tokio::spawn(flushing);
    let host = plane.session().await;
    let (viewer, late) = (host.viewer(), host.viewer());
    let (mut at_host, mut at_viewer) = (join(&plane, &host).await, join(&plane, &viewer).await);
    let saved = [late.token(&plane).await.token, host.viewer().token(&plane).await.token];
    plane.kill_switch.set(Some("beta"), Some(Verb::PauseMinting), "op", "before").await.unwrap();
    let well = type_for(&mut at_host, &mut at_viewer, away()).await;

    for silent in [true, false] {
        if silent {
            redis.signal("-STOP")
        } else {
            redis.kill()
        }
        // Live sessions go on, and nobody waits for the store on their way.
        let ill = type_for(&mut at_host, &mut at_viewer, away()).await;
        let median = |sorted: &[Duration]| sorted[sorted.len() / 2];
        let p99 = |sorted: &[Duration]| sorted[sorted.len() * 99 / 100];
        println!(
            "keystroke median, p99: well {:?} {:?}; away {:?} {:?}",
            median(&well),
            p99(&well),
            median(&ill),
            p99(&ill)
        );
        assert!(
            median(&ill) < median(&well) * 2 + Duration::from_millis(2),
            "{:?} {:?}",
            median(&well),
            median(&ill)
        );
        // One use of a token is enforced by the relay alone.
        let token = &saved[usize::from(silent)];
        let peer = if silent { None } else { Some(&late) };
        if let Some(late) = peer {
            let mut at_late = knock(&plane, late, token.clone(), false).await;
            at_late.welcome().await;
            let again = knock(&plane, late, token.clone(), false).await.closed().await;
            assert_eq!(again, (4500, "token_spent".to_owned()));
        }
        // New tokens, registrations and signaling are refused, soon and with a reason to come back.
        let asked = Instant::now();
        let (status, answer) = plane.post("/v1/fallback/token", &host.viewer().request()).await;
        assert_eq!((status, &answer["reason"]), (503, &json!("store_unavailable")));
        let (status, answer) = plane.register(&Person::new()).await;
        assert_eq!((status, &answer["reason"]), (503, &json!("store_unavailable")));
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        // The kill switch keeps its last value, here where nobody can read it.
        assert!(plane.kill_switch.pauses_minting("beta") && !plane.kill_switch.pauses_minting("public"));
        assert_eq!(plane.get("/healthz").await.0, 200);
        until("the backlog shows", async || plane.metrics.read("beach_store_counter_backlog", &[]) > 0).await;
        for operation in ["session", "switch", "counters"] {
            assert!(plane.metrics.read("beach_store_errors", &[operation]) > 0, "{operation}");
        }
        if silent {
            redis.signal("-CONT");
        } else {
            redis.restart();
        }
        until("sessions register again", async || matches!(plane.register(&host).await.0, 200 | 201)).await;
        until("tokens are minted again", async || {
            plane.post("/v1/fallback/token", &host.request()).await.0 == 200
        })
        .await;
        until("the counters caught up", async || plane.metrics.read("beach_store_counter_backlog", &[]) == 0)
            .await;
        until("the switch is as it was", async || {
            plane.store.switch().await.is_ok_and(|state| state.cohorts.contains_key("beta"))
        })
        .await;
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_consent_leaves_no_figures() {
    let redis = Redis::start();
    let plane = plane(&redis).await;
    let (stop, relay) = (CancellationToken::new(), plane.relay.clone());
    let flusher = Flusher::new(plane.store.clone(), plane.metrics.clone());
    tokio::spawn(flusher.run(move || relay.session_totals(), stop.clone()));
    let mut sockets = Vec::new();
    let mut people = Vec::new();
    for agrees in [true, false] {
        let host = plane.session().await;
        let mut pair = Vec::new();
        for person in [host.clone(), host.viewer()] {
            let mut request = person.request();
            request["telemetry_opt_in"] = json!(agrees);
            let answer = plane.post("/v1/fallback/token", &request).await.1;
            let mut client =
                knock(&plane, &person, FallbackToken::new(answer["token"].as_str().unwrap()), agrees).await;
            client.welcome().await;
            pair.push(client);
        }
        let address = pair[0].address();
        pair[1].send(address, Lane::Reliable, b"x").await;
        pair[0].data().await;
        sockets.extend(pair);
        people.push(host);
    }
    let figures = |person: &Person| {
        let session = format!("fallback:session:{}", person.session);
        redis.cli(&[
            "MGET",
            &format!("{session}:connections_active"),
            &format!("{session}:messages_forwarded"),
        ])
    };
    until("who agreed is counted", async || figures(&people[0]) == ["2", "1"]).await;
    until("everything is in the sums", async || {
        redis.cli(&["GET", "fallback:metrics:messages_forwarded_total"]) == ["2"]
    })
    .await;
    assert_eq!(figures(&people[1]), ["", ""]);
    let named = |person: &Person| {
        redis.keys().into_iter().filter(|key| key.contains(&person.session.to_string())).collect::<Vec<_>>()
    };
    // A session is known as long as it lives; nothing else names it.
    assert_eq!(named(&people[1]), [format!("lifeguard:session:{}", people[1].session)]);
    drop(sockets);
    until("they are gone", async || figures(&people[0])[0] == "0").await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_sessions_leave_nothing_behind() {
    let redis = Redis::start();
    let store = RedisStore::open(&redis.url()).unwrap();
    let metrics = lifeguard_relay::telemetry::metrics::Metrics::new();
    let series = |metrics: &lifeguard_relay::telemetry::metrics::Metrics| metrics.render().lines().count();
    let before = series(&metrics);
    let person = Person::new();
    let (life, hour) = (Duration::from_secs(2), Bucket::of(OffsetDateTime::now_utc()));
    futures::stream::iter(0..100_000_u128)
        .for_each_concurrent(256, |n| {
            let session = Uuid::from_u128(n);
            let (store, metrics, person, hour) = (&store, &metrics, &person, &hour);
            async move {
                let done: Result<(), StoreError> = async {
                    let mut document = person.document(1);
                    document.session_id = session;
                    store.publish(&document.into(), life).await?;
                    store.spend_jti(session, life).await?;
                    store.count("public", hour, Counted::Activation(session)).await?;
                    Ok(())
                }
                .await;
                done.unwrap();
                metrics.session_opened();
                metrics.token_requested("issued", "within_budget");
                metrics.session_emptied();
            }
        })
        .await;
    assert_eq!(store.count("public", &hour, Counted::Session).await.unwrap().activations, 100_000);
    assert_eq!(series(&metrics), before, "series do not grow with sessions");
    until("only the hour's three keys are left", async || redis.keys().len() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_obeyed_by_every_node_within_five_seconds_under_load() {
    let redis = Redis::start();
    let (here, there) = (plane(&redis).await, plane(&redis).await);
    let person = here.session().await;
    let stop = CancellationToken::new();
    let load = async {
        let mut last = None;
        while !stop.is_cancelled() {
            if there.post("/v1/fallback/token", &person.viewer().request()).await.0 == 200 {
                last = Some(Instant::now());
            }
        }
        last
    };
    let order = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let at = Instant::now();
        here.kill_switch.set(None, Some(Verb::RefuseNew), "op", "drill").await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        stop.cancel();
        at
    };
    let (last, ordered) = tokio::join!(load, order);
    let late = last.expect("some were minted").saturating_duration_since(ordered);
    println!("last token {late:?} after the order");
    assert!(late < Duration::from_secs(5));
    assert_eq!(there.get("/health").await.1["fallback_paused"], true);
    assert_eq!(there.get("/readyz").await.0, 503);
    assert_eq!(person.role, Role::Host);
}
