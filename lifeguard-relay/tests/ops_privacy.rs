//! What the privacy note promises about logs and pages: nothing in them names a session, a peer, a token or a
//! proof, however much is logged.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
mod relay_support;

use std::process::Stdio;

use beach_lifeguard_client::{Role, token::FallbackToken};
use ops_support::{
    Service,
    people::{Session, knock},
    read, said,
};
use relay_support::{Client, hello};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn the_fullest_log_names_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let service = Service::logging(Stdio::from(file), "trace");

    let session = Session::register(&service.public).await;
    let member = session.member(Role::Host);
    let (peer, minted) = (member.peer_id(), session.ask(&member).await.unwrap());
    let token = minted.token.expose().to_owned();
    session.ask_as_a_stranger().await.unwrap_err();
    let mut host = knock(service.address()).await;
    host.say(Message::text(hello(session.id, peer, Role::Host, minted.token).encode())).await;
    host.welcome().await;
    // Spent, forged, and in a URL, as the deployed clients have it.
    for second in [token.clone(), format!("{CANARY}.forged.token")] {
        let mut thief = knock(service.address()).await;
        thief
            .say(Message::text(hello(session.id, peer, Role::Host, FallbackToken::new(second)).encode()))
            .await;
        thief.closed().await;
    }
    assert!(Client::connect(service.address(), &format!("/ws?token={CANARY}"), &[]).await.is_err());
    let order = service.operate(&["pause", "--by", "on call", "--reason", "privacy"]);
    assert!(order.status.success(), "{}", said(&order));
    let stats = said(&service.operate(&["status", "--json"]));
    let client = reqwest::Client::new();
    let page = client.get(format!("{}/debug", service.admin)).send().await.unwrap().text().await.unwrap();
    let metrics =
        client.get(format!("{}/metrics", service.admin)).send().await.unwrap().text().await.unwrap();
    host.ws.close(None).await.unwrap();
    drop(service);

    let log = read(log);
    let secrets = [
        session.id.to_string(),
        session.id.simple().to_string(),
        peer.to_string(),
        peer.simple().to_string(),
        token.clone(),
        token.rsplit('.').next().unwrap().to_owned(),
        CANARY.to_owned(),
    ];
    for (place, text) in [("log", &log), ("stats", &stats), ("page", &page), ("metrics", &metrics)] {
        for secret in &secrets {
            if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
                panic!("{secret} stands in the {place}: {line}");
            }
        }
    }
    println!("{} lines of log, 0 of {} canaries", log.lines().count(), secrets.len());
    assert!(log.contains("privacy") && log.contains("DEBUG"), "this is not the fullest log:\n{log}");
}

const CANARY: &str = "c4n4ryc4n4ryc4n4ry";
