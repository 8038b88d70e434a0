//! A relay socket in doubt: asked, kept when it answers, replaced when it does not.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::time::Duration;

use beach_lifeguard_client::Role;
use support::{Endpoint, Rig, Wire, end, hear, link, quick_goodbyes, say, soon};
use tokio::time::{Instant, sleep, timeout};
use transport_core::{CloseCode, Connector, Initiator, Lane, SessionId, TransportExt};

/// A relay that is patient, and a host that reaches it through a wire.
async fn rig() -> (Rig, Wire, Endpoint, [Endpoint; 2]) {
    let rig = Rig::at("127.0.0.1:0".parse().unwrap(), quick_goodbyes()).await;
    let wire = Wire::to(rig.address).await;
    let session = SessionId::random();
    let patient = |role, via| {
        let mut endpoint = rig.endpoint_via(session, role, via);
        endpoint.config.heartbeat = None;
        endpoint.config.deadlines.peer = Duration::from_secs(10);
        endpoint.renewed()
    };
    let host = patient(Role::Host, wire.address);
    let viewers = [(); 2].map(|()| patient(Role::Viewer, rig.address));
    (rig, wire, host, viewers)
}

#[tokio::test]
async fn a_dead_socket_is_not_handed_to_the_next_dial() {
    let (_rig, wire, host, [viewer, other]) = rig().await;
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    wire.lose_what_is_open();
    sleep(Duration::from_millis(1_600)).await;
    // Nothing was said meanwhile: only the dial can notice.
    let started = Instant::now();
    let (again, theirs) = soon(link(&host, &other, 2)).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    say(&again, Lane::Reliable, "back").await;
    assert_eq!(hear(&theirs).await.1, "back");
    // Whoever was on the dead socket learns of it at the same time, and so does the other side.
    for side in [&near, &far] {
        assert_eq!(end(side).await.initiator, Initiator::Network);
    }
}

#[tokio::test]
async fn a_link_that_says_something_into_silence_is_ended_in_three_seconds() {
    let (_rig, wire, host, [viewer, _]) = rig().await;
    let (near, _far) = soon(link(&host, &viewer, 1)).await;
    wire.lose_what_is_open();
    say(&near, Lane::Reliable, "anybody there?").await;
    let started = Instant::now();
    let closed = end(&near).await;
    assert_eq!((closed.initiator, closed.code), (Initiator::Network, CloseCode::CONNECTION_LOST));
    let took = started.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_doubt_from_outside_is_settled_in_a_moment_either_way() {
    let (_rig, wire, host, [viewer, _]) = rig().await;
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    host.connector.doubt();
    assert!(timeout(Duration::from_secs(3), near.closed()).await.is_err(), "it answered and is kept");
    say(&near, Lane::Reliable, "still here").await;
    assert_eq!(hear(&far).await.1, "still here");
    wire.lose_what_is_open();
    host.connector.doubt();
    let started = Instant::now();
    assert_eq!(end(&near).await.initiator, Initiator::Network);
    assert!(started.elapsed() < Duration::from_millis(2_500), "{:?}", started.elapsed());
    assert!(
        far.send(Lane::Reliable, "unheard".into()).await.is_ok() || end(&far).await.code != CloseCode::NORMAL
    );
}

#[tokio::test]
async fn a_live_socket_is_kept_for_the_next_dial_however_long_it_was_quiet() {
    let (rig, _wire, host, [viewer, other]) = rig().await;
    let _first = soon(link(&host, &viewer, 1)).await;
    sleep(Duration::from_millis(1_600)).await;
    let started = Instant::now();
    let _second = soon(link(&host, &other, 2)).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!((host.connector.sockets(), rig.relay.total_connections()), (1, 3));
}
