//! The client of the control plane's room, over real sockets.
#![allow(clippy::disallowed_methods, reason = "tests use real clocks")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use beach_control_client::{ControlError, ControlPlane, Credentials, Published, Room};
use beach_lifeguard_client::{
    Access, Reason, SignedDocument,
    membership::{Identity, LinkSecret},
    session::{DocumentLink, SessionDocument},
};
use beach_outbound::{Outbound, OutboundConfig};
use bytes::Bytes;
use support::{Behavior, Service};
use tokio::{sync::watch, time::timeout};
use transport_core::{
    PeerId,
    signaling::{Signaling, SignalingError, SignalingEvent},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn control(service: &Service) -> ControlPlane {
    let mut config = OutboundConfig::default();
    config.trust.add_roots("the room", &service.root).unwrap();
    ControlPlane::new(service.base.clone(), Outbound::new(config).unwrap())
}

fn host() -> Identity {
    Identity::from_seed(&[1; 32])
}

/// What the host says of its session, the first time, the second, and so on.
fn document(revision: u64) -> SignedDocument {
    let mut document = SessionDocument::new(host().public(), revision);
    document.links.push(DocumentLink::new(&LinkSecret::from_bytes([3; 16]), Access::Full));
    document.sign(&host())
}

/// A viewer that nobody else is.
fn viewer() -> Credentials {
    let link = LinkSecret::from_bytes([3; 16]);
    Credentials::viewer(host().public(), Identity::random().unwrap(), link, Access::Full)
}

fn peer(credentials: &Credentials) -> PeerId {
    PeerId::from_bytes(credentials.peer_id().into_bytes())
}

fn join(service: &Service, credentials: Credentials) -> Room {
    control(service).room(credentials, None).unwrap()
}

async fn next(signaling: &Room) -> Result<SignalingEvent, SignalingError> {
    timeout(PATIENCE, signaling.recv()).await.expect("an event in time")
}

/// Two members, both inside and aware of each other.
async fn two(room: &Service) -> ([Room; 2], [PeerId; 2]) {
    let (one, other) = (viewer(), viewer());
    let (a, b) = (peer(&one), peer(&other));
    let first = join(room, one);
    assert_eq!(next(&first).await, Ok(SignalingEvent::Up));
    let second = join(room, other);
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
async fn where_a_quiet_socket_was_cut_the_next_one_is_not_quiet_for_as_long() {
    let quiet_for = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    let room = Service::open(false).await;
    let member = join(&room, viewer());
    assert_eq!(next(&member).await, Ok(SignalingEvent::Up));
    quiet_for(10).await;
    assert_eq!(room.pings(), 0, "the room pings by itself");
    room.hang_up();
    while next(&member).await != Ok(SignalingEvent::Up) {}
    quiet_for(7).await;
    let asked = async {
        while room.pings() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("it shows life after six of ten seconds");
}

#[tokio::test]
async fn a_silence_that_was_slept_through_is_asked_about_before_the_room_is_left() {
    let sleep_for_minutes = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::time::resume();
    };
    let room = Service::open(false).await;
    let ([first, second], [a, b]) = two(&room).await;
    sleep_for_minutes().await;
    let envelope = Bytes::from_static(b"awake");
    first.send(b, envelope.clone()).await.unwrap();
    assert_eq!(next(&second).await, Ok(SignalingEvent::Envelope { from: a, envelope }), "nobody has left");
    room.freeze();
    sleep_for_minutes().await;
    assert!(matches!(next(&first).await, Ok(SignalingEvent::Down { .. })), "nothing answers");
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
    let signaling = join(&room, viewer());
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
        (Behavior::Refuse(4500, "link_revoked"), "link_revoked"),
        (Behavior::Refuse(4500, "peer_removed"), "peer_removed"),
        (Behavior::Http(404, "unknown_session"), "unknown_session"),
    ] {
        let room = Service::open(false).await;
        room.behave(behavior);
        let signaling = join(&room, viewer());
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
    let signaling = join(&room, viewer());
    assert_eq!(next(&signaling).await, Ok(SignalingEvent::Up));
    room.close(4003, "superseded");
    assert_eq!(next(&signaling).await, Err(SignalingError::refused("superseded")));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let room = Service::open(true).await;
    let control = ControlPlane::new(room.base.clone(), Outbound::default());
    let signaling = control.room(viewer(), None).unwrap();
    let event = next(&signaling).await;
    let Ok(SignalingEvent::Down { detail, .. }) = event else { panic!("{event:?}") };
    assert!(detail.starts_with("localhost: tls: "), "{detail}");
    let sent = signaling.send(PeerId::random(), Bytes::from_static(b"x")).await;
    assert!(matches!(sent, Err(SignalingError::Unreachable { .. })));
}

#[tokio::test]
async fn a_host_whose_place_was_taken_comes_back_after_a_pause() {
    let room = Service::open(false).await;
    let host = control(&room).room(Credentials::host(host()), None).unwrap();
    assert_eq!(next(&host).await, Ok(SignalingEvent::Up));
    room.close(4003, "superseded");
    let taken = std::time::Instant::now();
    let Ok(SignalingEvent::Down { detail, .. }) = next(&host).await else { panic!("not down") };
    assert!(detail.contains("another connection of the same host"), "{detail}");
    assert_eq!(timeout(Duration::from_secs(12), host.recv()).await.unwrap(), Ok(SignalingEvent::Up));
    assert!(taken.elapsed() > Duration::from_secs(4), "{:?}: two would chase each other", taken.elapsed());
}

#[tokio::test]
async fn a_host_publishes_its_session_before_each_entry_and_whenever_it_changes() {
    let room = Service::open(true).await;
    let (newest, documents) = watch::channel(document(1));
    let signaling = control(&room).room(Credentials::host(host()), Some(documents)).unwrap();
    assert_eq!(next(&signaling).await, Ok(SignalingEvent::Up));
    let published = |count: usize| {
        let room = &room;
        async move {
            timeout(PATIENCE, async {
                while room.published().len() < count {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
            .await
            .expect("published in time");
            let bodies = room.published();
            assert_eq!(bodies.len(), count);
            serde_json::from_value::<SignedDocument>(bodies[count - 1].clone()).unwrap()
        }
    };
    assert_eq!(published(1).await, document(1));
    newest.send_replace(document(2));
    assert_eq!(published(2).await, document(2));
    // What the control plane does not take at the moment is brought again, and the newest at that.
    room.behave(Behavior::Http(503, "store_unavailable"));
    newest.send_replace(document(3));
    tokio::time::sleep(Duration::from_millis(100)).await;
    newest.send_replace(document(4));
    room.behave(Behavior::Admit);
    assert_eq!(published(3).await, document(4));
    room.hang_up();
    while next(&signaling).await != Ok(SignalingEvent::Up) {}
    assert_eq!(published(4).await, document(4));
}

#[tokio::test]
async fn publishing_says_what_happened() {
    let room = Service::open(false).await;
    let control = control(&room);
    assert_eq!(control.publish(&document(1)).await.unwrap(), Published::Created);
    assert_eq!(control.publish(&document(1)).await.unwrap(), Published::Known);
    room.behave(Behavior::Http(409, "revision_stale"));
    let error = control.publish(&document(1)).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::RevisionStale));
    room.behave(Behavior::Http(429, "rate_limited"));
    let error = control.publish(&document(1)).await.unwrap_err();
    let url = format!("{}v1/sessions", room.base);
    assert_eq!(error.to_string(), format!("{url} refused: too many requests; trying again later"));
    drop(room);
    let nobody = ControlPlane::new("http://127.0.0.1:9".parse().unwrap(), Outbound::default());
    let error = nobody.publish(&document(1)).await.unwrap_err();
    assert!(matches!(error, ControlError::Unreachable { .. }), "{error}");
    let nonsense = ControlPlane::new("ftp://control.example".parse().unwrap(), Outbound::default());
    let error = nonsense.publish(&document(1)).await.unwrap_err();
    assert!(matches!(error, ControlError::Misuse { .. }), "{error}");
}

#[tokio::test]
async fn a_host_whose_session_is_known_in_a_newer_state_is_told_so() {
    let room = Service::open(false).await;
    room.behave(Behavior::Http(409, "revision_stale"));
    let (_newest, documents) = watch::channel(document(1));
    let signaling = control(&room).room(Credentials::host(host()), Some(documents)).unwrap();
    assert_eq!(next(&signaling).await, Err(SignalingError::refused("revision_stale")));
}

#[tokio::test]
async fn nothing_crosses_a_network_in_clear() {
    let plain = ControlPlane::new("http://192.0.2.2".parse().unwrap(), Outbound::default());
    let error = plain.publish(&document(1)).await.unwrap_err();
    assert!(matches!(error, ControlError::PlainText { .. }) && !error.is_passing(), "{error}");
    assert!(error.to_string().contains("use https://"), "{error}");
    let refused = plain.room(viewer(), None).unwrap_err();
    assert!(matches!(refused, ControlError::PlainText { .. }), "{refused}");
}
