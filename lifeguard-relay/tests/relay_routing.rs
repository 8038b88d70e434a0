//! Hello, addresses, fan-out and roles, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use beach_lifeguard_client::{
    Access, CloseCode, Header, Kind, Lane, LinkNumber, PeerAddr, Role, close::CloseFrame, control::Control,
};
use relay_support::{Heard, Rig};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

#[tokio::test]
async fn host_and_viewer_meet_and_exchange_frames_on_both_lanes() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut viewer = rig.join(session, Role::Viewer).await;

    let listed = &viewer.welcome.as_ref().unwrap().peers;
    assert_eq!(listed.iter().map(|p| (p.peer, p.role)).collect::<Vec<_>>(), [(host.address(), Role::Host)]);
    let Control::PeerJoined(joined) = host.notice().await else { panic!("no notice of the viewer") };
    assert_eq!((joined.peer, joined.role), (viewer.address(), Role::Viewer));

    viewer.send(host.address(), Lane::Reliable, b"keystroke").await;
    assert_eq!(host.data().await, (viewer.address(), "keystroke".into()));
    host.send(viewer.address(), Lane::Datagram, b"screen").await;
    assert_eq!(viewer.data().await, (host.address(), "screen".into()));
    // A frame of the largest size, byte for byte.
    let large: Vec<u8> = (0..65_536u32 - 12).map(|n| n as u8).collect();
    host.send(viewer.address(), Lane::Reliable, &large).await;
    assert_eq!(viewer.data().await.1, large);

    drop(viewer);
    assert!(matches!(host.notice().await, Control::PeerLeft { peer } if peer == joined.peer));
    rig.stop().await;
}

#[tokio::test]
async fn a_host_reaches_everyone_and_nobody_hears_itself() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        viewers.push(rig.join(session, Role::Viewer).await);
    }
    // Another session on the same relay must stay out of it.
    let mut stranger = rig.join(Uuid::new_v4(), Role::Host).await;
    for n in 0..100u8 {
        host.send(PeerAddr::EVERYONE, Lane::Reliable, &[n]).await;
    }
    for viewer in &mut viewers {
        for n in 0..100u8 {
            assert_eq!(viewer.data().await, (host.address(), vec![n].into()));
        }
    }
    stranger.send(PeerAddr::EVERYONE, Lane::Reliable, b"nobody").await;
    stranger.say(Message::binary(Header::relay(Kind::Heartbeat).frame(&[]))).await;
    assert!(matches!(stranger.hear().await, Heard::Frame(h, _) if h.kind == Kind::Heartbeat));
    rig.stop().await;
}

#[tokio::test]
async fn a_viewer_may_address_hosts_only() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    for kind in [Kind::Data, Kind::Close] {
        for everyone in [true, false] {
            let mut bystander = rig.join(session, Role::Viewer).await;
            let mut rude = rig.join(session, Role::Viewer).await;
            let to = if everyone { PeerAddr::EVERYONE } else { bystander.address() };
            let header = Header { kind, lane: Lane::Reliable, peer: to, link: LinkNumber(1) };
            rude.say(Message::binary(header.frame(&[3, 0xE8]))).await;
            assert_eq!(rude.closed().await, (CloseCode::ROLE.get(), "role_forbids".to_owned()));
            // The bystander heard nothing of it, and the session goes on.
            host.send(bystander.address(), Lane::Reliable, b"still here").await;
            assert_eq!(bystander.data().await.1, "still here");
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_frame_for_a_departed_peer_is_answered_with_the_end_of_its_link() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let viewer = rig.join(session, Role::Viewer).await;
    let gone = viewer.address();
    host.notice().await;
    drop(viewer);
    assert_eq!(host.notice().await, Control::PeerLeft { peer: gone });
    // Somebody else takes the seat; the old address must not reach it.
    let mut next = rig.join(session, Role::Viewer).await;
    assert_ne!(next.address(), gone);
    host.notice().await;
    host.say(Message::binary(Header::data(Lane::Reliable, gone, LinkNumber(7)).frame(b"late"))).await;
    let Heard::Frame(header, payload) = host.hear().await else { panic!("no answer") };
    assert_eq!((header.kind, header.peer, header.link), (Kind::Close, gone, LinkNumber(7)));
    assert_eq!(CloseFrame::decode(&payload).unwrap().code, CloseCode::GOING_AWAY);
    host.send(next.address(), Lane::Reliable, b"for you").await;
    assert_eq!(next.data().await.1, "for you");
    rig.stop().await;
}

#[tokio::test]
async fn the_newest_connection_of_a_peer_wins() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let peer = Uuid::new_v4();
    let mut hello =
        relay_support::hello(session, peer, Role::Viewer, rig.token(session, peer, Role::Viewer, |_| {}));
    let mut old = rig.join_with(&hello).await;
    hello.token = rig.token(session, peer, Role::Viewer, |_| {});
    let mut new = rig.join_with(&hello).await;
    assert_eq!(old.closed().await, (CloseCode::SUPERSEDED.get(), "superseded".to_owned()));
    assert_ne!(old.address(), new.address());
    new.send(host.address(), Lane::Reliable, b"me").await;
    assert_eq!(host.data().await, (new.address(), "me".into()));
    rig.stop().await;
}

#[tokio::test]
async fn a_heartbeat_is_echoed_and_flags_are_ignored() {
    let rig = Rig::start().await;
    let mut host = rig.join(Uuid::new_v4(), Role::Host).await;
    let mut frame = Header::relay(Kind::Heartbeat).frame(&[]).to_vec();
    frame[3] = 0xFF;
    host.say(Message::binary(frame)).await;
    let Heard::Frame(header, payload) = host.hear().await else { panic!("no echo") };
    assert_eq!((header, payload.len()), (Header::relay(Kind::Heartbeat), 0));
    rig.stop().await;
}

#[tokio::test]
async fn a_read_only_viewer_may_trickle_but_not_stream() {
    let mut config = relay_support::config();
    config.limits.patience = std::time::Duration::from_secs(1);
    let rig = Rig::with(config, relay_support::roomy()).await;
    let session = Uuid::new_v4();
    let mut host = rig.join(session, Role::Host).await;
    let mut hello = rig.hello(session, Role::Viewer);
    hello.access = Access::ReadOnly;
    let mut viewer = rig.join_with(&hello).await;
    // Handshake and acks pass.
    viewer.send(host.address(), Lane::Reliable, &[1; 500]).await;
    assert_eq!(host.data().await.1.len(), 500);
    // A stream is told to stop, then cut.
    for _ in 0..8 {
        viewer.send(host.address(), Lane::Reliable, &[2; 16_000]).await;
    }
    assert!(matches!(viewer.notice().await, Control::RateLimited { .. }));
    assert_eq!(viewer.closed().await.0, CloseCode::RATE_LIMITED.get());
    rig.stop().await;
}
