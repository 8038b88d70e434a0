//! Bad inputs of the control plane as data, each with the answer and the metric it must lead to; and good
//! ones before and after, so that a service that says no to everything does not pass.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::{collections::HashSet, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use beach_lifeguard_client::{
    membership::{LinkSecret, Purpose},
    session::SignedDocument,
};
use control_support::{
    idp::{Idp, Key},
    patched,
    plane::{Person, Plane},
};
use futures::{SinkExt, StreamExt};
use hmac::{Hmac, Mac};
use lifeguard_relay::control::{ControlConfig, Secret};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};

const TOKEN: &str = "/v1/fallback/token";

#[tokio::test]
async fn every_bad_proof_of_entitlement_is_refused_as_it_should_be() {
    let cases = corpus("tokens", 229);
    let idp = Idp::start().await;
    let plane = entitled(&idp).await;
    let person = plane.session().await;
    let stranger = Key::new(&idp.key.kid);
    let mut report = Report::default();
    for case in &cases {
        let proof = forge(case, &idp.key, &stranger);
        let got = present(&plane, &person, &proof, case).await;
        report.check(case, got, wanted(case));
    }
    let issued = json!({ "metric": ["issued", "within_budget"] });
    let good = present(&plane, &person, &idp.key.proof("", ""), &issued).await;
    assert_eq!(good, Got { status: 200, reason: Value::Null, counted: 1 });
    assert_eq!(idp.asked(), 1, "whatever is made up, the provider is asked once");
    report.end(cases.len());
}

#[tokio::test]
async fn every_bad_key_set_leads_to_the_answer_it_should() {
    let cases = corpus("jwks", 181);
    let mut report = Report::default();
    for case in &cases {
        let idp = Idp::start().await;
        let body = key_set(case, &idp.key);
        idp.answer(u16::try_from(case["answer"].as_u64().unwrap_or(200)).unwrap(), &body);
        let plane = entitled(&idp).await;
        let person = plane.session().await;
        let got = present(&plane, &person, &idp.key.proof("", ""), case).await;
        report.check(case, got, wanted(case));
        let outcome = case["refresh"].as_str().unwrap();
        let refreshed = plane.metrics.read("beach_entitlement_jwks_refreshes", &[outcome]);
        report.expect(refreshed == 1, case, format!("{refreshed} refreshes that ended as {outcome}"));
    }
    report.end(cases.len());
}

#[tokio::test]
async fn every_bad_request_is_answered_as_it_should_be() {
    let cases = corpus("http", 334);
    let mut config = ControlConfig::development();
    config.turn.urls = vec!["turn:turn.test:3478".to_owned()];
    config.turn.secrets = vec![Secret::new("a secret of the TURN servers")];
    config.turn.external_ip = Some("192.0.2.1".to_owned());
    let plane = Plane::start(config).await;
    let host = plane.session().await;
    let person = host.viewer();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut report = Report::default();
    for case in &cases {
        let before = counted(&plane, case);
        let path = fill(case["path"].as_str().unwrap(), &person);
        let method = case["method"].as_str().unwrap_or("POST").parse().unwrap();
        let mut request = client.request(method, plane.url(&path));
        if case["headers"]["content-type"].is_null() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in case["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        let answer = request.body(body(case, &person)).send().await.unwrap();
        let status = answer.status().as_u16();
        let reason = answer.json::<Value>().await.unwrap_or_default()["reason"].clone();
        let counted = counted(&plane, case) - before;
        report.check(case, Got { status, reason, counted }, wanted(case));
    }
    assert_eq!(plane.post(TOKEN, &person.request()).await.0, 200);
    assert_eq!(plane.post("/turn/credentials", &person.turn_request()).await.0, 200);
    report.end(cases.len());
}

#[tokio::test]
async fn every_bad_word_in_the_signaling_room_ends_as_it_should() {
    let cases = corpus("signaling", 166);
    let plane = Plane::start(ControlConfig::development()).await;
    let person = plane.session().await.viewer();
    let mut report = Report::default();
    for case in &cases {
        let before = counted(&plane, case);
        let person = if case["elsewhere"] == true { Person::new().viewer() } else { person.clone() };
        let url = format!("ws://{}/v1/signaling/{}", plane.address, person.session);
        let (mut socket, _) = connect_async(url).await.unwrap();
        for message in words(case, &person) {
            // The room may have closed at the word before.
            let _ = socket.send(message).await;
        }
        let mut got = (0, String::new());
        while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(8), socket.next()).await {
            if let Message::Close(Some(close)) = message {
                got = (close.code.into(), close.reason.to_string());
            }
        }
        let close = (case["close"].as_u64().unwrap(), case["reason"].as_str().unwrap().to_owned());
        let counted = counted(&plane, case) - before;
        report.expect((u64::from(got.0), got.1.clone()) == close, case, format!("closed with {got:?}"));
        let wanted = u64::from(!case["metric"].is_null());
        report.expect(counted == wanted, case, format!("counted {counted} times"));
    }
    let (mut socket, _) =
        connect_async(format!("ws://{}/v1/signaling/{}", plane.address, person.session)).await.unwrap();
    socket.send(Message::text(hello(&person).to_string())).await.unwrap();
    let welcome = socket.next().await.unwrap().unwrap();
    assert!(welcome.to_text().unwrap().contains("welcome"), "{welcome:?}");
    report.end(cases.len());
}

/// What a request led to.
#[derive(Debug, PartialEq)]
struct Got {
    status: u16,
    reason: Value,
    /// By how much the metric named by the case rose.
    counted: u64,
}

fn wanted(case: &Value) -> Got {
    Got {
        status: u16::try_from(case["status"].as_u64().unwrap()).unwrap(),
        reason: case["reason"].clone(),
        counted: u64::from(!case["metric"].is_null()),
    }
}

/// Every case that went wrong, so that one run shows all of them.
#[derive(Default)]
struct Report {
    checked: HashSet<String>,
    wrong: Vec<String>,
}

impl Report {
    fn check(&mut self, case: &Value, got: Got, wanted: Got) {
        self.expect(got == wanted, case, format!("{got:?}"));
    }

    fn expect(&mut self, holds: bool, case: &Value, got: String) {
        let name = case["name"].as_str().unwrap();
        self.checked.insert(name.to_owned());
        if !holds {
            self.wrong.push(format!("{name}: {got}"));
        }
    }

    fn end(self, cases: usize) {
        assert_eq!(self.checked.len(), cases, "names are unique and every case was checked");
        assert!(self.wrong.is_empty(), "{} of {cases}:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

/// Reads a file of the corpus; `count` is said here so that a file that lost its end is noticed.
fn corpus(name: &str, count: usize) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(format!("{name}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(cases.len(), count, "{name}");
    cases
}

async fn entitled(idp: &Idp) -> Plane {
    let mut config = ControlConfig::default();
    config.fallback_ws_enabled = true;
    config.entitlement = idp.config();
    Plane::start(config).await
}

async fn present(plane: &Plane, person: &Person, proof: &str, case: &Value) -> Got {
    let before = counted(plane, case);
    let mut request = person.request();
    request["entitlement_proof"] = json!(proof);
    let (status, answer) = plane.post(TOKEN, &request).await;
    Got { status, reason: answer["reason"].clone(), counted: counted(plane, case) - before }
}

/// The series a case names: two labels are those of a token request; otherwise family and labels.
fn counted(plane: &Plane, case: &Value) -> u64 {
    let Some(words) = case["metric"].as_array() else { return 0 };
    let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
    match words[..] {
        [family, ref labels @ ..] if family.starts_with("beach_") => plane.metrics.read(family, labels),
        [outcome, guardrail] => plane.requests(outcome, guardrail),
        _ => panic!("{case}"),
    }
}

/// A proof as a line of `tokens.jsonl` says: changes to header and claims, who signs and how, and what
/// happens to the three parts afterwards.
fn forge(case: &Value, ours: &Key, stranger: &Key) -> String {
    let text = |name: &str| case.get(name).map(ToString::to_string).unwrap_or_default();
    let signer = if case["signed_by"] == "stranger" { stranger } else { ours };
    let mut proof = match (case.get("header_is"), case.get("claims_are")) {
        (None, None) => signer.proof(&text("header"), &text("claims")),
        (header, claims) => {
            let good = json!({ "alg": "ES256", "kid": signer.kid });
            signer.sign(header.unwrap_or(&good), claims.unwrap_or(&json!({})))
        }
    };
    if let Some(secret) = case["hmac"].as_str() {
        proof = resign(&proof, secret, &ours.jwk());
    }
    if let Some([part, byte]) = case["flip"].as_array().map(Vec::as_slice) {
        proof = flip(&proof, part.as_u64().unwrap() as usize, byte.as_u64().unwrap() as usize);
    }
    match case["raw"].as_str() {
        Some(raw) => {
            let parts: Vec<&str> = proof.split('.').collect();
            let raw = (0..3).fold(raw.to_owned(), |raw, at| raw.replace(&format!("{{{at}}}"), parts[at]));
            raw.repeat(case["times"].as_u64().unwrap_or(1) as usize)
        }
        None => proof,
    }
}

/// Signs with what everybody can read, as if it were a shared secret.
fn resign(proof: &str, secret: &str, jwk: &Value) -> String {
    let content = proof.rsplit_once('.').unwrap().0;
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let secret = match secret {
        "jwk" => jwk.to_string().into_bytes(),
        "point" => [vec![4], coordinate("x"), coordinate("y")].concat(),
        "x" => coordinate("x"),
        other => other.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(content.as_bytes());
    format!("{content}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Turns one bit of one byte of one part.
fn flip(proof: &str, part: usize, byte: usize) -> String {
    let mut parts: Vec<String> = proof.split('.').map(str::to_owned).collect();
    let mut bytes = URL_SAFE_NO_PAD.decode(&parts[part]).unwrap();
    let at = byte % bytes.len();
    bytes[at] ^= 1;
    parts[part] = URL_SAFE_NO_PAD.encode(bytes);
    parts.join(".")
}

/// What the provider answers, as a line of `jwks.jsonl` says.
fn key_set(case: &Value, ours: &Key) -> String {
    let jwk = ours.jwk();
    let other = Key::new(&ours.kid).jwk();
    let fill = |text: &str| {
        let word = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
        text.replace("{key}", &jwk.to_string())
            .replace("{x}", &word(&jwk, "x"))
            .replace("{y}", &word(&jwk, "y"))
            .replace("{other}", &other.to_string())
            .replace("{other_x}", &word(&other, "x"))
            .replace("{other_y}", &word(&other, "y"))
    };
    let body = match (case["body"].as_str(), case.get("key")) {
        (Some(body), _) => fill(body),
        (None, Some(patch)) => {
            json!({ "keys": [patched(jwk.clone(), &fill(&patch.to_string()))] }).to_string()
        }
        (None, None) => json!({ "keys": [jwk] }).to_string(),
    };
    body + &" ".repeat(case["pad"].as_u64().unwrap_or(0) as usize)
}

/// A body as a line of `http.jsonl` says: text, or changes to a good request.
fn body(case: &Value, person: &Person) -> String {
    let good = match case["good"].as_str() {
        Some("session") => return document(case, person) + &padding(case),
        Some("token") => person.request(),
        Some("turn") => person.turn_request(),
        _ => return fill(case["body"].as_str().unwrap_or_default(), person) + &padding(case),
    };
    let patch = case.get("patch").map(ToString::to_string).unwrap_or_default();
    fill(&patched(good, &patch).to_string(), person) + &padding(case)
}

/// A session's document with changes, rightly signed, and then changes to what it is wrapped in.
fn document(case: &Value, person: &Person) -> String {
    let new = Person::new();
    let good = serde_json::to_value(new.document(1)).unwrap();
    let patch = case.get("patch").map(ToString::to_string).unwrap_or_default();
    let bytes = fill(&patched(good, &patch).to_string(), person).into_bytes();
    let signature = new.host.sign(&[b"beach/2/session\0", &bytes[..]].concat());
    let signed = SignedDocument { document: bytes.into(), signature };
    let wrap = case.get("wrap").map(ToString::to_string).unwrap_or_default();
    patched(serde_json::to_value(&signed).unwrap(), &wrap).to_string()
}

fn padding(case: &Value) -> String {
    " ".repeat(case["pad"].as_u64().unwrap_or(0) as usize)
}

fn fill(text: &str, person: &Person) -> String {
    text.replace("{session}", &person.session.to_string()).replace("{peer}", &person.peer.to_string())
}

fn hello(person: &Person) -> Value {
    json!({ "type": "hello", "proof": person.proof(Purpose::Signaling) })
}

/// What is said in the room, as a line of `signaling.jsonl` says: a hello with changes, or none, and more.
fn words(case: &Value, person: &Person) -> Vec<Message> {
    let by = match case["secret"].as_u64() {
        Some(byte) => Person { link: LinkSecret::from_bytes([byte as u8; 16]), ..person.clone() },
        None => person.clone(),
    };
    let mut good = hello(&by);
    if case["purpose"] == "token" {
        good["proof"] = serde_json::to_value(by.proof(Purpose::Token)).unwrap();
    }
    let first = case.get("hello").map(|patch| Message::text(patched(good, &patch.to_string()).to_string()));
    let again = first.clone().filter(|_| case["twice"] == true);
    let then = case["then"].as_array().into_iter().flatten().map(|word| match word {
        Value::String(text) => {
            Message::text(fill(text, person).repeat(case["times"].as_u64().unwrap_or(1) as usize))
        }
        Value::Array(bytes) => {
            Message::binary(bytes.iter().map(|b| b.as_u64().unwrap() as u8).collect::<Vec<_>>())
        }
        object => Message::text(fill(&object.to_string(), person)),
    });
    first.into_iter().chain(again).chain(then).collect()
}
