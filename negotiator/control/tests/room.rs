//! The client of the control plane's room, over real sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use beach_lifeguard_client::{
    membership::{Member, Purpose, Verifier},
    token::Role,
};
use bytes::Bytes;
use support::{Behavior, Room as Service};
use tokio::{task::JoinSet, time::timeout};
use transport_core::{
    Connector, DialRole, Generation, Lane, PeerId, SessionId, Target, Transport,
    secure::Key,
    signaling::{Exchange, Sealer, Signaling, SignalingError, SignalingEvent},
};
use transport_webrtc::{
    WebRtcConnector,
    signaling_ws::{RegisterError, Registered, WsSignaling, WsSignalingConfig, register},
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

fn config(room: &Service, session: SessionId, local: PeerId) -> WsSignalingConfig {
    let member = Member { peer_id: Uuid::from_bytes(*local.as_bytes()), role: Role::Viewer };
    let (verifier, id) = (Verifier::from_bytes([3; 32]), Uuid::from_bytes(*session.as_bytes()));
    let prove = move || {
        let proof = verifier.prove(Purpose::Signaling, id, member, SystemTime::now(), rand::random());
        serde_json::to_value(proof).unwrap()
    };
    let mut config = WsSignalingConfig::new(room.base.clone(), session, local, Arc::new(prove));
    config.extra_roots = vec![room.root.clone()];
    config
}

async fn next(signaling: &WsSignaling) -> Result<SignalingEvent, SignalingError> {
    timeout(PATIENCE, signaling.recv()).await.expect("an event in time")
}

/// Two members, both inside and aware of each other.
async fn two(room: &Service) -> ([WsSignaling; 2], [PeerId; 2]) {
    let (session, a, b) = (SessionId::random(), PeerId::random(), PeerId::random());
    let first = join(&config(room, session, a)).unwrap();
    assert_eq!(next(&first).await, Ok(SignalingEvent::Up));
    let second = join(&config(room, session, b)).unwrap();
    assert_eq!(next(&second).await, Ok(SignalingEvent::Up));
    assert_eq!(next(&second).await, Ok(SignalingEvent::Joined { peer: a }));
    assert_eq!(next(&first).await, Ok(SignalingEvent::Joined { peer: b }));
    ([first, second], [a, b])
}

#[tokio::test]
async fn members_hear_of_each_other_and_exchange_envelopes() {
    for tls in [false, true] {
        let room = Service::open(tls).await;
        let ([first, second], [a, b]) = two(&room).await;
        for size in [1, 32 * 1024] {
            let envelope = Bytes::from(vec![0xA5; size]);
            first.send(b, envelope.clone()).await.unwrap();
            assert_eq!(next(&second).await, Ok(SignalingEvent::Envelope { from: a, envelope }));
        }
        let large = Bytes::from(vec![0; 32 * 1024 + 1]);
        assert_eq!(first.send(b, large).await, Err(SignalingError::TooLarge));
        drop(second);
        assert_eq!(next(&first).await, Ok(SignalingEvent::Left { peer: b }));
    }
}

#[tokio::test]
async fn a_lost_connection_is_sought_again_and_envelopes_wait_for_it() {
    let room = Service::open(false).await;
    let ([first, second], [_, b]) = two(&room).await;
    room.hang_up();
    for member in [&first, &second] {
        while !matches!(next(member).await, Ok(SignalingEvent::Down { .. })) {}
    }
    while next(&second).await != Ok(SignalingEvent::Up) {}
    first.send(b, Bytes::from_static(b"x")).await.unwrap();
    while !matches!(next(&second).await, Ok(SignalingEvent::Envelope { .. })) {}
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_is_noticed_once_something_is_said_there_again_and_again() {
    let room = Service::open(false).await;
    let ([first, second], [_, b]) = two(&room).await;
    room.freeze();
    let talk = async {
        loop {
            // What is lost here is for those to repeat who said it.
            let _ = first.send(b, Bytes::from_static(b"anybody?")).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let notice = async {
        while !matches!(first.recv().await, Ok(SignalingEvent::Down { .. })) {}
        while first.recv().await != Ok(SignalingEvent::Up) {}
    };
    tokio::select! {
        () = talk => {}
        noticed = timeout(Duration::from_secs(30), notice) => noticed.expect("long before the 46 s of an idle one"),
    }
    drop(second);
}

#[tokio::test]
async fn a_connection_in_doubt_is_tried_out_without_a_word_being_said() {
    let room = Service::open(false).await;
    let ([first, second], _) = two(&room).await;
    room.freeze();
    second.doubt();
    assert!(matches!(next(&second).await, Ok(SignalingEvent::Down { .. })));
    assert_eq!(next(&second).await, Ok(SignalingEvent::Up));
    drop(first);
}

#[tokio::test]
async fn a_restart_and_a_full_service_are_waited_out() {
    let room = Service::open(false).await;
    room.behave(Behavior::Http(503, "store_unavailable"));
    let signaling = join(&config(&room, SessionId::random(), PeerId::random())).unwrap();
    assert!(matches!(next(&signaling).await, Ok(SignalingEvent::Down { .. })));
    room.behave(Behavior::Admit);
    while next(&signaling).await != Ok(SignalingEvent::Up) {}
    room.close(4012, "restart");
    assert!(matches!(next(&signaling).await, Ok(SignalingEvent::Down { .. })));
    // The service forgot the session in its restart; its host is not back yet.
    room.behave(Behavior::Refuse(4500, "unknown_session"));
    assert!(matches!(next(&signaling).await, Ok(SignalingEvent::Down { .. } | SignalingEvent::Up)));
    room.behave(Behavior::Admit);
    while next(&signaling).await != Ok(SignalingEvent::Up) {}
}

#[tokio::test]
async fn a_refusal_is_final_and_says_why() {
    for (behavior, label) in [
        (Behavior::Refuse(4500, "unknown_session"), "unknown_session"),
        (Behavior::Refuse(4500, "membership_invalid"), "membership_invalid"),
        (Behavior::Refuse(4503, "<b>"), "paused"),
        (Behavior::Http(404, "unknown_session"), "unknown_session"),
    ] {
        let room = Service::open(false).await;
        room.behave(behavior);
        let signaling = join(&config(&room, SessionId::random(), PeerId::random())).unwrap();
        let refused = SignalingError::Refused { label: label.into() };
        for _ in 0..2 {
            assert_eq!(next(&signaling).await, Err(refused.clone()));
        }
        let sent = signaling.send(PeerId::random(), Bytes::from_static(b"x")).await;
        assert_eq!(sent, Err(refused));
    }
}

#[tokio::test]
async fn a_newer_connection_of_the_same_peer_takes_over_for_good() {
    let room = Service::open(false).await;
    let signaling = join(&config(&room, SessionId::random(), PeerId::random())).unwrap();
    assert_eq!(next(&signaling).await, Ok(SignalingEvent::Up));
    room.close(4003, "superseded");
    assert_eq!(next(&signaling).await, Err(SignalingError::Refused { label: "superseded".into() }));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let room = Service::open(true).await;
    let mut config = config(&room, SessionId::random(), PeerId::random());
    config.extra_roots.clear();
    let signaling = WsSignaling::join(config).unwrap();
    assert!(matches!(next(&signaling).await, Ok(SignalingEvent::Down { .. })));
    let sent = signaling.send(PeerId::random(), Bytes::from_static(b"x")).await;
    assert!(matches!(sent, Err(SignalingError::Unreachable { .. })));
}

#[tokio::test]
async fn a_host_registers_its_session_before_each_entry() {
    let room = Service::open(true).await;
    let session = SessionId::random();
    let mut config = config(&room, session, PeerId::random());
    config.register = Some(Key::new([3; 32]));
    let signaling = WsSignaling::join(config).unwrap();
    assert_eq!(next(&signaling).await, Ok(SignalingEvent::Up));
    assert_eq!(room.registered().len(), 1);
    assert_eq!(room.registered()[0]["session_id"], session.to_string());
    assert_eq!(room.registered()[0]["verifier"], "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM");
    room.hang_up();
    while next(&signaling).await != Ok(SignalingEvent::Up) {}
    assert_eq!(room.registered().len(), 2);
}

#[tokio::test]
async fn registering_says_what_happened() {
    let (room, session) = (Service::open(false).await, SessionId::random());
    assert_eq!(register(&room.base, session, &[3; 32], &[]).await.unwrap(), Registered::Created);
    assert_eq!(register(&room.base, session, &[3; 32], &[]).await.unwrap(), Registered::Known);
    room.behave(Behavior::Http(409, "session_exists"));
    let error = register(&room.base, session, &[3; 32], &[]).await.unwrap_err();
    assert!(matches!(error, RegisterError::Exists));
    room.behave(Behavior::Http(429, "rate_limited"));
    let error = register(&room.base, session, &[3; 32], &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "the control plane refused: 429 rate_limited");
    drop(room);
    let nobody = "http://127.0.0.1:9".parse().unwrap();
    let error = register(&nobody, session, &[3; 32], &[]).await.unwrap_err();
    assert!(matches!(error, RegisterError::Unreachable(_)));
}

#[tokio::test]
async fn webrtc_is_dialed_through_the_room() {
    let room = Service::open(true).await;
    let (session, ids) = (SessionId::random(), [PeerId::random(), PeerId::random()]);
    let mut pumps = JoinSet::new();
    let exchanges = ids.map(|id| {
        let signaling = join(&config(&room, session, id)).unwrap();
        let sealer = Sealer::new(&Key::new([7; 32]), session, id);
        let exchange = Exchange::new(Arc::new(signaling), sealer, SystemTime::now);
        let pumped = exchange.clone();
        pumps.spawn(async move { while pumped.next().await.is_ok() {} });
        exchange
    });
    // Both must be inside: the room keeps nothing for those who are not.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let dial = |local: usize, role| {
        let connector = WebRtcConnector::new(support::plain()).unwrap();
        let target = Target::new(session, ids[local], ids[1 - local], role, Generation(1));
        let channel = exchanges[local].open_link(&target, transport_webrtc::ID);
        let target = target.with_signaling(channel);
        async move { connector.connect(&target).await.unwrap_or_else(|e| panic!("{}", e.chain())) }
    };
    let (a, b) = tokio::join!(dial(0, DialRole::Offerer), dial(1, DialRole::Answerer));
    a.try_send(Lane::Reliable, Bytes::from_static(b"hello")).unwrap();
    assert_eq!(timeout(PATIENCE, b.recv()).await.unwrap().unwrap().payload, "hello");
}
