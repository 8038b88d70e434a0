//! What a host may ask of the relay: that somebody goes and stays away. And which token opens which socket.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::time::{Duration, Instant};

use beach_lifeguard_client::{Header, Kind, Lane, PeerAddr, Role, control::Control, token::Capability};
use relay_support::{Client, Rig, hello};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

async fn evict(client: &mut Client, peer_id: Uuid) {
    client.say(Message::binary(Control::Evict { peer_id }.frame())).await;
}

/// Passes everything over until the relay has read what came before.
async fn settled(client: &mut Client) {
    client.say(Message::binary(Header::relay(Kind::Heartbeat).frame(&[]))).await;
    loop {
        match client.hear().await {
            relay_support::Heard::Frame(Header { kind: Kind::Heartbeat, .. }, _) => return,
            relay_support::Heard::Closed(code, why) => panic!("closed: {code} {why}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_host_puts_a_viewer_out_for_good_and_the_others_stay() {
    let rig = Rig::start().await;
    let (session, gone, stays) =
        (Uuid::new_v4(), rig.hello(Uuid::nil(), Role::Viewer).peer_id, Uuid::new_v4());
    let join = async |peer| {
        let token = rig.token(session, peer, Role::Viewer, |_| {});
        rig.join_with(&hello(session, peer, Role::Viewer, token)).await
    };
    let mut host = rig.join(session, Role::Host).await;
    let (mut at_gone, mut at_stays) = (join(gone).await, join(stays).await);
    let start = Instant::now();
    evict(&mut host, gone).await;
    assert_eq!(at_gone.closed().await, (4508, "removed".to_owned()));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let left = loop {
        if let Control::PeerLeft { peer } = host.notice().await {
            break peer;
        }
    };
    assert_eq!(left, at_gone.address());
    // Its own token, minted before, does not bring it back; nor does another one.
    for _ in 0..2 {
        let token = rig.token(session, gone, Role::Viewer, |_| {});
        let again = hello(session, gone, Role::Viewer, token);
        let refused = rig.turned_away(Message::text(again.encode())).await;
        assert_eq!(refused, (4508, "peer_removed".to_owned()));
    }
    // Elsewhere it may be.
    let other = Uuid::new_v4();
    let token = rig.token(other, gone, Role::Viewer, |_| {});
    rig.join_with(&hello(other, gone, Role::Viewer, token)).await;
    at_stays.send(host.address(), Lane::Reliable, b"still here").await;
    assert_eq!(host.data().await, (at_stays.address(), "still here".into()));
    // Once is enough, and somebody who is not here yet can be put out as well.
    let never = Uuid::new_v4();
    for peer in [gone, never] {
        evict(&mut host, peer).await;
    }
    settled(&mut host).await;
    let token = rig.token(session, never, Role::Viewer, |_| {});
    let first = hello(session, never, Role::Viewer, token);
    assert_eq!(rig.turned_away(Message::text(first.encode())).await.0, 4508);
    // A socket is counted when its task has ended.
    let metrics = rig.metrics.clone();
    rig.stop().await;
    for (family, label, count) in [
        ("beach_lifeguard_peers_evicted", None, 1),
        ("beach_lifeguard_connections_closed", Some("removed"), 1),
        ("beach_lifeguard_handshakes_failure", Some("peer_removed"), 3),
    ] {
        let labels: Vec<&str> = label.into_iter().collect();
        assert_eq!(metrics.read(family, &labels), count, "{family} {label:?}");
    }
}

#[tokio::test]
async fn a_token_minted_before_lets_nobody_back_in_when_the_session_opens_again() {
    let rig = Rig::start().await;
    let (session, gone) = (Uuid::new_v4(), Uuid::new_v4());
    let before = || hello(session, gone, Role::Viewer, rig.token(session, gone, Role::Viewer, |_| {}));
    let tokens = [before(), before(), before()];
    let mut host = rig.join(session, Role::Host).await;
    let mut viewer = rig.join_with(&tokens[0]).await;
    evict(&mut host, gone).await;
    assert_eq!(viewer.closed().await.0, 4508);
    // The last socket goes, and with it the session.
    host.say(Message::Close(None)).await;
    host.closed().await;
    let others = Uuid::new_v4();
    rig.join(others, Role::Host).await;
    for hello in &tokens[1..] {
        let refused = rig.turned_away(Message::text(hello.encode())).await;
        assert_eq!(refused, (4508, "peer_removed".to_owned()));
    }
    rig.join(session, Role::Host).await;
    assert_eq!(rig.turned_away(Message::text(before().encode())).await.0, 4508);
    rig.stop().await;
}

#[tokio::test]
async fn nobody_else_puts_anybody_out_and_no_host_puts_itself_out() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let host_hello = rig.hello(session, Role::Host);
    let mut host = rig.join_with(&host_hello).await;
    let (mut viewer, mut other) = (rig.join(session, Role::Viewer).await, rig.hello(session, Role::Viewer));
    let victim = other.peer_id;
    other.access = beach_lifeguard_client::Access::ReadOnly;
    let mut at_other = rig.join_with(&other).await;
    evict(&mut viewer, victim).await;
    assert_eq!(viewer.closed().await, (4507, "role_forbids".to_owned()));
    evict(&mut at_other, host_hello.peer_id).await;
    assert_eq!(at_other.closed().await, (4507, "role_forbids".to_owned()));
    evict(&mut host, host_hello.peer_id).await;
    settled(&mut host).await;
    assert_eq!(rig.metrics.read("beach_lifeguard_peers_evicted", &[]), 0);
    // Every other control message is still no business of a client's.
    for frame in [
        Control::PeerLeft { peer: PeerAddr::new(1, 1) }.frame(),
        Header::relay(Kind::Control).frame(b"{}"),
        Header::relay(Kind::Control).frame(br#"{"type":"weather"}"#),
        Header::relay(Kind::Control).frame(br#"{"type":"evict","peer_id":"x"}"#),
        Header::relay(Kind::Control).frame(br#"{"type":"evict"}"#),
    ] {
        let mut host = rig.join(Uuid::new_v4(), Role::Host).await;
        host.say(Message::binary(frame)).await;
        assert_eq!(host.closed().await, (4501, "unexpected_frame".to_owned()));
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_session_remembers_as_many_as_it_may_and_forgets_the_oldest() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    for n in 0..1_025 {
        evict(&mut host, Uuid::from_u128(n)).await;
    }
    settled(&mut host).await;
    for (peer, refused) in [(0, false), (1, true), (1_024, true)] {
        let peer = Uuid::from_u128(peer);
        let token = rig.token(session, peer, Role::Viewer, |_| {});
        let hello = hello(session, peer, Role::Viewer, token);
        if refused {
            assert_eq!(rig.turned_away(Message::text(hello.encode())).await.0, 4508, "{peer}");
        } else {
            rig.join_with(&hello).await;
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_token_of_one_wire_opens_no_socket_of_the_other() {
    let rig = Rig::start().await;
    let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
    let of = |capability: Capability| {
        rig.token(session, peer, Role::Viewer, |claims| claims.capabilities = vec![capability.label().into()])
    };
    let deployed = hello(session, peer, Role::Viewer, of(Capability::V1));
    let refused = rig.turned_away(Message::text(deployed.encode())).await;
    assert_eq!(refused, (4500, "missing_entitlement".to_owned()));
    let path = |capability| format!("/ws?token={}", of(capability).expose());
    let status = Client::connect(rig.address, &path(Capability::V2), &[]).await.err().unwrap();
    assert_eq!(status.as_u16(), 401);
    assert!(Client::connect(rig.address, &path(Capability::V1), &[]).await.is_ok());
    let counted = rig.metrics.read("beach_lifeguard_token_validation_failure", &["missing_entitlement"]);
    assert_eq!(counted, 2);
    rig.stop().await;
}
