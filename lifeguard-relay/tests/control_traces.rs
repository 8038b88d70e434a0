//! What is written about a real exchange, at its fullest: that it is there, and that nobody is in it.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use beach_lifeguard_client::{
    Access, Role,
    membership::{Credentials, Identity, LinkSecret, MembershipProof, Purpose},
    session::{DocumentLink, SessionDocument},
    signaling::{FromRoom, ToRoom},
};
use futures::{SinkExt, StreamExt};
use lifeguard_relay::{
    Dev, DevConfig,
    kill_switch::Verb,
    telemetry::tracing::{Form, Logging, Spans},
};
use relay_support::{Client, hello};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};
use tracing_subscriber::{fmt::MakeWriter, util::SubscriberInitExt};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_exchange_at_trace_names_nobody() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (lines, collected) = (Buffer::default(), Buffer::default());
    let logging = Logging {
        form: Form::Json,
        // Louder than anybody would: libraries by name, too.
        filter: "trace,tungstenite::protocol=trace,axum::rejection=trace".to_owned(),
        spans: Spans::Otlp(collector(collected.clone()).await.parse().unwrap()),
    };
    let (subscriber, exporting) = logging.subscriber(lines.clone()).unwrap();
    subscriber.init();

    let dev = Dev::start(DevConfig::default()).await.unwrap();
    let secrets = exchange(&dev).await;
    dev.shutdown().await;
    exporting.finish().await;

    let (lines, spans) = (lines.text(), collected.text());
    for (place, text) in [("log", &lines), ("trace", &spans)] {
        for secret in &secrets {
            if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
                panic!("{secret} stands in the {place}: {line}");
            }
        }
    }
    println!(
        "{} lines, {} bytes of spans, 0 of {} canaries",
        lines.lines().count(),
        spans.len(),
        secrets.len()
    );
    // Otherwise this proves that nothing was written.
    for route in
        ["/v1/fallback/token", "/v1/sessions", "/v1/signaling/{session}", "/fallback/token", "/v2/ws", "/ws"]
    {
        assert!(spans.contains(route), "no span of {route}");
        assert!(lines.contains(&format!("\"http.route\":\"{route}\"")), "no line of {route}");
    }
    assert!(spans.contains("beach-lifeguard") && spans.contains("http.response.status_code"));
    assert!(lines.contains("\"level\":\"TRACE\"") && lines.contains("privacy drill"));
}

/// Does everything a client can do, well and badly; returns what must not be read anywhere.
async fn exchange(dev: &Dev) -> Vec<String> {
    let base = dev.public_url();
    let address = base.strip_prefix("http://").unwrap().parse().unwrap();
    let http = reqwest::Client::new();
    let ask = async |path: &str, body: String| {
        let request = http.post(format!("{base}{path}")).header("content-type", "application/json");
        let answer =
            request.header("authorization", format!("Bearer {CANARY}")).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };

    let link = LinkSecret::from_bytes(*b"canary canary!!!");
    let key = Identity::from_seed(b"canary canary canary canary!!!!!");
    let at_host = Credentials::host(key.clone());
    let at_viewer = viewer_by(&key, &link);
    let (session, host, viewer) = (at_host.session_id(), at_host.peer_id(), at_viewer.peer_id());
    let mut document = SessionDocument::new(key.public(), 1);
    document.links.push(DocumentLink::new(&link, Access::Full));
    let verifier = document.links[0].verifier.clone();
    let signed = serde_json::to_value(document.sign(&key)).unwrap();
    assert_eq!(ask("/v1/sessions", signed.to_string()).await.0, 201);

    let proof = prove(&at_viewer, Purpose::Token);
    let mut request = json!({ "session_id": session, "proof": prove(&at_host, Purpose::Token) });
    request["client_version"] = json!(CANARY);
    assert_eq!(ask("/v1/fallback/token", request.to_string()).await.0, 200);
    request["proof"] = serde_json::to_value(&proof).unwrap();
    request["telemetry_opt_in"] = json!(true);
    let (status, minted) = ask("/v1/fallback/token", request.to_string()).await;
    assert_eq!(status, 200, "{minted}");
    let token = minted["token"].as_str().unwrap().to_owned();
    // Spent, misnamed, mistyped, unfinished, and with words where the library would repeat them.
    request["entitlement_proof"] = json!(format!("{CANARY}.{CANARY}.{CANARY}"));
    assert_eq!(ask("/v1/fallback/token", request.to_string()).await.0, 401);
    request["cohort_id"] = json!(format!("{CANARY}:x"));
    assert_eq!(ask("/v1/fallback/token", request.to_string()).await.0, 400);
    request["telemetry_opt_in"] = json!(CANARY);
    request["proof"]["role"] = json!(CANARY);
    for path in ["/v1/fallback/token", "/fallback/token", "/v1/sessions", "/turn/credentials"] {
        assert!(ask(path, request.to_string()).await.0 >= 400);
        assert!(ask(path, format!("{{\"session_id\":\"{CANARY}")).await.0 >= 400);
    }
    let (status, v1) = ask("/fallback/token", json!({ "session_id": session }).to_string()).await;
    assert_eq!(status, 200, "{v1}");
    let _ = http.get(format!("{base}/{CANARY}?token={CANARY}")).send().await.unwrap();

    meet(&base, &[at_host, at_viewer, viewer_by(&key, &LinkSecret::from_bytes([1; 16]))]).await;

    let protocol = [("sec-websocket-protocol", "beach-lifeguard.v2")];
    for expected in ["welcome", "spent"] {
        let mut client = Client::connect(address, "/v2/ws", &protocol).await.unwrap();
        let token = serde_json::from_value(json!(token)).unwrap();
        client.say(Message::text(hello(session, viewer, Role::Viewer, token).encode())).await;
        match expected {
            "welcome" => drop(client.welcome().await),
            _ => drop(client.closed().await),
        }
    }
    let deployed = v1["token"].as_str().unwrap();
    assert!(Client::connect(address, &format!("/ws?token={deployed}"), &[]).await.is_ok());
    assert!(Client::connect(address, &format!("/ws?token={CANARY}"), &[]).await.is_err());
    dev.kill_switch().set(None, Some(Verb::PauseMinting), "on call", "privacy drill").await.unwrap();

    let mac = serde_json::to_value(&proof).unwrap()["mac"].as_str().unwrap().to_owned();
    let key = serde_json::to_value(verifier).unwrap().as_str().unwrap().to_owned();
    let signature = signed["signature"].as_str().unwrap().to_owned();
    let mut secrets = vec![CANARY.to_owned(), ENVELOPE.to_owned(), mac, key, signature];
    for id in [session, host, viewer] {
        secrets.extend([id.to_string(), id.simple().to_string()]);
    }
    for token in [token.as_str(), deployed] {
        secrets.push(token.to_owned());
        secrets.extend(token.rsplit('.').take(2).map(str::to_owned));
    }
    secrets
}

/// Two members meet in the signaling room and one sends the other an envelope; a third has no business
/// there.
async fn meet(base: &str, [host, viewer, stranger]: &[Credentials; 3]) {
    let url = format!("{}/v1/signaling/{}", base.replacen("http", "ws", 1), host.session_id());
    let enter = async |member: &Credentials| {
        let (mut socket, _) = connect_async(&url).await.unwrap();
        let proof = prove(member, Purpose::Signaling);
        let hello = serde_json::to_string(&ToRoom::Hello { proof }).unwrap();
        socket.send(Message::text(hello)).await.unwrap();
        socket
    };
    let mut one = enter(host).await;
    assert!(matches!(said(&mut one).await, FromRoom::Welcome { .. }));
    let mut other = enter(viewer).await;
    assert!(matches!(said(&mut other).await, FromRoom::Welcome { .. }));
    let envelope = ToRoom::Send { to: host.peer_id(), data: ENVELOPE.as_bytes().into() };
    other.send(Message::text(serde_json::to_string(&envelope).unwrap())).await.unwrap();
    other.send(Message::text(CANARY)).await.unwrap();
    assert!(matches!(said(&mut one).await, FromRoom::PeerJoined(peer) if peer.peer_id == viewer.peer_id()));
    assert!(matches!(said(&mut one).await, FromRoom::Envelope { data, .. } if data == ENVELOPE));
    let mut stranger = enter(stranger).await;
    let Some(Ok(Message::Close(Some(close)))) = stranger.next().await else { panic!("no close") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4500, "link_unknown"));
}

async fn said<S>(socket: &mut S) -> FromRoom
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let message =
        tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

fn viewer_by(host: &Identity, link: &LinkSecret) -> Credentials {
    Credentials::viewer(host.public(), Identity::random().unwrap(), link.clone(), Access::Full)
}

fn prove(member: &Credentials, purpose: Purpose) -> MembershipProof {
    member.prove(purpose, SystemTime::now(), *Uuid::new_v4().as_bytes())
}

/// Takes spans as a collector does; returns its base URL.
async fn collector(into: Buffer) -> String {
    let take =
        async |State(into): State<Buffer>, body: Bytes| into.0.lock().unwrap().extend_from_slice(&body);
    let app = Router::new().route("/v1/traces", post(take)).with_state(into);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    base
}

/// What was written, kept.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// Protobuf keeps strings as they are, so text can be looked for in it, too.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Buffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const CANARY: &str = "c4n4ryc4n4ryc4n4ry";
const ENVELOPE: &str = "s34l3d-c4n4ry-3nv3l0p3";
