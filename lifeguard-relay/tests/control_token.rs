//! Minting over real HTTP: what is granted, every refusal with its status and metric, the budget, the
//! roll-out, the kill switch.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use beach_lifeguard_client::{
    Access, FallbackToken, Role,
    membership::{LinkSecret, Purpose},
    token::{Capability, TokenError, TokenVerifier},
    v1,
};
use control_support::{
    idp::{Idp, Key},
    plane::{Person, Plane},
};
use lifeguard_relay::{
    control::{ControlConfig, Mode, Secret, Stage},
    kill_switch::Verb,
    store::{Bucket, Counted},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

const V2: &str = "/v1/fallback/token";
const V1: &str = "/fallback/token";

fn config() -> ControlConfig {
    let mut config = ControlConfig::development();
    // A name that nobody configured would be everybody's cohort.
    config.rollout.cohorts = BTreeMap::from([("beta".to_owned(), 100)]);
    config
}

#[tokio::test]
async fn a_member_gets_a_token_that_says_who_it_is_for_and_no_more() {
    let plane = Plane::start(config()).await;
    let person = plane.session().await;
    let mut request = person.request();
    request["cohort_id"] = json!("beta");
    request["telemetry_opt_in"] = json!(true);
    request["client_version"] = json!("beach/9");
    request["total_sessions_hint"] = json!(1_000_000);
    let before = SystemTime::now();
    let (status, answer) = plane.post(V2, &request).await;
    assert_eq!(status, 200, "{answer}");
    let token = FallbackToken::new(answer["token"].as_str().unwrap());
    let claims = plane.verifier.verify(&token, Capability::V2, SystemTime::now()).unwrap();
    assert_eq!((claims.session_id, claims.sub, claims.role), (person.session, person.peer, Role::Host));
    assert_eq!((claims.access, claims.cohort_id.as_str()), (Access::Full, "beta"));
    assert_eq!(claims.exp - claims.iat, 60);
    assert!(claims.feature_bits.telemetry_enabled && claims.feature_bits.fallback_authorized);
    assert_eq!(claims.capabilities, ["fallback-ws.2"]);
    assert_eq!(answer["cohort"], "beta");
    assert_eq!(answer["guardrail_hint"]["threshold"], 0.005);
    assert_eq!(answer["guardrail_soft_breach"], false);
    assert_eq!((&answer["telemetry_enabled"], &answer["fallback_authorized"]), (&json!(true), &json!(true)));
    let expires = OffsetDateTime::parse(
        answer["expires_at"].as_str().unwrap(),
        &time::format_description::well_known::Rfc3339,
    )
    .unwrap();
    assert_eq!(expires.unix_timestamp(), claims.exp as i64);
    assert!(SystemTime::from(expires) > before + Duration::from_secs(58));
    assert_eq!(plane.requests("issued", "within_budget"), 1);
    // Another control plane's relay does not take it.
    let other: TokenVerifier = Plane::start(config()).await.verifier.clone();
    assert_eq!(other.verify(&token, Capability::V2, SystemTime::now()), Err(TokenError::Key));
}

#[tokio::test]
async fn pages_of_named_origins_may_ask_and_no_others() {
    let mut named = config();
    named.allowed_origins = vec!["https://beach.example".to_owned()];
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (config, origin, allowed) in [
        (named.clone(), "https://beach.example", Some("https://beach.example")),
        (named.clone(), "https://beach.example.evil", None),
        (named, "null", None),
        (config(), "https://beach.example", None),
    ] {
        let plane = Plane::start(config).await;
        let asked = http
            .request(reqwest::Method::OPTIONS, plane.url(V2))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let answer = asked.send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(header("access-control-allow-credentials"), None, "{origin}");
    }
}

#[tokio::test]
async fn each_refusal_has_its_status_reason_and_metric() {
    let plane = Plane::start(config()).await;
    let host = plane.session().await;
    let person = host.viewer();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut request = person.request();
        change(&mut request);
        request
    };
    let stranger = Person { link: LinkSecret::from_bytes([1; 16]), ..person.clone() };
    let elsewhere = Person::new();
    let spent = person.request();
    assert_eq!(plane.post(V2, &spent).await.0, 200);
    let before = SystemTime::now() - Duration::from_secs(125);
    let old = person.credentials().prove(Purpose::Token, before, [3; 16]);
    let cases = [
        (
            "nonsense",
            with(&|r| r["session_id"] = json!("nonsense")),
            400,
            "invalid_session_id",
            "invalid_session",
            "n/a",
        ),
        ("cohort", with(&|r| r["cohort_id"] = json!("a:b")), 400, "invalid_request", "error", "n/a"),
        (
            "no proof",
            with(&|r| r["proof"] = Value::Null),
            401,
            "membership_invalid",
            "membership_denied",
            "n/a",
        ),
        ("stranger", stranger.request(), 403, "link_unknown", "membership_denied", "n/a"),
        ("unknown", elsewhere.request(), 404, "unknown_session", "invalid_session", "n/a"),
        ("spent", spent, 401, "membership_invalid", "membership_denied", "n/a"),
        (
            "old",
            with(&|r| r["proof"] = serde_json::to_value(&old).unwrap()),
            401,
            "membership_invalid",
            "membership_denied",
            "n/a",
        ),
        (
            "raised role",
            with(&|r| r["proof"]["role"] = json!("host")),
            401,
            "signature_invalid",
            "membership_denied",
            "n/a",
        ),
        (
            "other peer",
            with(&|r| r["proof"]["key"] = serde_json::to_value(host.host.public()).unwrap()),
            401,
            "signature_invalid",
            "membership_denied",
            "n/a",
        ),
        (
            "other purpose",
            with(&|r| r["proof"] = serde_json::to_value(person.proof(Purpose::Signaling)).unwrap()),
            401,
            "signature_invalid",
            "membership_denied",
            "n/a",
        ),
    ];
    for (name, request, status, reason, outcome, guardrail) in cases {
        let before = plane.requests(outcome, guardrail);
        let (got, answer) = plane.post(V2, &request).await;
        assert_eq!(
            (got, &answer["reason"], &answer["success"]),
            (status, &json!(reason), &json!(false)),
            "{name}"
        );
        assert!(answer["message"].as_str().is_some_and(|words| words.len() > 10), "{name}: {answer}");
        assert_eq!(plane.requests(outcome, guardrail), before + 1, "{name}");
    }
    assert_eq!(plane.register(&person).await.0, 200, "the same again is welcome");
}

#[tokio::test]
async fn a_pause_is_heard_at_once_by_everybody_and_says_why() {
    let plane = Plane::start(config()).await;
    let person = plane.session().await;
    plane.kill_switch.set(Some("beta"), Some(Verb::PauseMinting), "op", "trying").await.unwrap();
    let mut beta = person.request();
    beta["cohort_id"] = json!("beta");
    let (status, answer) = plane.post(V2, &beta).await;
    assert_eq!((status, &answer["reason"]), (403, &json!("fallback_paused")));
    assert_eq!(plane.requests("paused", "n/a"), 1);
    person.token(&plane).await;
    assert_eq!(plane.get("/health").await.1, json!({ "status": "ok", "fallback_paused": false }));

    plane.kill_switch.set(None, Some(Verb::PauseMinting), "op", "incident").await.unwrap();
    assert_eq!(plane.post(V2, &person.request()).await.1["reason"], "fallback_paused");
    assert_eq!(
        plane.post(V1, &json!({ "session_id": person.session })).await,
        (403, json!({ "success": false, "reason": "fallback_paused" }))
    );
    assert_eq!(plane.get("/health").await.1, json!({ "status": "ok", "fallback_paused": true }));
    assert_eq!(plane.get("/healthz").await.0, 200, "paused is not ill");
    plane.kill_switch.set(None, None, "op", "over").await.unwrap();
    person.token(&plane).await;
}

#[tokio::test]
async fn no_name_that_nobody_configured_passes_a_pause_of_everybody_elses_cohort() {
    let plane = Plane::start(config()).await;
    let person = plane.session().await;
    let ask = async |cohort: &str| {
        let mut request = person.request();
        request["cohort_id"] = json!(cohort);
        plane.post(V2, &request).await
    };
    assert_eq!(ask("x").await.1["cohort"], "public", "and is signed as what it is");
    plane.kill_switch.set(Some(" public "), Some(Verb::PauseMinting), "op", "trying").await.unwrap();
    for cohort in ["public", "pubIic", "Public", "x"] {
        assert_eq!(ask(cohort).await.1["reason"], "fallback_paused", "{cohort}");
    }
    assert_eq!(ask("beta").await.0, 200);
}

#[tokio::test]
async fn the_budget_is_soft_tags_what_is_minted_and_counts_a_session_once() {
    let plane = Plane::start(config()).await;
    let people = [plane.session().await, plane.session().await];
    let hour = Bucket::of(OffsetDateTime::now_utc());
    for _ in 0..198 {
        plane.store.count("public", &hour, Counted::Session).await.unwrap();
    }
    for _ in 0..3 {
        let answer = people[0].token(&plane).await;
        // One of two hundred is exactly the half percent, however often it asks.
        assert_eq!((answer.guardrail_ratio, answer.guardrail_soft_breach), (0.005, false));
    }
    let answer = people[1].token(&plane).await;
    assert_eq!((answer.guardrail_ratio, answer.guardrail_soft_breach), (0.01, true));
    assert_eq!(answer.guardrail_hint.threshold, 0.005);
    assert_eq!((plane.requests("issued", "within_budget"), plane.requests("issued", "soft_breach")), (3, 1));
    assert_eq!(plane.metrics.read("beach_fallback_guardrail_soft_breaches", &[]), 1);
    assert_eq!(plane.metrics.read("beach_fallback_guardrail_ratio_ppm", &[]), 10_000);
    // What a client claims about the number of sessions changes nothing.
    let mut request = people[1].request();
    request["total_sessions_hint"] = json!(1_000_000);
    assert_eq!(plane.post(V2, &request).await.1["guardrail_soft_breach"], true);
}

#[tokio::test]
async fn a_spike_pauses_its_cohort_once_and_only_where_that_was_asked_for() {
    let mut config = config();
    config.auto_pause.ratio = Some(0.01);
    config.rollout.cohorts = BTreeMap::from([("beta".to_owned(), 100)]);
    let plane = Plane::start(config).await;
    let hour = Bucket::of(OffsetDateTime::now_utc());
    for _ in 0..200 {
        plane.store.count("beta", &hour, Counted::Session).await.unwrap();
    }
    let ask = async || {
        let person = plane.session().await;
        let mut request = person.request();
        request["cohort_id"] = json!("beta");
        plane.post(V2, &request).await
    };
    assert_eq!(ask().await.0, 200);
    assert_eq!(ask().await.0, 200, "the one that tips it is still served");
    assert_eq!(ask().await.1["reason"], "fallback_paused");
    assert!(!plane.kill_switch.pauses_minting("public"), "the others are not meant");
    let order = plane.kill_switch.state().cohorts["beta"].clone();
    assert_eq!(
        (order.by.as_str(), order.reason.as_str()),
        ("guardrail", "activations are 1.0 % of this hour's sessions")
    );
    assert_eq!(plane.metrics.read("beach_fallback_auto_pauses", &["spike"]), 1);
    plane.kill_switch.set(Some("beta"), None, "op", "I know").await.unwrap();
    assert_eq!(ask().await.0, 200);
    assert_eq!(ask().await.0, 200, "the operator's word stands for this hour");
}

#[tokio::test]
async fn the_flag_is_off_by_default_and_stages_add_cohorts() {
    let off = Plane::start(ControlConfig::default()).await;
    let person = off.session().await;
    let (status, answer) = off.post(V2, &person.request()).await;
    assert_eq!((status, &answer["reason"]), (403, &json!("fallback_disabled")));

    let mut config = config();
    config.rollout.stage = Stage::Limited;
    config.rollout.cohorts = BTreeMap::from([("beta".to_owned(), 50)]);
    let plane = Plane::start(config).await;
    let mut granted = BTreeMap::new();
    for cohort in ["public", "beta", "dogfood"] {
        for _ in 0..40 {
            let person = plane.session().await;
            let mut request = person.request();
            request["cohort_id"] = json!(cohort);
            let status = plane.post(V2, &request).await.0;
            // The same session hears the same.
            request["proof"] = serde_json::to_value(person.proof(Purpose::Token)).unwrap();
            assert_eq!(plane.post(V2, &request).await.0, status);
            *granted.entry(cohort).or_insert(0) += i32::from(status == 200);
        }
    }
    assert_eq!((granted["public"], granted["dogfood"]), (0, 40));
    assert!((5..=35).contains(&granted["beta"]), "{granted:?}");
}

#[tokio::test]
async fn a_deployed_client_is_answered_in_its_own_form() {
    let plane = Plane::start(ControlConfig::development()).await;
    let person = plane.session().await;
    let request = json!({ "session_id": person.session, "telemetry_opt_in": true });
    let (status, answer) = plane.post(V1, &request).await;
    assert_eq!(status, 200, "{answer}");
    let mut keys: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "expires_at",
            "fallback_authorized",
            "guardrail_ratio",
            "guardrail_soft_breach",
            "telemetry_enabled",
            "token"
        ]
    );
    assert_eq!(answer["expires_at"].as_array().unwrap().len(), 9);
    let answer: v1::TokenResponse = serde_json::from_value(answer).unwrap();
    let claims = plane.verifier.verify(&answer.token, Capability::V1, SystemTime::now()).unwrap();
    assert_eq!(answer.expires_at.unix_timestamp(), claims.exp as i64);
    assert!(answer.telemetry_enabled && answer.fallback_authorized);
    let (status, refused) = plane.post(V1, &json!({ "session_id": Uuid::new_v4() })).await;
    assert_eq!((status, refused), (404, json!({ "success": false, "reason": "unknown_session" })));
    let (status, refused) = plane.post(V1, &json!({ "session_id": "x" })).await;
    assert_eq!((status, refused), (400, json!({ "success": false, "reason": "invalid_session_id" })));
}

#[tokio::test]
async fn in_production_a_deployed_client_is_admitted_by_its_entitlement_only() {
    let idp = Idp::start().await;
    let mut config = config();
    config.mode = Mode::Production;
    config.entitlement = idp.config();
    config.entitlement.required = false;
    let plane = Plane::start(config).await;
    let person = plane.session().await;
    let (status, answer) = plane.post(V1, &json!({ "session_id": person.session })).await;
    assert_eq!((status, answer), (401, json!({ "success": false, "reason": "entitlement_required" })));
    let proof = idp.key.proof("", "");
    // Its own control plane knows the session; ours need not.
    let request = json!({ "session_id": Uuid::new_v4(), "entitlement_proof": proof });
    assert_eq!(plane.post(V1, &request).await.0, 200);
    let foreign = json!({ "session_id": person.session, "entitlement_proof": Key::new("k1").proof("", "") });
    assert_eq!(plane.post(V1, &foreign).await.1["reason"], "entitlement_invalid");
    // A v2 client proves membership, and needs no entitlement where none is required.
    person.token(&plane).await;

    let mut bare = self::config();
    bare.mode = Mode::Production;
    let bare = Plane::start(bare).await;
    let (status, answer) = bare.post(V1, &request).await;
    assert_eq!((status, &answer["reason"]), (503, &json!("entitlement_unavailable")));
    assert_eq!(bare.requests("error", "entitlement_config"), 1);
}

#[tokio::test]
async fn a_deployed_client_that_is_refused_before_the_upgrade_is_counted_like_any_other() {
    let plane = Plane::start(ControlConfig::development()).await;
    let knock = async |token: &str| {
        let stream = tokio::net::TcpStream::connect(plane.address).await.unwrap();
        let url = format!("ws://{}/ws?token={token}", plane.address);
        match tokio_tungstenite::client_async(url, stream).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => answer.status().as_u16(),
            other => panic!("{other:?}"),
        }
    };
    let handshakes = |reason| plane.metrics.read("beach_lifeguard_handshakes_failure", &[reason]);
    assert_eq!(knock("x.y.z").await, 401);
    assert_eq!(handshakes("bad_token"), 1);
    let person = plane.session().await;
    let answer = plane.post(V1, &json!({ "session_id": person.session })).await.1;
    plane.kill_switch.set(None, Some(Verb::RefuseNew), "op", "test").await.unwrap();
    assert_eq!(knock(answer["token"].as_str().unwrap()).await, 503);
    assert_eq!((handshakes("paused"), handshakes("other")), (1, 0), "a pause raises no alarm");
    let refused: u64 = TokenError::ALL
        .iter()
        .map(|error| plane.metrics.read("beach_lifeguard_token_validation_failure", &[error.label()]))
        .sum();
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn services_may_be_asked_for_a_token_of_their_own() {
    let mut config = config();
    config.service_tokens = vec![Secret::new("new-new-new-new-new"), Secret::new("old-old-old-old-old")];
    let plane = Plane::start(config).await;
    let person = plane.session().await;
    for path in [V1, V2] {
        let (status, answer) = plane.post(path, &person.request()).await;
        assert_eq!((status, &answer["reason"]), (401, &json!("service_unauthorized")));
        assert_eq!(plane.post_as(path, &person.request(), Some("new-new-new")).await.0, 401);
    }
    for token in ["new-new-new-new-new", "old-old-old-old-old"] {
        assert_eq!(plane.post_as(V2, &person.request(), Some(token)).await.0, 200);
    }
}
