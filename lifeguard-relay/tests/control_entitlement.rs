//! Proofs of entitlement: an identity provider with real keys over real HTTP, well and unwell.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::time::Duration;

use control_support::{
    idp::{Idp, Key},
    plane::{Person, Plane},
    until,
};
use lifeguard_relay::{
    control::{ControlConfig, Secret, Stage},
    kill_switch::Verb,
};
use serde_json::{Value, json};

/// A control plane that requires the provider's proofs.
async fn plane(idp: &Idp, fresh_secs: u64) -> Plane {
    let mut config = ControlConfig::default();
    config.fallback_ws_enabled = true;
    config.entitlement = idp.config();
    config.entitlement.jwks_cache_ttl = fresh_secs;
    config.turn.urls = vec!["turn:turn.test:3478".to_owned()];
    config.turn.secrets = vec![Secret::new("a secret of the TURN servers")];
    config.turn.external_ip = Some("192.0.2.1".to_owned());
    config.turn.realm = Some("beach".to_owned());
    Plane::start(config).await
}

async fn ask(plane: &Plane, person: &Person, proof: Option<&str>) -> (u16, Value) {
    let mut request = person.request();
    request["entitlement_proof"] = json!(proof);
    let (status, answer) = plane.post("/v1/fallback/token", &request).await;
    (status, answer["reason"].clone())
}

#[tokio::test]
async fn an_entitled_account_passes_and_each_lack_has_its_name() {
    let idp = Idp::start().await;
    let plane = plane(&idp, 300).await;
    let person = plane.session().await;
    let key = &idp.key;
    assert_eq!(ask(&plane, &person, Some(&key.proof("", ""))).await.0, 200);
    let cases = [
        (None, 401, "entitlement_required", "entitlement_denied", "missing_proof"),
        (Some(String::new()), 401, "entitlement_required", "entitlement_denied", "missing_proof"),
        (Some("x.y.z".to_owned()), 401, "entitlement_invalid", "entitlement_denied", "invalid_proof"),
        (
            Some(key.proof("", r#"{"entitlements":["rescue:other"]}"#)),
            403,
            "entitlement_missing",
            "entitlement_denied",
            "missing_entitlement",
        ),
        (
            Some(key.proof("", r#"{"exp":"-10"}"#)),
            401,
            "entitlement_invalid",
            "entitlement_denied",
            "invalid_proof",
        ),
        (
            Some(Key::new("k1").proof("", "")),
            401,
            "entitlement_invalid",
            "entitlement_denied",
            "invalid_proof",
        ),
    ];
    for (proof, status, reason, outcome, guardrail) in cases {
        let before = plane.requests(outcome, guardrail);
        assert_eq!(ask(&plane, &person, proof.as_deref()).await, (status, json!(reason)), "{proof:?}");
        assert_eq!(plane.requests(outcome, guardrail), before + 1, "{proof:?}");
    }
    assert_eq!(idp.asked(), 1, "one fetch for all of them");
    // An entitled stranger is still a stranger.
    let stranger = Person::new();
    assert_eq!(ask(&plane, &stranger, Some(&key.proof("", ""))).await, (404, json!("unknown_session")));
}

#[tokio::test]
async fn many_at_once_cause_one_fetch() {
    let idp = Idp::start().await;
    idp.hesitate(Duration::from_millis(200));
    let plane = plane(&idp, 300).await;
    let person = plane.session().await;
    let proof = idp.key.proof("", "");
    let answers = futures::future::join_all((0..40).map(|_| ask(&plane, &person, Some(&proof)))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    assert_eq!(idp.asked(), 1);
}

#[tokio::test]
async fn a_name_nobody_knows_is_asked_for_once_in_half_a_minute() {
    let idp = Idp::start().await;
    let plane = plane(&idp, 300).await;
    let person = plane.session().await;
    assert_eq!(ask(&plane, &person, Some(&idp.key.proof("", ""))).await.0, 200);
    for n in 0..20 {
        let made_up = idp.key.proof(&format!(r#"{{"kid":"made-up-{n}"}}"#), "");
        assert_eq!(ask(&plane, &person, Some(&made_up)).await, (401, json!("entitlement_invalid")));
    }
    assert_eq!(idp.asked(), 1, "the provider was asked a moment ago");
    assert_eq!(ask(&plane, &person, Some(&idp.key.proof("", ""))).await.0, 200, "others do not suffer");
}

#[tokio::test]
async fn a_short_cache_does_not_make_the_provider_answer_for_every_request() {
    let idp = Idp::start().await;
    let plane = plane(&idp, 0).await;
    let person = plane.session().await;
    assert_eq!(ask(&plane, &person, Some(&idp.key.proof("", ""))).await.0, 200);
    let next = Key::new("k2");
    idp.publish(&[&idp.key, &next]);
    // Nothing is ever fresh here; the pause between two fetches holds all the same.
    assert_eq!(ask(&plane, &person, Some(&next.proof("", ""))).await, (401, json!("entitlement_invalid")));
    assert_eq!(plane.metrics.read("beach_entitlement_jwks_refreshes", &["ok"]), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_locks_out_newcomers_and_nobody_whose_key_is_known() {
    let idp = Idp::start().await;
    idp.answer(500, "oops");
    let closed = plane(&idp, 300).await;
    let person = closed.session().await;
    let proof = idp.key.proof("", "");
    assert_eq!(ask(&closed, &person, Some(&proof)).await, (503, json!("entitlement_unavailable")));
    assert_eq!(closed.requests("error", "entitlement_http"), 1);
    assert_eq!(closed.metrics.read("beach_entitlement_jwks_refreshes", &["error"]), 1);
    for _ in 0..10 {
        assert_eq!(ask(&closed, &person, Some(&proof)).await.0, 503);
    }
    assert_eq!(idp.asked(), 1, "a provider that is down is left in peace");

    idp.publish(&[&idp.key]);
    let open = plane(&idp, 1).await;
    let person = open.session().await;
    assert_eq!(ask(&open, &person, Some(&proof)).await.0, 200);
    idp.answer(503, "");
    assert_eq!(ask(&open, &person, Some(&proof)).await.0, 200);
}

#[tokio::test]
async fn what_is_no_key_set_is_said_to_be_none() {
    let idp = Idp::start().await;
    idp.answer(200, "<html>sign in</html>");
    let plane = plane(&idp, 300).await;
    let person = plane.session().await;
    assert_eq!(
        ask(&plane, &person, Some(&idp.key.proof("", ""))).await,
        (503, json!("entitlement_unavailable"))
    );
    assert_eq!(plane.requests("error", "entitlement_jwks"), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_not_waited_for_long() {
    let idp = Idp::start().await;
    idp.hesitate(Duration::from_secs(60));
    let plane = plane(&idp, 300).await;
    let person = plane.session().await;
    let started = tokio::time::Instant::now();
    assert_eq!(
        ask(&plane, &person, Some(&idp.key.proof("", ""))).await,
        (503, json!("entitlement_unavailable"))
    );
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn turn_credentials_need_their_own_entitlement() {
    let idp = Idp::start().await;
    let plane = plane(&idp, 300).await;
    let person = plane.session().await;
    let ask = async |proof: Option<String>| {
        let mut request = person.turn_request();
        request["entitlement_proof"] = json!(proof);
        plane.post("/turn/credentials", &request).await
    };
    let (status, answer) = ask(Some(idp.key.proof("", ""))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["ttl"], &answer["urls"]), (&json!(60), &json!(["turn:turn.test:3478"])));
    assert_eq!(answer["realm"], "beach");
    assert!(!answer["username"].as_str().unwrap().contains(&person.session.simple().to_string()));
    let only_fallback = idp.key.proof("", r#"{"entitlements":["rescue:fallback"]}"#);
    let (status, answer) = ask(Some(only_fallback)).await;
    assert_eq!((status, &answer["reason"]), (403, &json!("turn_unentitled")));
    assert_eq!(ask(None).await.0, 401);
    let mut forged = person.turn_request();
    forged["entitlement_proof"] = json!(idp.key.proof("", ""));
    forged["proof"]["role"] = json!("viewer");
    assert_eq!(plane.post("/turn/credentials", &forged).await.1["reason"], "signature_invalid");
    for (outcome, count) in [("issued", 1), ("unentitled", 2), ("membership", 1)] {
        assert_eq!(plane.metrics.read("beach_turn_credentials", &[outcome]), count, "{outcome}");
    }

    let without = Plane::start(ControlConfig::development()).await;
    let (status, answer) = without.post("/turn/credentials", &person.turn_request()).await;
    assert_eq!((status, &answer["reason"]), (503, &json!("turn_unconfigured")));
    until("it is counted", async || without.metrics.read("beach_turn_credentials", &["unconfigured"]) == 1)
        .await;
}

#[tokio::test]
async fn stun_servers_are_named_to_every_member_and_the_answer_says_why_there_is_no_turn() {
    let mut config = ControlConfig::development();
    config.stun.urls = vec!["stun:stun.test:3478".to_owned()];
    let plane = Plane::start(config.clone()).await;
    let person = plane.session().await;
    let (status, answer) = plane.post("/turn/credentials", &person.turn_request()).await;
    assert_eq!(status, 200, "{answer}");
    let alone = |withheld: &str| {
        json!({
            "username": "", "credential": "", "ttl": 0, "urls": [],
            "stun_urls": ["stun:stun.test:3478"], "withheld": withheld,
        })
    };
    assert_eq!(answer, alone("turn_unconfigured"));
    let mut forged = person.turn_request();
    forged["proof"]["role"] = json!("viewer");
    assert_eq!(plane.post("/turn/credentials", &forged).await.1["reason"], "signature_invalid");
    for (outcome, count) in [("stun_only", 1), ("membership", 1), ("unconfigured", 0)] {
        assert_eq!(plane.metrics.read("beach_turn_credentials", &[outcome]), count, "{outcome}");
    }

    let idp = Idp::start().await;
    config.turn.urls = vec!["turn:turn.test:3478".to_owned()];
    config.turn.secrets = vec![Secret::new("a secret of the TURN servers")];
    config.turn.external_ip = Some("192.0.2.1".to_owned());
    config.entitlement = idp.config();
    let plane = Plane::start(config).await;
    let person = plane.session().await;
    let ask = async |proof: String| {
        let mut request = person.turn_request();
        request["entitlement_proof"] = json!(proof);
        plane.post("/turn/credentials", &request).await
    };
    let only_fallback = idp.key.proof("", r#"{"entitlements":["rescue:fallback"]}"#);
    assert_eq!(ask(only_fallback).await, (200, alone("turn_unentitled")));
    let (status, both) = ask(idp.key.proof("", "")).await;
    assert_eq!((status, &both["stun_urls"]), (200, &json!(["stun:stun.test:3478"])));
    assert_eq!((&both["urls"], &both["withheld"]), (&json!(["turn:turn.test:3478"]), &json!(null)));
}

#[tokio::test]
async fn a_named_cohort_is_for_accounts_that_are_entitled_to_it() {
    let idp = Idp::start().await;
    let mut config = ControlConfig::default();
    config.fallback_ws_enabled = true;
    config.rollout.stage = Stage::Dogfood;
    config.rollout.cohorts = [("beta".to_owned(), 100)].into();
    config.entitlement = idp.config();
    config.entitlement.required = false;
    let ask = async |plane: &Plane, cohort: &str, proof: Option<String>| {
        let mut request = plane.session().await.request();
        request["cohort_id"] = json!(cohort);
        request["entitlement_proof"] = json!(proof);
        let (status, answer) = plane.post("/v1/fallback/token", &request).await;
        (status, if status == 200 { answer["cohort"].clone() } else { answer["reason"].clone() })
    };
    let entitled = |to: &str| Some(idp.key.proof("", &format!(r#"{{"entitlements":["{to}"]}}"#)));
    let disabled = (403, json!("fallback_disabled"));
    let plane = Plane::start(config.clone()).await;
    assert_eq!(ask(&plane, "dogfood", entitled("cohort:dogfood")).await, (200, json!("dogfood")));
    for (cohort, proof) in [
        ("dogfood", None),
        ("dogfood", entitled("cohort:beta")),
        ("dogfood", entitled("dogfood")),
        ("dogfood", Some(Key::new("k1").proof("", r#"{"entitlements":["cohort:dogfood"]}"#))),
        ("dogfood", Some(idp.key.proof("", r#"{"exp":"-10","entitlements":["cohort:dogfood"]}"#))),
        ("Dogfood", entitled("cohort:Dogfood")),
        ("public", entitled("cohort:public")),
    ] {
        assert_eq!(ask(&plane, cohort, proof).await, disabled, "{cohort}");
    }
    // Nor does a name lead past a pause of everybody else's cohort.
    config.rollout.stage = Stage::General;
    let plane = Plane::start(config.clone()).await;
    assert_eq!(ask(&plane, "beta", None).await, (200, json!("public")));
    plane.kill_switch.set(Some("public"), Some(Verb::PauseMinting), "op", "test").await.unwrap();
    assert_eq!(ask(&plane, "beta", None).await, (403, json!("fallback_paused")));
    assert_eq!(ask(&plane, "beta", entitled("cohort:beta")).await, (200, json!("beta")));
    // Without anybody who could entitle, nobody is.
    config.entitlement.jwks_url = None;
    config.rollout.stage = Stage::Dogfood;
    let plane = Plane::start(config).await;
    assert_eq!(ask(&plane, "dogfood", None).await, disabled);
}
