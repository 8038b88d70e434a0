//! The client of the control plane's room, over real sockets.
#![allow(clippy::disallowed_methods, reason = "tests use real clocks")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use beach_control_client::{ControlError, ControlPlane, Credentials, Registered, Room};
use beach_lifeguard_client::{Reason, membership::Verifier, token::Role};
use beach_outbound::{Outbound, OutboundConfig};
use bytes::Bytes;
use support::{Behavior, Service};
use tokio::time::timeout;
use transport_core::{
    PeerId, SessionId,
    signaling::{Signaling, SignalingError, SignalingEvent},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn control(service: &Service) -> ControlPlane {
    let mut config = OutboundConfig::default();
    config.trust.add_roots("the room", &service.root).unwrap();
    ControlPlane::new(service.base.clone(), Outbound::new(config).unwrap())
}

fn credentials(session: SessionId, local: PeerId) -> Credentials {
    Credentials { session, local, role: Role::Viewer, verifier: Verifier::from_bytes([3; 32]) }
}

fn join(service: &Service, session: SessionId, local: PeerId) -> Room {
    control(service).room(credentials(session, local), false).unwrap()
}

async fn next(signaling: &Room) -> Result<SignalingEvent, SignalingError> {
    timeout(PATIENCE, signaling.recv()).await.expect("an event in time")
}

/// Two members, both inside and aware of each other.
async fn two(room: &Service) -> ([Room; 2], [PeerId; 2]) {
    let (session, a, b) = (SessionId::random(), PeerId::random(), PeerId::random());
    let first = join(room, session, a);
    assert_eq!(next(&first).await, Ok(SignalingEvent::Up));
    let second = join(room, session, b);
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
    let signaling = join(&room, SessionId::random(), PeerId::random());
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
        let signaling = join(&room, SessionId::random(), PeerId::random());
        let refused = SignalingError::refused(label);
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
    let signaling = join(&room, SessionId::random(), PeerId::random());
    assert_eq!(next(&signaling).await, Ok(SignalingEvent::Up));
    room.close(4003, "superseded");
    assert_eq!(next(&signaling).await, Err(SignalingError::refused("superseded")));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let room = Service::open(true).await;
    let control = ControlPlane::new(room.base.clone(), Outbound::default());
    let signaling = control.room(credentials(SessionId::random(), PeerId::random()), false).unwrap();
    let event = next(&signaling).await;
    let Ok(SignalingEvent::Down { detail, .. }) = event else { panic!("{event:?}") };
    assert!(detail.starts_with("localhost: tls: "), "{detail}");
    let sent = signaling.send(PeerId::random(), Bytes::from_static(b"x")).await;
    assert!(matches!(sent, Err(SignalingError::Unreachable { .. })));
}

#[tokio::test]
async fn a_host_registers_its_session_before_each_entry() {
    let room = Service::open(true).await;
    let session = SessionId::random();
    let signaling = control(&room).room(credentials(session, PeerId::random()), true).unwrap();
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
    let (room, session, verifier) =
        (Service::open(false).await, SessionId::random(), Verifier::from_bytes([3; 32]));
    let control = control(&room);
    assert_eq!(control.register(session, &verifier).await.unwrap(), Registered::Created);
    assert_eq!(control.register(session, &verifier).await.unwrap(), Registered::Known);
    room.behave(Behavior::Http(409, "session_exists"));
    let error = control.register(session, &verifier).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::SessionExists));
    room.behave(Behavior::Http(429, "rate_limited"));
    let error = control.register(session, &verifier).await.unwrap_err();
    let url = format!("{}v1/sessions", room.base);
    assert_eq!(error.to_string(), format!("{url} refused: too many requests; trying again later"));
    drop(room);
    let nobody = ControlPlane::new("http://127.0.0.1:9".parse().unwrap(), Outbound::default());
    let error = nobody.register(session, &verifier).await.unwrap_err();
    assert!(matches!(error, ControlError::Unreachable { .. }), "{error}");
    let nonsense = ControlPlane::new("ftp://control.example".parse().unwrap(), Outbound::default());
    let error = nonsense.register(session, &verifier).await.unwrap_err();
    assert!(matches!(error, ControlError::Misuse { .. }), "{error}");
}
