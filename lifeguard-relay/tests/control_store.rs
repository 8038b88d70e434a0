//! One suite for every store: what the contract in `store/mod.rs` says, said once and run against each.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use beach_lifeguard_client::{
    Access, Role,
    membership::{Identity, LinkSecret},
    session::{DocumentLink, SessionDocument},
    signaling::FromRoom,
};
use control_support::{
    redis::Redis,
    redis_many::{Cluster, Watched},
    until,
};
use lifeguard_relay::{
    control::RolloutConfig,
    kill_switch::{KillSwitch, Verb},
    rules::{Budget, Rules},
    store::{
        Bucket, Counted, Counts, Flusher, MOST_SESSIONS, MemoryStore, Published, RedisStore, Seed,
        SessionFigures, Store, StoreError, Totals, UrlError,
        pool::{Entry, Heard, NodeId, Places, Sat, Seat, Word},
        relays::{OtherOwner, RelayNode},
    },
    telemetry::metrics::Metrics,
};
use time::OffsetDateTime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(60);

/// Runs each case against each store. Servers that take long to find each other serve all cases, one after the other.
macro_rules! suite {
    ($($case:ident)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(std::sync::Arc::new(super::MemoryStore::new())).await;
            })+
        }

        mod redis {
            $(#[tokio::test]
            async fn $case() {
                let redis = super::Redis::start();
                super::$case(std::sync::Arc::new(super::RedisStore::open(&redis.url()).unwrap())).await;
            })+
        }

        #[tokio::test]
        async fn the_master_of_a_sentinel_does_all_of_it() {
            let redis = Watched::start();
            $(
                eprintln!(stringify!($case));
                redis.flush();
                $case(Arc::new(RedisStore::open(&redis.url()).unwrap())).await;
            )+
        }

        #[tokio::test]
        async fn a_cluster_does_all_of_it() {
            let redis = Cluster::start();
            $(
                eprintln!(stringify!($case));
                redis.flush();
                $case(Arc::new(RedisStore::open(&redis.url()).unwrap())).await;
            )+
        }
    };
}

suite! {
    the_newest_document_of_a_session_stands
    a_session_lives_as_long_as_it_was_given_at_most_and_no_document_shortens_that
    of_many_documents_at_once_the_newest_stands
    a_nonce_and_a_token_are_spent_once
    what_is_spent_can_be_forgotten
    of_many_at_once_one_spends
    both_counters_of_an_hour_are_its_own
    a_session_activates_once_an_hour
    counting_at_once_loses_nothing
    the_switch_goes_forward_only
    a_batch_counts_once
    switches_of_several_nodes_agree
    what_the_control_plane_and_the_relays_share_is_shared
    a_session_has_one_owner
    members_of_a_room_hear_each_other_in_order
}

async fn the_newest_document_of_a_session_stands(store: Arc<dyn Store>) {
    // As numbers, not as text; and beyond what a script's own numbers can tell apart.
    let [first, second, ninth, tenth, last] =
        [1, 2, 9, 10, u64::MAX].map(|revision| document(1, revision, 1));
    assert_eq!(store.session(first.session_id).await, Ok(None));
    for (published, became) in [
        (&first, Published::Created),
        (&first, Published::Known),
        (&second, Published::Updated),
        (&first, Published::Stale),
        (&document(1, 2, 3), Published::Stale),
        (&second, Published::Known),
        (&ninth, Published::Updated),
        (&tenth, Published::Updated),
        (&ninth, Published::Stale),
        (&document(1, u64::MAX - 1, 1), Published::Updated),
        (&last, Published::Updated),
        (&document(1, u64::MAX - 1, 1), Published::Stale),
    ] {
        assert_eq!(store.publish(published, LONG).await, Ok(became), "{}", published.revision);
    }
    assert_eq!(store.session(first.session_id).await, Ok(Some(last)));
    let other = document(2, 1, 0);
    assert_eq!(store.publish(&other, LONG).await, Ok(Published::Created), "another session");
    let mut full = SessionDocument::clone(&document(2, 2, 64));
    full.links[0].kept = (0..1_024).map(Uuid::from_u128).collect();
    full.links[0].expires_at = Some(u64::MAX);
    full.removed = (0..1_024).map(Uuid::from_u128).collect();
    full.cohort_id = Some("beta".to_owned());
    let full = Arc::new(full);
    assert_eq!(store.publish(&full, LONG).await, Ok(Published::Updated));
    assert_eq!(store.session(full.session_id).await, Ok(Some(full)), "all of it comes back");
}

async fn a_session_lives_as_long_as_it_was_given_at_most_and_no_document_shortens_that(
    store: Arc<dyn Store>,
) {
    let life = Duration::from_millis(400);
    let (short, long) = (document(1, 1, 1), document(2, 1, 1));
    store.publish(&short, life).await.unwrap();
    store.publish(&long, LONG).await.unwrap();
    store.publish(&document(2, 2, 1), life).await.unwrap();
    let start = Instant::now();
    // Asking for it is no use of it.
    until("the end of its life", async || store.session(short.session_id).await == Ok(None)).await;
    assert!(start.elapsed() > life / 2, "{:?}", start.elapsed());
    assert!(store.session(long.session_id).await.unwrap().is_some());
    assert_eq!(store.publish(&short, life).await, Ok(Published::Created));
    store.publish(&short, LONG).await.unwrap();
    tokio::time::sleep(life + Duration::from_millis(100)).await;
    assert!(store.session(short.session_id).await.unwrap().is_some(), "it was given more");
}

async fn of_many_documents_at_once_the_newest_stands(store: Arc<dyn Store>) {
    let all: Vec<_> = (1..=50).map(|revision| document(1, revision, 1)).collect();
    futures::future::join_all(all.iter().rev().map(|document| store.publish(document, LONG))).await;
    assert_eq!(store.session(all[0].session_id).await, Ok(Some(all[49].clone())));
}

async fn a_nonce_and_a_token_are_spent_once(store: Arc<dyn Store>) {
    assert_eq!(store.spend_nonce([7; 16], LONG).await, Ok(true));
    assert_eq!(store.spend_nonce([7; 16], LONG).await, Ok(false));
    let jti = Uuid::from_bytes([7; 16]);
    assert_eq!(store.spend_jti(jti, LONG).await, Ok(true), "a nonce is no token");
    assert_eq!(store.spend_jti(jti, LONG).await, Ok(false));
    assert_eq!(store.spend_nonce([8; 16], LONG).await, Ok(true));
}

async fn what_is_spent_can_be_forgotten(store: Arc<dyn Store>) {
    let life = Duration::from_millis(150);
    assert_eq!(store.spend_nonce([1; 16], life).await, Ok(true));
    assert_eq!(store.spend_nonce([1; 16], life).await, Ok(false));
    until("the nonce is forgotten", async || store.spend_nonce([1; 16], LONG).await == Ok(true)).await;
}

async fn of_many_at_once_one_spends(store: Arc<dyn Store>) {
    let jti = Uuid::new_v4();
    let all = futures::future::join_all((0..50).map(|_| store.spend_jti(jti, LONG))).await;
    assert_eq!(all.into_iter().filter(|spent| *spent == Ok(true)).count(), 1);
}

async fn both_counters_of_an_hour_are_its_own(store: Arc<dyn Store>) {
    let (now, next) = (bucket(0), bucket(1));
    assert_eq!(store.count("public", &now, Counted::Session).await, Ok(counts(0, 1)));
    assert_eq!(store.count("public", &now, Counted::Session).await, Ok(counts(0, 2)));
    assert_eq!(store.count("public", &now, Counted::Activation(Uuid::new_v4())).await, Ok(counts(1, 2)));
    assert_eq!(store.count("beta", &now, Counted::Session).await, Ok(counts(0, 1)));
    assert_eq!(store.count("public", &next, Counted::Activation(Uuid::new_v4())).await, Ok(counts(1, 0)));
}

async fn a_session_activates_once_an_hour(store: Arc<dyn Store>) {
    let session = Uuid::new_v4();
    for _ in 0..3 {
        assert_eq!(store.count("public", &bucket(0), Counted::Activation(session)).await, Ok(counts(1, 0)));
    }
    assert_eq!(store.count("public", &bucket(1), Counted::Activation(session)).await, Ok(counts(1, 0)));
    assert_eq!(store.count("beta", &bucket(0), Counted::Activation(session)).await, Ok(counts(1, 0)));
}

async fn counting_at_once_loses_nothing(store: Arc<dyn Store>) {
    let hour = bucket(0);
    let work = (0..200).map(|n| {
        let what = if n % 2 == 0 { Counted::Session } else { Counted::Activation(Uuid::new_v4()) };
        store.count("public", &hour, what)
    });
    let all = futures::future::join_all(work).await;
    let last = all.into_iter().map(Result::unwrap).max_by_key(|counts| counts.activations + counts.sessions);
    assert_eq!(last, Some(counts(100, 100)));
}

async fn the_switch_goes_forward_only(store: Arc<dyn Store>) {
    let mut first = store.switch().await.unwrap();
    assert_eq!(first.revision, 0);
    first.revision = 5;
    assert_eq!(store.set_switch(&first).await.unwrap(), first);
    let mut second = first.clone();
    second.revision = 4;
    assert_eq!(store.set_switch(&second).await.unwrap(), first, "older");
    second.revision = 5;
    second.cohorts.insert("beta".to_owned(), pause());
    assert_eq!(store.set_switch(&second).await.unwrap(), first, "another of the same revision");
    second.revision = 6;
    assert_eq!(store.set_switch(&second).await.unwrap(), second);
    assert_eq!(store.switch().await.unwrap(), second);
}

async fn a_batch_counts_once(store: Arc<dyn Store>) {
    let figures = SessionFigures { session: Uuid::new_v4(), connections_active: 2, messages_forwarded: 5 };
    let totals = Totals { connections: 1, messages: 2, bytes: 3, sessions: vec![figures] };
    let batch = Uuid::new_v4();
    for _ in 0..3 {
        store.add_totals(batch, &totals).await.unwrap();
    }
    store.add_totals(Uuid::new_v4(), &Totals::default()).await.unwrap();
}

async fn switches_of_several_nodes_agree(store: Arc<dyn Store>) {
    let nodes: Vec<_> = (0..6).map(|_| KillSwitch::new(Some(store.clone()))).collect();
    let stop = CancellationToken::new();
    for node in &nodes {
        tokio::spawn(node.clone().follow(Arc::new(Metrics::new()), stop.clone()));
    }
    let orders = nodes.iter().enumerate().map(|(n, node)| async move {
        // Whoever lost the race four times says so, and settles at the next look.
        let _ = node.set(Some(&format!("cohort-{n}")), Some(Verb::RefuseNew), "op", "at once").await;
    });
    futures::future::join_all(orders).await;
    until("all nodes obey all orders", async || {
        nodes.iter().all(|node| (0..6).all(|n| node.refuses_new(&format!("cohort-{n}"))))
    })
    .await;
    stop.cancel();
}

async fn what_the_control_plane_and_the_relays_share_is_shared(store: Arc<dyn Store>) {
    assert_eq!(store.rules().await, Ok(None));
    let budget = Budget { threshold: 0.5, pause_at: None };
    let rules = Rules { enabled: true, rollout: RolloutConfig::default(), budget };
    store.set_rules(&rules).await.unwrap();
    assert_eq!(store.rules().await, Ok(Some(rules)));
    let seed = Seed::new([1; 32]);
    assert!(store.ticket_seed(&seed).await == Ok(seed.clone()));
    assert!(store.ticket_seed(&Seed::new([2; 32])).await == Ok(seed), "the first stands");
}

async fn a_session_has_one_owner(store: Arc<dyn Store>) {
    let (one, other) = (NodeId(1), NodeId(2));
    let relay = RelayNode {
        id: one,
        url: "wss://relay.example/v2/ws".to_owned(),
        region: String::new(),
        sockets: 0,
        sessions: 0,
        ready: true,
        internal: None,
    };
    store.beat_relay(&relay).await.unwrap();
    // One process has no nodes beside itself.
    let pool = !store.relays().await.unwrap().is_empty();
    let sessions: Vec<_> = (0..64).map(|_| Uuid::new_v4()).collect();
    for session in &sessions {
        let owner = store.own_session(*session, &[one], LONG, OtherOwner::Stays).await;
        assert_eq!(owner, Ok(Some(one)));
    }
    let held = store.hold_sessions(other, &sessions, LONG).await.unwrap();
    assert_eq!(held, vec![Some(if pool { one } else { other }); sessions.len()]);
    store.release_sessions(one, &sessions).await.unwrap();
    let held = store.hold_sessions(other, &sessions, LONG).await.unwrap();
    assert_eq!(held, vec![Some(other); sessions.len()], "they were given back");
}

async fn members_of_a_room_hear_each_other_in_order(store: Arc<dyn Store>) {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let Some((here, _)) = store.join_pool(&stop, &tasks) else { return };
    let (there, mut heard) = store.join_pool(&stop, &tasks).unwrap();
    until("the nodes know each other", async || here.nodes() == 2 && there.nodes() == 2).await;
    let (session, places) = (Uuid::new_v4(), Places { viewers: 4, by_link: 4 });
    let [host, viewer] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let seat = |node, role| Seat { entry: Entry { node, id: 1 }, number: 0, role, link: None };
    let sat = there.sit(session, host, seat(there.node(), Role::Host), places).await.unwrap();
    assert!(matches!(sat, Sat::Seated { ref others, .. } if others.is_empty()), "{sat:?}");
    let sat = here.sit(session, viewer, seat(here.node(), Role::Viewer), places).await.unwrap();
    assert!(matches!(sat, Sat::Seated { ref others, .. } if others.len() == 1), "{sat:?}");
    for n in 0..100_u8 {
        let message = FromRoom::Envelope { from: viewer, data: vec![n].into() };
        assert!(here.say(there.node(), Word::For { session, to: host, origin: here.node(), message }));
    }
    here.rise(session, viewer, Entry { node: here.node(), id: 1 });
    let (mut joined, mut envelopes) = (false, Vec::new());
    loop {
        let heard = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap();
        match heard {
            Heard::Word(Word::Joined { peer, .. }) if peer == viewer => joined = true,
            Heard::Word(Word::For { message: FromRoom::Envelope { data, .. }, .. }) => {
                envelopes.push(data[0])
            }
            Heard::Word(Word::Left { peer, .. }) if peer == viewer => break,
            _ => {}
        }
    }
    assert!(joined);
    assert_eq!(envelopes, (0..100).collect::<Vec<_>>());
    stop.cancel();
}

#[tokio::test]
async fn a_redis_without_memory_says_so_and_goes_on_when_it_has_some() {
    let redis = Redis::start();
    let store = RedisStore::open(&redis.url()).unwrap();
    store.spend_nonce([1; 16], LONG).await.unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let document = document(1, 1, 1);
    assert_eq!(store.spend_nonce([2; 16], LONG).await, Err(StoreError::Full));
    assert_eq!(store.publish(&document, LONG).await, Err(StoreError::Full), "a script too");
    assert!(store.switch().await.is_ok(), "what it holds can be read");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(store.publish(&document, LONG).await, Ok(Published::Created));
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let authority = signed.cert.pem();
    std::fs::write(path("cert"), &authority).unwrap();
    std::fs::write(path("key"), signed.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (path("cert"), path("key"));
    let options = [
        ["--port", "0"],
        ["--tls-port", "PORT"],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &certificate],
        ["--tls-auth-clients", "no"],
    ];
    let redis = Redis::start_with(&options.concat(), &["--tls", "--cacert", &certificate]);
    let url = redis.url().replace("redis://", "rediss://");
    let store = RedisStore::open_trusting(&url, Some(authority.as_bytes())).unwrap();
    assert_eq!(store.spend_nonce([1; 16], LONG).await, Ok(true));
    let strangers = RedisStore::open(&url).unwrap();
    assert_eq!(strangers.spend_nonce([2; 16], LONG).await, Err(StoreError::Unavailable));

    let refused = |url: &str, pem: &[u8]| RedisStore::open_trusting(url, Some(pem)).unwrap_err();
    assert_eq!(refused(&redis.url(), authority.as_bytes()), UrlError::AuthorityWithoutTls);
    assert_eq!(refused(&url, b"-----BEGIN CERTIFICATE-----\nAAAA\n"), UrlError::Authority);
}

#[tokio::test]
async fn redis_holds_the_documented_keys_each_with_its_life() {
    let redis = Redis::start();
    let store: Arc<dyn Store> = Arc::new(RedisStore::open(&redis.url()).unwrap());
    let session = Uuid::from_u128(1);
    let known = document(1, 7, 1);
    store.publish(&known, Duration::from_secs(86_400)).await.unwrap();
    store.spend_nonce([1; 16], Duration::from_secs(240)).await.unwrap();
    store.spend_jti(session, Duration::from_secs(65)).await.unwrap();
    let hour = Bucket("2026-11-23-15".to_owned());
    store.count("public", &hour, Counted::Session).await.unwrap();
    store.count("public", &hour, Counted::Activation(session)).await.unwrap();
    let figures = SessionFigures { session, connections_active: 2, messages_forwarded: 5 };
    let batch = Uuid::from_u128(2);
    let totals = Totals { connections: 1, messages: 20, bytes: 300, sessions: vec![figures] };
    store.add_totals(batch, &totals).await.unwrap();
    store.add_totals(batch, &totals).await.unwrap();
    KillSwitch::new(Some(store.clone())).set(None, Some(Verb::Stop), "op", "test").await.unwrap();

    // Key, value, and the life it was given at most, in seconds; -1 for ever.
    let documented = [
        ("fallback:batch:00000000-0000-0000-0000-000000000002", "1", 600),
        ("fallback:cohort:public:2026-11-23-15:fallback", "1", 5_400),
        ("fallback:cohort:public:2026-11-23-15:seen", "*", 5_400),
        ("fallback:cohort:public:2026-11-23-15:total", "1", 5_400),
        ("fallback:metrics:bytes_forwarded_total", "300", -1),
        ("fallback:metrics:connections_total", "1", -1),
        ("fallback:metrics:messages_forwarded_total", "20", -1),
        ("fallback:session:00000000-0000-0000-0000-000000000001:connections_active", "2", 3_600),
        ("fallback:session:00000000-0000-0000-0000-000000000001:messages_forwarded", "5", 3_600),
        ("fallback:switch", "*", -1),
        ("lifeguard:jti:00000000-0000-0000-0000-000000000001", "1", 65),
        ("lifeguard:nonce:01010101010101010101010101010101", "1", 240),
        ("lifeguard:session:2e0f9c63-b4e0-6684-27ed-6582b484fe30", "*", 86_400),
        ("lifeguard:sessions", "*", 86_400),
    ];
    assert_eq!(redis.keys(), documented.map(|(key, _, _)| key.to_owned()));
    for (key, value, life) in documented {
        if value != "*" {
            assert_eq!(redis.cli(&["GET", key]), [value], "{key}");
        }
        let left: i64 = redis.cli(&["TTL", key])[0].parse().unwrap();
        assert!(
            left == life || (life > 0 && left > life - 30 && left < life),
            "{key}: {left} s left of {life}"
        );
    }
    let kept = redis.cli(&["GET", &format!("lifeguard:session:{}", known.session_id)]).concat();
    assert!(kept.starts_with("00000000000000000007{"), "{kept}");
    assert_eq!(redis.cli(&["ZRANGE", "lifeguard:sessions", "0", "-1"]), [known.session_id.to_string()]);
    // Nobody is named in what is counted about people.
    assert!(
        !redis.cli(&["SMEMBERS", "fallback:cohort:public:2026-11-23-15:seen"]).concat().contains("0000-0000")
    );
}

#[tokio::test]
async fn redis_takes_no_more_sessions_than_there_may_be_and_forgets_those_that_ended() {
    let redis = Redis::start();
    let store = RedisStore::open(&redis.url()).unwrap();
    let (first, second) = (document(1, 1, 1), document(2, 1, 1));
    store.publish(&first, LONG).await.unwrap();
    // As if there were as many as there may be, some of whom ended a while ago.
    let fill = |from: usize, to: usize, score: &str| {
        let script = "for i = ARGV[1], ARGV[2] do redis.call('ZADD', KEYS[1], ARGV[3], i) end";
        redis.cli(&["EVAL", script, "1", "lifeguard:sessions", &from.to_string(), &to.to_string(), score]);
    };
    fill(1, MOST_SESSIONS - 2, "9999999999999");
    fill(MOST_SESSIONS - 1, MOST_SESSIONS + 8, "1");
    assert_eq!(store.publish(&second, LONG).await, Ok(Published::Created));
    assert_eq!(store.publish(&document(3, 1, 1), LONG).await, Err(StoreError::Full));
    assert_eq!(store.publish(&document(2, 2, 1), LONG).await, Ok(Published::Updated), "it is known");
}

#[tokio::test]
async fn while_redis_is_away_everything_fails_soon_and_afterwards_works_again() {
    let mut redis = Redis::start();
    let store = RedisStore::open(&redis.url()).unwrap();
    store.spend_nonce([1; 16], LONG).await.unwrap();

    // Silent: it takes connections and answers nothing.
    redis.signal("-STOP");
    for _ in 0..5 {
        let start = Instant::now();
        assert_eq!(store.spend_nonce([2; 16], LONG).await, Err(StoreError::Unavailable));
        assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
    }
    redis.signal("-CONT");
    until("it answers again", async || store.spend_nonce([3; 16], LONG).await == Ok(true)).await;
    assert_eq!(store.spend_nonce([1; 16], LONG).await, Ok(false), "it remembers");

    // Gone, and back without its memory.
    redis.kill();
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(store.spend_nonce([4; 16], LONG).await, Err(StoreError::Unavailable));
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "nobody waits for what is known to be away: {:?}",
        start.elapsed()
    );
    redis.restart();
    until("it answers again", async || store.spend_nonce([1; 16], LONG).await == Ok(true)).await;
    // The scripts are gone with it, and come back by themselves.
    assert_eq!(store.publish(&document(1, 1, 1), LONG).await, Ok(Published::Created));
}

#[tokio::test]
async fn an_order_outlives_a_redis_that_lost_its_memory() {
    let mut redis = Redis::start();
    let open = || -> Arc<dyn Store> { Arc::new(RedisStore::open(&redis.url()).unwrap()) };
    let (here, there) = (KillSwitch::new(Some(open())), KillSwitch::new(Some(open())));
    let (stop, metrics) = (CancellationToken::new(), Arc::new(Metrics::new()));
    for node in [&here, &there] {
        tokio::spawn(node.clone().follow(metrics.clone(), stop.clone()));
    }
    let ordered = Instant::now();
    here.set(None, Some(Verb::PauseMinting), "op", "incident").await.unwrap();
    until("the other node obeys", async || there.pauses_minting("public")).await;
    assert!(ordered.elapsed() < Duration::from_secs(5));

    redis.kill();
    assert_eq!(here.set(None, Some(Verb::RefuseNew), "op", "worse").await, Err(StoreError::Unavailable));
    assert!(here.refuses_new("public"), "it stands here at once");
    assert!(there.pauses_minting("public"), "the last state stands");
    until("the outage shows", async || metrics.read("beach_store_errors", &["switch"]) > 0).await;

    redis.restart();
    until("the order given meanwhile arrives", async || there.refuses_new("public")).await;
    assert_eq!(here.state(), there.state());
    stop.cancel();
}

#[tokio::test]
async fn totals_catch_up_after_an_outage_and_count_once() {
    let mut redis = Redis::start();
    let (metrics, stop) = (Arc::new(Metrics::new()), CancellationToken::new());
    let store: Arc<dyn Store> = Arc::new(RedisStore::open(&redis.url()).unwrap());
    let flushing = tokio::spawn(Flusher::new(store, metrics.clone()).run(Vec::new, stop.clone()));
    let in_redis = |redis: &Redis| redis.cli(&["GET", "fallback:metrics:messages_forwarded_total"]).concat();
    metrics.forwarded([10], 3);
    until("the first batch", async || in_redis(&redis) == "3").await;
    redis.signal("-STOP");
    for _ in 0..100 {
        metrics.forwarded([10], 1);
    }
    until("the backlog shows", async || metrics.read("beach_store_counter_backlog", &[]) > 0).await;
    redis.signal("-CONT");
    until("it caught up", async || in_redis(&redis) == "103").await;
    until("nothing waits", async || metrics.read("beach_store_counter_backlog", &[]) == 0).await;
    metrics.forwarded([10], 7);
    stop.cancel();
    flushing.await.unwrap();
    assert_eq!(in_redis(&redis), "110", "what came last is flushed at the end");
    assert_eq!(redis.cli(&["GET", "fallback:metrics:bytes_forwarded_total"]), ["1100"]);
    redis.kill();
}

/// What the host of this key says of its session with the first so many links.
fn document(host: u8, revision: u64, links: u8) -> Arc<SessionDocument> {
    let mut document = SessionDocument::new(Identity::from_seed(&[host; 32]).public(), revision);
    let secrets = (0..links).map(|n| LinkSecret::from_bytes([n; 16]));
    document.links = secrets.map(|secret| DocumentLink::new(&secret, Access::ReadOnly)).collect();
    document.into()
}

fn bucket(hours: i64) -> Bucket {
    Bucket::of(OffsetDateTime::now_utc() + time::Duration::hours(hours))
}

fn counts(activations: u64, sessions: u64) -> Counts {
    Counts { activations, sessions }
}

fn pause() -> lifeguard_relay::kill_switch::Pause {
    lifeguard_relay::kill_switch::Pause {
        verb: Verb::Drain,
        reason: "r".to_owned(),
        by: "b".to_owned(),
        since: 1,
    }
}
