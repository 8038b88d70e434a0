//! Both planes in one process, and the operator's address, over real HTTP.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::time::{Duration, SystemTime};

use beach_lifeguard_client::{
    Access, Role,
    api::{TokenRequest, TokenResponse},
    control::Control,
    membership::{Credentials, Identity, LinkSecret, Purpose},
    session::{DocumentLink, SessionDocument},
};
use lifeguard_relay::{Dev, DevConfig, kill_switch::Verb};
use relay_support::{Client, hello};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

async fn dev() -> Dev {
    // The binary does this once; here every test is its own process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = DevConfig::default();
    config.relay.drain.grace = Duration::from_millis(200);
    config.relay.drain.spread = Duration::from_millis(100);
    Dev::start(config).await.unwrap()
}

fn host() -> Identity {
    Identity::random().unwrap()
}

/// Somebody new of this role.
fn member(host: &Identity, role: Role) -> Credentials {
    match role {
        Role::Host => Credentials::host(host.clone()),
        Role::Viewer => Credentials::viewer(host.public(), Identity::random().unwrap(), link(), Access::Full),
    }
}

fn link() -> LinkSecret {
    LinkSecret::from_bytes([9; 16])
}

/// Publishes a session and fetches a token the way a client does.
async fn token(dev: &Dev, host: &Identity, member: &Credentials) -> reqwest::Response {
    let client = reqwest::Client::new();
    let mut document = SessionDocument::new(host.public(), 1);
    document.links.push(DocumentLink::new(&link(), Access::Full));
    let publish = document.sign(host);
    let answer =
        client.post(format!("{}/v1/sessions", dev.public_url())).json(&publish).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let proof = member.prove(Purpose::Token, SystemTime::now(), *Uuid::new_v4().as_bytes());
    let request = TokenRequest::new(document.session_id, proof);
    client.post(format!("{}/v1/fallback/token", dev.public_url())).json(&request).send().await.unwrap()
}

async fn join(dev: &Dev, host: &Identity, role: Role) -> Client {
    let member = member(host, role);
    let (session, peer) = (member.session_id(), member.peer_id());
    let minted: TokenResponse = token(dev, host, &member).await.json().await.unwrap();
    assert_eq!(minted.relay_url, Some(dev.relay_ws_url()));
    let address = dev.public_url().strip_prefix("http://").unwrap().parse().unwrap();
    let protocol = [("sec-websocket-protocol", "beach-lifeguard.v2")];
    let mut client = Client::connect(address, "/v2/ws", &protocol).await.unwrap();
    client.say(Message::text(hello(session, peer, role, minted.token).encode())).await;
    client.welcome().await;
    client
}

async fn order(dev: &Dev, command: &str) -> Value {
    let client = reqwest::Client::new();
    let order = client.post(format!("{}/admin/{command}", dev.admin_url()));
    order.json(&json!({ "reason": "test", "by": "tester" })).send().await.unwrap().json().await.unwrap()
}

async fn get(url: String) -> (u16, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_registration_to_a_frame_and_what_the_operator_sees_of_it() {
    let dev = dev().await;
    let key = host();
    assert_eq!(dev.total_relay_connections(), 0);
    let session = Uuid::from_bytes(key.public().session_id());
    let mut host = join(&dev, &key, Role::Host).await;
    let mut viewer = join(&dev, &key, Role::Viewer).await;
    assert_eq!((dev.live_relay_sockets(), dev.total_relay_connections()), (2, 2));
    viewer.send(host.address(), beach_lifeguard_client::Lane::Reliable, b"ls\n").await;
    assert_eq!(host.data().await.1, "ls\n");

    let (_, stats) = get(format!("{}/debug/stats", dev.admin_url())).await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["active_sessions"], 1);
    assert_eq!(stats["active_connections"], 2);
    assert_eq!(stats["total_messages_forwarded"], 1);
    assert_eq!(stats["sessions"][0]["connections"], 2);
    let (_, page) = get(format!("{}/debug", dev.admin_url())).await;
    let (_, metrics) = get(format!("{}/metrics", dev.admin_url())).await;
    assert!(metrics.contains("beach_lifeguard_connections_active 2"), "{metrics}");
    for shown in [&page, &metrics, &stats.to_string()] {
        assert!(!shown.contains(&session.to_string()) && !shown.contains(&session.simple().to_string()));
    }
    // None of it on the public port.
    for path in ["/debug", "/debug/stats", "/metrics", "/admin/stop"] {
        assert_eq!(get(format!("{}{path}", dev.public_url())).await.0, 404, "{path}");
    }
    dev.shutdown().await;
    assert_eq!(host.closed().await.0, 4012);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_goes_step_by_step_and_back() {
    let dev = dev().await;
    let key = host();
    let mut host = join(&dev, &key, Role::Host).await;
    let viewer = member(&key, Role::Viewer);
    let early: TokenResponse = token(&dev, &key, &viewer).await.json().await.unwrap();

    assert_eq!(order(&dev, "pause").await["success"], true);
    let refused: Value = token(&dev, &key, &member(&key, Role::Viewer)).await.json().await.unwrap();
    assert_eq!(refused["reason"], "fallback_paused");
    assert_eq!(get(format!("{}/readyz", dev.public_url())).await.0, 200);

    assert_eq!(order(&dev, "refuse-new").await["success"], true);
    assert_eq!(get(format!("{}/readyz", dev.public_url())).await.0, 503);
    let address = dev.public_url().strip_prefix("http://").unwrap().parse().unwrap();
    let mut late = Client::connect(address, "/v2/ws", &[("sec-websocket-protocol", "beach-lifeguard.v2")])
        .await
        .unwrap();
    late.say(Message::text(hello(viewer.session_id(), viewer.peer_id(), Role::Viewer, early.token).encode()))
        .await;
    assert_eq!(late.closed().await, (4503, "fallback_paused".to_owned()));

    assert_eq!(order(&dev, "drain").await["success"], true);
    assert!(matches!(host.notice().await, Control::Drain { .. }));
    assert_eq!(host.closed().await.0, 4503);

    assert_eq!(order(&dev, "resume").await["success"], true);
    let mut host = join(&dev, &key, Role::Host).await;
    assert_eq!(order(&dev, "stop").await["success"], true);
    assert_eq!(host.closed().await, (4503, "stopped".to_owned()));
    let (_, page) = get(format!("{}/debug", dev.admin_url())).await;
    assert!(page.contains("stop for everybody, by tester: test"), "{page}");
    dev.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_cannot_give_orders() {
    let dev = dev().await;
    let client = reqwest::Client::new();
    let url = format!("{}/admin/stop", dev.admin_url());
    // A name of the page's own that leads to this address.
    for path in ["metrics", "debug", "admin/stop"] {
        let name = format!("{}/{path}", dev.admin_url());
        let rebound = client.get(name).header("host", "evil.example").send().await.unwrap();
        assert_eq!(rebound.status(), 421, "{path}");
    }
    let plain = client.post(&url).body("{}").send().await.unwrap();
    assert_eq!(plain.status(), 403);
    let page =
        client.post(&url).json(&json!({})).header("origin", "http://127.0.0.1:9444").send().await.unwrap();
    assert_eq!(page.status(), 403);
    assert_eq!(client.post(&url).json(&json!({ "sudo": true })).send().await.unwrap().status(), 422);
    assert_eq!(
        client
            .post(format!("{}/admin/dance", dev.admin_url()))
            .json(&json!({}))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert!(!dev.kill_switch().is_stopped("public"));
    dev.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_one_node_is_not_the_kill_switch() {
    let dev = dev().await;
    let key = host();
    let mut host = join(&dev, &key, Role::Host).await;
    assert_eq!(order(&dev, "drain-node").await["success"], true);
    assert!(matches!(host.notice().await, Control::Drain { .. }));
    assert_eq!(host.closed().await.0, 4001);
    assert_eq!(get(format!("{}/readyz", dev.public_url())).await.0, 503);
    assert!(token(&dev, &key, &member(&key, Role::Host)).await.status().is_success());
    // Another order is about something else.
    order(&dev, "pause").await;
    order(&dev, "resume").await;
    assert_eq!(get(format!("{}/readyz", dev.public_url())).await.0, 503);
    order(&dev, "resume-node").await;
    assert_eq!(get(format!("{}/readyz", dev.public_url())).await.0, 200);
    join(&dev, &key, Role::Host).await;
    dev.shutdown().await;
}

/// What a person sees: the page as a real browser made it of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_the_debug_page_and_no_identifier() {
    let dev = dev().await;
    let key = host();
    let session = Uuid::from_bytes(key.public().session_id());
    let host = join(&dev, &key, Role::Host).await;
    dev.kill_switch().set(None, Some(Verb::PauseMinting), "tester", "<b>drill</b>").await.unwrap();
    let profile = tempfile::tempdir().unwrap();
    let browser = tokio::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("{}/debug", dev.admin_url()))
        .kill_on_drop(true)
        .output();
    let browser = tokio::time::timeout(Duration::from_secs(60), browser).await.unwrap();
    let shown = String::from_utf8(browser.expect("chromium, from Debian's package").stdout).unwrap();
    for words in ["<title>beach-lifeguard</title>", "id=\"sessions\">1<", "id=\"peers\">1<", "<td>none</td>"]
    {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    // What an operator typed is text.
    assert!(shown.contains("by tester: &lt;b&gt;drill&lt;/b&gt;"), "{shown}");
    assert!(!shown.contains(&session.to_string()) && !shown.contains(&session.simple().to_string()));
    drop(host);
    dev.shutdown().await;
}
