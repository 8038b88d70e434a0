//! Signaling rooms over real sockets: who meets whom, what is carried, who is turned away.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use beach_lifeguard_client::{
    Role,
    membership::{LinkSecret, Purpose},
    signaling::{FromRoom, MAX_ENVELOPE_BYTES, RoomPeer, ToRoom},
};
use bytes::Bytes;
use control_support::{
    member::Socket,
    plane::{Person, Plane},
    until,
};
use futures::SinkExt;
use lifeguard_relay::control::ControlConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error as WsError, Message, client::IntoClientRequest},
};
use uuid::Uuid;

async fn plane() -> Plane {
    Plane::start(ControlConfig::development()).await
}

#[tokio::test]
async fn members_meet_exchange_envelopes_and_see_each_other_go() {
    let plane = plane().await;
    let host = plane.session().await;
    let viewer = host.viewer();
    let (mut at_host, present) = Socket::enter(&plane, &host).await;
    assert!(present.is_empty());
    let (mut at_viewer, present) = Socket::enter(&plane, &viewer).await;
    assert_eq!(present, [RoomPeer { peer_id: host.peer, role: Role::Host }]);
    assert_eq!(
        at_host.hear().await,
        FromRoom::PeerJoined(RoomPeer { peer_id: viewer.peer, role: Role::Viewer })
    );

    // The largest legal envelope, and every byte as it was.
    let envelope: Vec<u8> = (0..MAX_ENVELOPE_BYTES).map(|n| n as u8).collect();
    at_viewer.send(&host, &envelope).await;
    assert_eq!(at_host.hear().await, FromRoom::Envelope { from: viewer.peer, data: envelope.into() });
    for n in 0..100_u8 {
        at_host.send(&viewer, &[n]).await;
    }
    for n in 0..100_u8 {
        let data = Bytes::copy_from_slice(&[n]);
        assert_eq!(at_viewer.hear().await, FromRoom::Envelope { from: host.peer, data }, "in order");
    }
    let nobody = host.viewer();
    at_viewer.send(&nobody, b"x").await;
    assert_eq!(at_viewer.hear().await, FromRoom::Undelivered { to: nobody.peer });
    assert_eq!(plane.metrics.read("beach_signaling_envelopes", &["delivered"]), 101);
    assert_eq!(plane.metrics.read("beach_signaling_peers", &[]), 2);

    drop(at_viewer);
    assert_eq!(at_host.hear().await, FromRoom::PeerLeft { peer_id: viewer.peer });
    drop(at_host);
    until("the room is gone", async || plane.metrics.read("beach_signaling_rooms", &[]) == 0).await;
}

#[tokio::test]
async fn rooms_do_not_hear_each_other() {
    let plane = plane().await;
    let (one, other) = (plane.session().await, plane.session().await);
    let (mut at_one, _) = Socket::enter(&plane, &one).await;
    let (_at_other, present) = Socket::enter(&plane, &other).await;
    assert!(present.is_empty());
    at_one.send(&other, b"x").await;
    assert_eq!(at_one.hear().await, FromRoom::Undelivered { to: other.peer });
}

#[tokio::test]
async fn the_newest_socket_of_a_peer_wins() {
    let plane = plane().await;
    let host = plane.session().await;
    let viewer = host.viewer();
    let (mut at_host, _) = Socket::enter(&plane, &host).await;
    let (mut older, _) = Socket::enter(&plane, &viewer).await;
    at_host.hear().await;
    let (mut newer, _) = Socket::enter(&plane, &viewer).await;
    assert_eq!(older.closed().await, (4003, "superseded".to_owned()));
    assert!(matches!(at_host.hear().await, FromRoom::PeerJoined(peer) if peer.peer_id == viewer.peer));
    at_host.send(&viewer, b"to the newer one").await;
    assert!(matches!(newer.hear().await, FromRoom::Envelope { .. }));
    // The older one's goodbye did not take the newer one's place away.
    assert_eq!(plane.metrics.read("beach_signaling_peers", &[]), 2);
}

#[tokio::test]
async fn whoever_cannot_prove_membership_is_turned_away() {
    let plane = plane().await;
    let host = plane.session().await;
    let member = host.viewer();
    let forged = Person { link: LinkSecret::from_bytes([1; 16]), ..member.clone() };
    let elsewhere = plane.session().await;
    let used = member.proof(Purpose::Signaling);
    let mut first = Socket::knock(&plane, host.session).await;
    first.say(&ToRoom::Hello { proof: used.clone() }).await;
    first.hear().await;
    for (name, room, proof, reason) in [
        ("by another link", host.session, forged.proof(Purpose::Signaling), "link_unknown"),
        ("for a token", host.session, member.proof(Purpose::Token), "signature_invalid"),
        ("for another session", elsewhere.session, host.proof(Purpose::Signaling), "signature_invalid"),
        ("used", host.session, used, "membership_invalid"),
    ] {
        let mut socket = Socket::knock(&plane, room).await;
        socket.say(&ToRoom::Hello { proof }).await;
        assert_eq!(socket.closed().await, (4500, reason.to_owned()), "{name}");
    }
    let stranger = Person::new();
    let mut socket = Socket::knock(&plane, stranger.session).await;
    socket.say(&ToRoom::Hello { proof: stranger.proof(Purpose::Signaling) }).await;
    assert_eq!(socket.closed().await, (4500, "unknown_session".to_owned()));
    assert_eq!(plane.metrics.read("beach_signaling_refused", &["membership_invalid"]), 1);
    assert_eq!(plane.metrics.read("beach_signaling_refused", &["signature_invalid"]), 2);
    assert_eq!(plane.metrics.read("beach_control_proofs_refused", &["link_unknown"]), 1);
    assert_eq!(plane.metrics.read("beach_signaling_refused", &["unknown_session"]), 1);
    assert_eq!(plane.metrics.read("beach_signaling_peers", &[]), 1);
}

#[tokio::test]
async fn a_flood_is_cut_and_the_others_do_not_suffer() {
    let plane = plane().await;
    let host = plane.session().await;
    let (calm, wild) = (host.viewer(), host.viewer());
    let (mut at_host, _) = Socket::enter(&plane, &host).await;
    let (mut at_calm, _) = Socket::enter(&plane, &calm).await;
    let (mut at_wild, _) = Socket::enter(&plane, &wild).await;
    let nobody = Person::new();
    for _ in 0..600 {
        let message = ToRoom::Send { to: nobody.peer, data: Bytes::from_static(b"x") };
        if at_wild.0.feed(Message::text(serde_json::to_string(&message).unwrap())).await.is_err() {
            break;
        }
    }
    // It may be cut before everything was written.
    let _ = at_wild.0.flush().await;
    assert_eq!(at_wild.closed().await, (4029, "rate_limited".to_owned()));
    assert_eq!(plane.metrics.read("beach_signaling_envelopes", &["rate_limited"]), 1);
    at_calm.send(&host, b"still here").await;
    loop {
        match at_host.hear().await {
            FromRoom::Envelope { from, .. } => break assert_eq!(from, calm.peer),
            FromRoom::PeerJoined(_) | FromRoom::PeerLeft { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_control_plane_that_stops_says_goodbye() {
    let plane = plane().await;
    let host = plane.session().await;
    let (mut at_host, _) = Socket::enter(&plane, &host).await;
    plane.stop();
    assert_eq!(at_host.closed().await, (4012, "restart".to_owned()));
}

#[tokio::test]
async fn what_is_no_upgrade_is_answered_as_http() {
    let plane = plane().await;
    let (status, answer) = plane.get(&format!("/v1/signaling/{}", Uuid::new_v4())).await;
    assert_eq!((status, &answer["reason"]), (400, &serde_json::json!("invalid_request")));
    let stream = TcpStream::connect(plane.address).await.unwrap();
    let request = format!("ws://{}/v1/signaling/nonsense", plane.address).into_client_request().unwrap();
    match client_async(request, stream).await {
        Err(WsError::Http(answer)) => assert_eq!(answer.status(), 400),
        other => panic!("{other:?}"),
    }
}
