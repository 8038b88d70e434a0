//! Links through a real relay: lanes, closes, dormancy, and everything that can end one.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use beach_lifeguard_client::{
    Role,
    membership::{Credentials, Identity},
};
use bytes::Bytes;
use support::{Endpoint, Rig, Wire, end, hear, link, quick_goodbyes, say, soon};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};
use transport_core::{
    Carriage, CloseCode, Closed, ConnectErrorKind as Kind, Connector, Initiator, Lane, SessionId, Transport,
    TransportExt,
};
use transport_ws_fallback::{CloseAtHandshake, Grant, TokenFailure, TokenFor, TokenProvider};

#[tokio::test]
async fn both_lanes_carry_both_ways_and_say_what_they_are() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    for (a, b) in [(&near, &far), (&far, &near)] {
        say(a, Lane::Reliable, "keys").await;
        assert_eq!(hear(b).await, (Lane::Reliable, "keys".into()));
        say(a, Lane::Datagram, "screen").await;
        assert_eq!(hear(b).await, (Lane::Datagram, "screen".into()));
    }
    let profile = near.profile();
    assert_eq!(profile.transport.as_str(), "ws-fallback");
    assert_eq!(profile.path, "websocket through the relay at 127.0.0.1");
    assert_eq!(
        (profile.datagram.carriage, profile.reliable.carriage),
        (Carriage::Emulated, Carriage::Native)
    );
    assert_eq!((profile.reliable.max_message.get(), profile.in_flight.get()), (65_524, 393_216));
    let stats = near.stats();
    assert_eq!((stats.reliable.sent_messages, stats.reliable.received_messages), (1, 1));
}

#[tokio::test]
async fn it_sleeps_until_the_first_link_and_again_after_the_last() {
    let rig = Rig::start().await;
    let session = SessionId::random();
    let host = rig.endpoint(session, Role::Host);
    let viewers = [rig.endpoint(session, Role::Viewer), rig.endpoint(session, Role::Viewer)];
    host.connector.prefetch(session, host.peer).await.unwrap();
    assert_eq!((host.connector.sockets(), rig.relay.total_connections()), (0, 0));
    let first = soon(link(&host, &viewers[0], 1)).await;
    let second = soon(link(&host, &viewers[1], 1)).await;
    assert_eq!((host.connector.sockets(), rig.relay.total_connections()), (1, 3));
    drop(first);
    say(&second.0, Lane::Reliable, "still here").await;
    assert_eq!(hear(&second.1).await.1, "still here");
    assert_eq!(host.connector.sockets(), 1);
    second.0.close(CloseCode::NORMAL, "done");
    for endpoint in [&host, &viewers[0], &viewers[1]] {
        soon(endpoint.connector.dormant()).await;
    }
    // And it wakes again.
    let (near, far) = soon(link(&host, &viewers[0], 2)).await;
    say(&near, Lane::Reliable, "again").await;
    assert_eq!(hear(&far).await.1, "again");
}

#[tokio::test]
async fn the_quicker_side_waits_for_the_slower_one_and_tells_when_it_gives_up() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    // A first link brings both to the relay.
    let _first = soon(link(&host, &viewer, 1)).await;
    let target = viewer.target(&host, 2);
    let mut quick = viewer.connector.connect(&target);
    assert!(timeout(Duration::from_millis(200), &mut quick).await.is_err());
    let (slow, quick) = soon(async { tokio::join!(host.dial(&viewer, 2), quick) }).await;
    let (slow, quick) = (slow.unwrap(), quick.unwrap());
    say(&quick, Lane::Reliable, "hello").await;
    assert_eq!(hear(&slow).await.1, "hello");
    assert!(timeout(Duration::from_millis(200), viewer.dial(&host, 3)).await.is_err());
    // Whether the host hears of it before or after it opened the link, it learns the same.
    let closed = match soon(host.dial(&viewer, 3)).await {
        Ok(link) => end(&link).await,
        Err(error) => {
            assert_eq!((error.stage, error.kind), ("peer", Kind::Unreachable));
            error.source.unwrap().downcast::<CloseAtHandshake>().unwrap().0
        }
    };
    assert_eq!((closed.initiator, closed.code), (Initiator::Peer, CloseCode::GOING_AWAY));
}

#[tokio::test]
async fn an_end_is_told_with_its_code_after_what_was_accepted_before_it() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    for _ in 0..100 {
        say(&near, Lane::Reliable, "x").await;
    }
    near.close(CloseCode::POLICY, "enough");
    near.close(CloseCode::INTERNAL, "too late");
    assert_eq!(end(&near).await, Closed::local(CloseCode::POLICY, "enough"));
    for _ in 0..100 {
        assert_eq!(hear(&far).await.1, "x");
    }
    assert_eq!(soon(far.recv()).await.unwrap_err(), Closed::peer(CloseCode::POLICY, "enough"));
    let (near, far) = soon(link(&host, &viewer, 2)).await;
    drop(near);
    let closed = end(&far).await;
    assert_eq!((closed.initiator, closed.code), (Initiator::Peer, CloseCode::GOING_AWAY));
}

#[tokio::test]
async fn bulk_arrives_whole_and_in_order_at_any_speed_and_nobody_is_cut() {
    const MESSAGES: u32 = 2_000;
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    let started = Instant::now();
    let sender = |link: Box<dyn Transport>| async move {
        for number in 0..MESSAGES {
            let len = 4 + (number as usize * 7_919) % 16_000;
            let mut message = vec![number as u8; len];
            message[..4].copy_from_slice(&number.to_be_bytes());
            link.send(Lane::Reliable, message.into()).await.unwrap();
        }
        link
    };
    let receiver = async {
        let mut bytes = 0;
        for number in 0..MESSAGES {
            let payload = far.recv().await.unwrap().payload;
            assert_eq!(payload[..4], number.to_be_bytes());
            assert!(payload[4..].iter().all(|byte| *byte == number as u8));
            bytes += payload.len();
            if number == MESSAGES / 2 {
                // A reader that pauses holds its writer back.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        bytes
    };
    let (near, bytes) = soon(async { tokio::join!(sender(near), receiver) }).await;
    println!("{bytes} bytes in {:?}, one second of it a pause", started.elapsed());
    assert_eq!((near.stats().reliable.sent_messages, rig.relay.live_sockets()), (MESSAGES.into(), 2));
}

#[tokio::test]
async fn a_link_that_is_not_read_fills_up_and_leaves_the_others_alone() {
    let rig = Rig::start().await;
    let session = SessionId::random();
    let host = rig.endpoint(session, Role::Host);
    let viewers = [rig.endpoint(session, Role::Viewer), rig.endpoint(session, Role::Viewer)];
    let (_unread, writer) = soon(link(&host, &viewers[0], 1)).await;
    let (read, other) = soon(link(&host, &viewers[1], 1)).await;
    let message = Bytes::from(vec![7; 16_000]);
    let mut accepted = 0;
    while let Ok(sent) =
        timeout(Duration::from_millis(500), writer.send(Lane::Reliable, message.clone())).await
    {
        sent.unwrap();
        accepted += message.len();
        assert!(accepted < 2 << 20, "nothing holds the writer back");
    }
    for _ in 0..100 {
        say(&other, Lane::Reliable, "key").await;
        assert_eq!(hear(&read).await.1, "key");
    }
    assert_eq!(rig.relay.live_sockets(), 3);
}

#[tokio::test]
async fn a_peer_that_never_comes_costs_its_deadline_and_leaves_nothing() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let started = Instant::now();
    let error = soon(viewer.dial(&host, 1)).await.unwrap_err();
    assert_eq!((error.stage, error.kind), ("peer", Kind::TimedOut));
    assert!(started.elapsed() >= viewer.config.deadlines.peer);
    soon(viewer.connector.dormant()).await;
    // An abandoned dial neither.
    let target = viewer.target(&host, 2);
    let dial = viewer.connector.connect(&target);
    assert!(timeout(Duration::from_millis(200), dial).await.is_err());
    soon(viewer.connector.dormant()).await;
    while rig.relay.live_sockets() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_generation_is_attached_once() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let _link = soon(link(&host, &viewer, 1)).await;
    let error = soon(viewer.dial(&host, 1)).await.unwrap_err();
    assert_eq!((error.stage, error.kind), ("peer", Kind::Misuse));
}

#[tokio::test]
async fn a_generation_whose_last_attempt_has_not_left_yet_is_dialled_again() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    drop(soon(link(&host, &viewer, 1)).await);
    let again = async |near: &Endpoint, far: &Endpoint| loop {
        match near.dial(far, 1).await {
            Ok(link) => return link,
            // The goodbye of the attempt before may end this one too, and then the next is another.
            Err(error) => assert_eq!(error.kind, Kind::Unreachable, "{error}"),
        }
    };
    let (near, far) = soon(async { tokio::join!(again(&viewer, &host), again(&host, &viewer)) }).await;
    drop((near, far));
}

#[tokio::test]
async fn nobody_there_is_not_ready_and_something_else_is_incompatible() {
    let rig = Rig::start().await;
    let session = SessionId::random();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = rig.endpoint_via(session, Role::Viewer, closed);
    let error = soon(nobody.dial(&nobody, 1)).await.unwrap_err();
    assert_eq!((error.stage, error.kind), ("dial", Kind::Unready));
    let mut elsewhere = rig.endpoint(session, Role::Viewer);
    elsewhere.config.relay_url = Some(format!("ws://{}/healthz", rig.address).parse().unwrap());
    let elsewhere = elsewhere.twin();
    let error = soon(elsewhere.dial(&nobody, 1)).await.unwrap_err();
    assert_eq!((error.stage, error.kind), ("upgrade", Kind::Incompatible));
    assert_eq!((nobody.connector.sockets(), elsewhere.connector.sockets()), (0, 0));
}

#[tokio::test]
async fn a_relay_that_is_down_costs_one_token_however_often_it_is_dialled() {
    let rig = Rig::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = rig.endpoint_via(SessionId::random(), Role::Viewer, closed);
    for generation in 1..=20 {
        let error = soon(nobody.dial(&nobody, generation)).await.unwrap_err();
        assert_eq!(error.stage, "dial");
    }
    assert_eq!(rig.minted(), 1);
}

#[tokio::test]
async fn the_newest_connection_of_a_peer_wins_and_the_older_does_not_fight_back() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (_first, old) = soon(link(&host, &viewer, 1)).await;
    let twin = viewer.twin();
    // The host dials the address it knows, which is the old one, and follows.
    let (near, new) = soon(link(&host, &twin, 2)).await;
    let closed = end(&old).await;
    assert_eq!((closed.initiator, closed.code), (Initiator::Peer, CloseCode::SUPERSEDED));
    let error = soon(viewer.dial(&host, 3)).await.unwrap_err();
    assert_eq!((error.stage, error.kind), ("dial", Kind::Rejected));
    let source = error.source.unwrap();
    assert_eq!(source.downcast_ref::<CloseAtHandshake>().unwrap().0.code, CloseCode::SUPERSEDED);
    say(&new, Lane::Reliable, "mine").await;
    assert_eq!(hear(&near).await.1, "mine");
}

#[tokio::test]
async fn a_path_that_dies_without_a_word_ends_both_sides_within_three_heartbeats() {
    let mut config = quick_goodbyes();
    config.patience.heartbeat = Duration::from_millis(300);
    let rig = Rig::at("127.0.0.1:0".parse().unwrap(), config).await;
    let wire = Wire::to(rig.address).await;
    let session = SessionId::random();
    let (host, viewer) =
        (rig.endpoint(session, Role::Host), rig.endpoint_via(session, Role::Viewer, wire.address));
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    // A stall that heals in time loses nothing.
    wire.stall();
    say(&near, Lane::Reliable, "later").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    wire.heal();
    assert_eq!(hear(&far).await.1, "later");
    wire.stall();
    let started = Instant::now();
    for side in [&far, &near] {
        let closed = end(side).await;
        assert_eq!((closed.initiator, closed.code), (Initiator::Network, CloseCode::CONNECTION_LOST));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    soon(viewer.connector.dormant()).await;
}

#[tokio::test]
async fn an_idle_link_lives_on_its_heartbeats() {
    let mut config = quick_goodbyes();
    config.patience.heartbeat = Duration::from_millis(300);
    let rig = Rig::at("127.0.0.1:0".parse().unwrap(), config).await;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    assert!(timeout(Duration::from_secs(3), near.closed()).await.is_err());
    say(&near, Lane::Reliable, "still here").await;
    assert_eq!(hear(&far).await.1, "still here");
}

#[tokio::test]
async fn a_relay_that_goes_lets_its_links_go_and_is_found_again() {
    let rig = Rig::start().await;
    let address = rig.address;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    rig.stop().await;
    for side in [&near, &far] {
        let closed = end(side).await;
        assert_eq!(closed.initiator, Initiator::Peer, "{closed}");
        assert!([CloseCode::DRAIN, CloseCode::RESTART].contains(&closed.code), "{closed}");
    }
    let error = soon(viewer.dial(&host, 2)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unready);
    let _rig = Rig::at(address, quick_goodbyes()).await;
    let (near, far) = soon(link(&host, &viewer, 3)).await;
    say(&near, Lane::Reliable, "back").await;
    assert_eq!(hear(&far).await.1, "back");
}

#[tokio::test]
async fn a_refused_token_is_a_refusal_and_not_an_outage() {
    let rig = Rig::start().await;
    // Its token says viewer, its hello host.
    let mut liar = rig.endpoint(SessionId::random(), Role::Viewer);
    liar.config.credentials = Credentials::host(Identity::random().unwrap());
    let liar = liar.twin();
    let error = soon(liar.dial(&liar, 1)).await.unwrap_err();
    assert_eq!((error.stage, error.kind), ("hello", Kind::Rejected));
    let source = error.source.unwrap();
    let CloseAtHandshake(closed) = source.downcast_ref().unwrap();
    assert_eq!((closed.code, &*closed.detail), (CloseCode::ROLE, "role_mismatch"));
    soon(liar.connector.dormant()).await;
}

/// A control plane that does not answer once, and has given a token ahead.
#[derive(Debug)]
struct AwayOnce {
    ahead: Grant,
    asked: AtomicBool,
    then: Arc<dyn TokenProvider>,
}

#[async_trait]
impl TokenProvider for AwayOnce {
    async fn token(&self, whom: TokenFor) -> Result<Grant, TokenFailure> {
        if self.asked.swap(true, Relaxed) {
            return self.then.token(whom).await;
        }
        Err(TokenFailure::Unreachable("away".into()))
    }

    fn rescue(&self, _: TokenFor) -> Option<Grant> {
        Some(self.ahead.clone())
    }
}

#[tokio::test]
async fn a_spare_token_that_is_used_up_costs_no_pause() {
    let rig = Rig::start().await;
    let (host, mut viewer) = rig.pair();
    let whom = TokenFor { session: viewer.session, peer: viewer.peer };
    let ahead = viewer.tokens.token(whom).await.unwrap();
    let away_once = |ahead| {
        let then = viewer.tokens.clone();
        Arc::new(AwayOnce { ahead, asked: AtomicBool::new(false), then })
    };
    let [first, second] = [away_once(ahead.clone()), away_once(ahead)];
    // As when the owner cannot be reached from the node that it was spent on.
    viewer.tokens = first;
    drop(soon(link(&host, &viewer.twin(), 1)).await);
    viewer.tokens = second;
    let (near, far) = soon(link(&viewer.twin(), &host, 2)).await;
    say(&near, Lane::Reliable, "in").await;
    assert_eq!(hear(&far).await.1, "in");
}

#[tokio::test]
async fn whom_the_host_puts_out_stays_out() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    // The session lasts at the relay while somebody is there.
    let other = rig.endpoint(host.session, Role::Viewer);
    let (_near, _far) = soon(link(&host, &other, 1)).await;
    say(&near, Lane::Reliable, "hello").await;
    assert_eq!(hear(&far).await.1, "hello");
    soon(host.connector.evict(viewer.peer)).await;
    let closed = end(&far).await;
    assert_eq!((closed.code, closed.initiator), (CloseCode::REMOVED, Initiator::Peer));
    let error = soon(viewer.dial(&host, 2)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Rejected, "{error}");
    let error = soon(viewer.twin().dial(&host, 3)).await.unwrap_err();
    let source = error.source.unwrap();
    let CloseAtHandshake(closed) = source.downcast_ref().unwrap();
    assert_eq!((closed.code, &*closed.detail), (CloseCode::REMOVED, "peer_removed"));
}

#[tokio::test]
async fn whom_the_host_put_out_on_another_path_is_out_as_soon_as_the_host_is_at_the_relay() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    soon(host.connector.evict(viewer.peer)).await;
    assert_eq!(host.connector.sockets(), 0, "nobody is asked when no socket is open");
    let other = rig.endpoint(host.session, Role::Viewer);
    let (_near, _far) = soon(link(&host, &other, 1)).await;
    let error = soon(viewer.dial(&host, 1)).await.unwrap_err();
    let source = error.source.unwrap();
    let CloseAtHandshake(closed) = source.downcast_ref().unwrap();
    assert_eq!((closed.code, &*closed.detail), (CloseCode::REMOVED, "peer_removed"));
}
