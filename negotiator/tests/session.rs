//! A session over a network in memory, with the real policy, resume and seal, in virtual time.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use negotiator::{
    Access, CloseCode, FallbackMode, Host, JoinError, Membership, Negotiator, NetworkConfig, Reason,
    Received, Rendezvous, Session, SessionEnd, TransitionKind, Way,
};
use support::{FALLBACK, Net, PRIMARY, Scenes as _, host_config};
use tokio::time::{Instant, sleep, timeout};
use transport_core::{
    resume::Expiry,
    signaling::{Signaling, SignalingError},
};

async fn message(session: &Session) -> Bytes {
    match session.recv().await.unwrap() {
        Received::Message(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

async fn until_on(session: &Session, path: &negotiator::TransportId, limit: Duration) -> Duration {
    let started = Instant::now();
    let reached = async {
        loop {
            let changed = session.changed();
            if session.status().path.as_ref() == Some(path) {
                return;
            }
            changed.await;
        }
    };
    timeout(limit, reached)
        .await
        .unwrap_or_else(|_| panic!("not on {path} after {limit:?}: {}", session.explain()));
    started.elapsed()
}

/// Numbers from one side to the other for as long as the session lives.
fn stream(from: Session) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        for number in 0u64.. {
            if from.send(Bytes::copy_from_slice(&number.to_be_bytes())).await.is_err() {
                return number;
            }
            sleep(Duration::from_millis(100)).await;
        }
        unreachable!()
    })
}

/// Receives `count` numbers that must follow `next` without a hole.
async fn expect(session: &Session, next: &mut u64, count: u64) {
    for _ in 0..count {
        assert_eq!(message(session).await, Bytes::copy_from_slice(&next.to_be_bytes()), "at {next}");
        *next += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn two_sides_meet_and_talk_over_the_primary_and_the_fallback_sleeps() {
    let net = Net::new();
    let (host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    viewer.send("ls\n".into()).await.unwrap();
    assert_eq!(message(&hosted).await, "ls\n");
    hosted.send("README\n".into()).await.unwrap();
    assert_eq!(message(&viewer).await, "README\n");
    assert_eq!(viewer.status().path, Some(PRIMARY));
    assert_eq!(net.fallback.dials(), 0);
    viewer.close().await;
    assert!(matches!(hosted.recv().await, Ok(Received::Finished)));
    assert!(
        matches!(hosted.recv().await, Err(SessionEnd::Closed(closed)) if closed.code == CloseCode::NORMAL)
    );
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_dies_under_load_moves_to_the_fallback_and_back_and_loses_nothing() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    let mut events = viewer.events();
    let (up, down) = (stream(viewer.clone()), stream(hosted.clone()));
    let (mut seen_up, mut seen_down) = (0, 0);
    for _ in 0..2 {
        tokio::join!(expect(&hosted, &mut seen_up, 20), expect(&viewer, &mut seen_down, 20));
        net.primary.block();
        let moved = until_on(&viewer, &FALLBACK, Duration::from_secs(12)).await;
        assert!(moved <= Duration::from_secs(12), "{moved:?}");
        until_on(&hosted, &FALLBACK, Duration::from_secs(1)).await;
        tokio::join!(expect(&hosted, &mut seen_up, 100), expect(&viewer, &mut seen_down, 100));
        net.primary.heal();
        let returned = until_on(&viewer, &PRIMARY, Duration::from_secs(80)).await;
        assert!(returned <= Duration::from_secs(75), "{returned:?}");
        // Longer than the window of the flap budget, which would hold the second way back.
        tokio::join!(expect(&hosted, &mut seen_up, 6_500), expect(&viewer, &mut seen_down, 6_500));
    }
    let mut names = Vec::new();
    while let Some(event) = events.try_next() {
        println!("{event}");
        names.push(event.name);
    }
    for name in [
        TransitionKind::Lost,
        TransitionKind::FallbackConsidered,
        TransitionKind::FallbackActivated,
        TransitionKind::Restored,
    ] {
        assert_eq!(names.iter().filter(|n| **n == name).count(), 2, "{name} in {names:?}");
    }
    viewer.abort("done");
    assert!(up.await.unwrap() >= seen_up && down.await.unwrap() >= seen_down);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_network_gets_the_fallback_within_five_seconds() {
    let net = Net::new();
    net.primary.block();
    let started = Instant::now();
    let (_host, viewer, _hosted) = net.session(NetworkConfig::default()).await;
    assert_eq!(viewer.status().path, Some(FALLBACK));
    assert!(started.elapsed() <= Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refused_fallback_is_held_with_its_reason_and_the_primary_goes_on_being_tried() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    net.fallback.refuse(true);
    net.primary.block();
    viewer.send("typed into the void".into()).await.unwrap();
    let held = timeout(Duration::from_secs(30), async {
        while !viewer.status().held {
            viewer.changed().await;
        }
    });
    held.await.unwrap_or_else(|_| panic!("{}", viewer.explain()));
    assert_eq!(viewer.status().reason, Reason::FallbackRefused);
    assert!(viewer.explain().to_string().contains("refused"), "{}", viewer.explain());
    net.primary.heal();
    until_on(&viewer, &PRIMARY, Duration::from_secs(60)).await;
    assert_eq!(message(&hosted).await, "typed into the void");
}

#[tokio::test(start_paused = true)]
async fn direct_only_never_dials_the_fallback() {
    let net = Net::new();
    let config = || {
        let mut config = NetworkConfig::default();
        config.mode = FallbackMode::DirectOnly;
        config.connect_timeout = Duration::from_secs(60);
        config
    };
    net.primary.block();
    let host = net.host(host_config(), Access::Full).await;
    let error = net.viewer(&host, config()).connect().await.unwrap_err();
    assert!(matches!(error, JoinError::NoPath { .. }), "{error}");
    assert_eq!(net.fallback.dials(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_for_the_relay_only_is_reached_by_the_relay_only() {
    let net = Net::new();
    let mut shared = host_config();
    shared.network.mode = FallbackMode::RelayOnly;
    let host = net.host(shared, Access::Full).await;
    let viewer = net.viewer(&host, NetworkConfig::default()).connect().await.unwrap();
    assert_eq!(viewer.status().path, Some(FALLBACK));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(viewer.status().path, Some(FALLBACK));
    assert_eq!(net.primary.dials(), 0);
    let missing = viewer.explain().missing;
    assert_eq!(missing.iter().map(|gone| &gone.transport).collect::<Vec<_>>(), [&PRIMARY]);
}

/// The primary goes through somebody's relay, as TURN does.
#[derive(Debug)]
struct Detour(Net);

#[async_trait]
impl Rendezvous for Detour {
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        self.0.enter(membership).await
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        Ok(vec![Way::turn(self.0.primary.connector(membership.role))])
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_wants_direct_paths_only_takes_no_part_in_a_dial_through_turn() {
    for (mode, connects) in [(FallbackMode::DirectOnly, false), (FallbackMode::NoRelay, true)] {
        let net = Net::new();
        let mut shared = host_config();
        shared.network.mode = mode;
        let detour = || Arc::new(Detour(net.clone()));
        let host = Host::meeting_at(shared, detour()).await.unwrap();
        let config = NetworkConfig::default();
        let joined = Negotiator::meeting_at(host.link().clone(), config, detour()).connect().await;
        assert_eq!(joined.is_ok(), connects, "{mode:?} {joined:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_link_is_redialled_without_the_fallback() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    for round in 0..5u8 {
        // More than two moves in ten minutes would spend the flap budget, and the session would rest.
        sleep(Duration::from_secs(400)).await;
        viewer.send(vec![round].into()).await.unwrap();
        net.primary.cut();
        assert_eq!(message(&hosted).await, vec![round]);
    }
    assert_eq!(net.fallback.dials(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_network_is_tried_at_once_whichever_side_moved() {
    for host_moved in [false, true] {
        let net = Net::new();
        net.primary.block();
        let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
        assert_eq!(viewer.status().path, Some(FALLBACK));
        // Looks come every minute at best by now, and more seldom from then on.
        sleep(Duration::from_secs(1200)).await;
        net.primary.heal();
        if host_moved {
            hosted.network_changed()
        } else {
            viewer.network_changed()
        }
        let returned = until_on(&viewer, &PRIMARY, Duration::from_secs(400)).await;
        assert!(returned <= Duration::from_secs(7), "a dial and the dwell: {returned:?}, host {host_moved}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_path_another_network_ends_the_waiting() {
    for host_moved in [false, true] {
        let net = Net::new();
        let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
        net.fallback.block();
        net.primary.block();
        net.primary.cut();
        sleep(Duration::from_secs(45)).await;
        assert_eq!(viewer.status().path, None);
        net.primary.heal();
        if host_moved {
            hosted.network_changed()
        } else {
            viewer.network_changed()
        }
        let back = until_on(&viewer, &PRIMARY, Duration::from_secs(60)).await;
        assert!(back <= Duration::from_secs(1), "{back:?}, host {host_moved}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_outlives_a_change_of_network_is_left_only_for_a_better_one() {
    for host_moved in [false, true] {
        let net = Net::new();
        let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
        let mut events = viewer.events();
        if host_moved {
            hosted.network_changed()
        } else {
            viewer.network_changed()
        }
        sleep(Duration::from_secs(30)).await;
        let names: Vec<_> = std::iter::from_fn(|| events.try_next()).map(|event| event.name).collect();
        assert_eq!(names, [TransitionKind::Recovered], "made before broken, host {host_moved}");
        assert_eq!(viewer.status().path, Some(PRIMARY));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_night_asleep_the_session_is_usable_within_two_seconds_of_waking() {
    for (host_slept, relayed) in [(false, false), (true, false), (false, true), (true, true)] {
        let net = Net::new();
        if relayed {
            net.primary.block();
        }
        let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
        // Eight hours: whatever was open is dead, though nobody was told.
        net.primary.block();
        net.fallback.block();
        net.primary.heal();
        net.fallback.heal();
        let woke = Instant::now();
        if host_slept {
            hosted.woke()
        } else {
            viewer.woke()
        }
        viewer.send("good morning".into()).await.unwrap();
        let heard = timeout(Duration::from_secs(60), message(&hosted)).await;
        let took = woke.elapsed();
        assert!(heard.is_ok(), "{}", viewer.explain());
        assert!(took <= Duration::from_secs(2), "{took:?}, host {host_slept}, relayed {relayed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_waits_for_the_night_has_its_viewer_back_within_two_seconds() {
    let net = Net::new();
    let (mut shared, mut config) = (host_config(), NetworkConfig::default());
    shared.network.resume_window = Duration::from_secs(10 * 3600);
    config.resume_window = Duration::from_secs(10 * 3600);
    let host = net.host(shared, Access::Full).await;
    let (viewer, hosted) = tokio::join!(net.viewer(&host, config).connect(), host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    net.primary.block();
    net.primary.cut();
    net.fallback.block();
    hosted.send("while you slept".into()).await.unwrap();
    sleep(Duration::from_secs(8 * 3600)).await;
    net.primary.heal();
    net.fallback.heal();
    let woke = Instant::now();
    viewer.woke();
    let heard = timeout(Duration::from_secs(60), message(&viewer)).await;
    assert_eq!(heard.unwrap_or_else(|_| panic!("{}", viewer.explain())), "while you slept");
    assert!(woke.elapsed() <= Duration::from_secs(2), "{:?}", woke.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_host_kept_no_longer_has_expired_for_its_viewer_too() {
    let net = Net::new();
    let mut config = NetworkConfig::default();
    config.resume_window = Duration::from_secs(10 * 3600);
    let (_host, viewer, hosted) = net.session(config).await;
    // Only the room is left, and the host's goodbye comes by it.
    net.primary.block();
    net.primary.cut();
    net.fallback.block();
    let end = timeout(Duration::from_secs(3600), viewer.recv()).await.unwrap();
    assert!(matches!(end, Err(SessionEnd::Expired { why: Expiry::PeerRestarted, .. })), "{end:?}");
    let end = hosted.end();
    assert!(matches!(end, Some(SessionEnd::Expired { why: Expiry::Window, .. })), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_slept_longer_than_its_session_was_kept_learns_it_at_once() {
    let net = Net::new();
    let mut config = NetworkConfig::default();
    // Its own clock stood still meanwhile.
    config.resume_window = Duration::from_secs(10 * 3600);
    let (_host, viewer, hosted) = net.session(config).await;
    // Asleep, it hears nothing either, not even the goodbye.
    net.room.set_silent(true);
    net.primary.block();
    net.primary.cut();
    net.fallback.block();
    viewer.send("good".into()).await.unwrap();
    sleep(Duration::from_secs(1800)).await;
    let end = hosted.end();
    assert!(matches!(end, Some(SessionEnd::Expired { why: Expiry::Window, .. })), "{end:?}");
    net.room.set_silent(false);
    net.primary.heal();
    net.fallback.heal();
    viewer.woke();
    let end = timeout(Duration::from_secs(2), viewer.ended()).await.expect("no dialling into the void");
    assert_eq!(end, SessionEnd::Expired { why: Expiry::PeerRestarted, unacknowledged: 4 });
}

#[tokio::test(start_paused = true)]
async fn half_an_hour_of_silence_moves_nothing() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    let mut events = viewer.events();
    sleep(Duration::from_secs(1800)).await;
    assert_eq!(events.try_next(), None);
    viewer.send("still here".into()).await.unwrap();
    assert_eq!(message(&hosted).await, "still here");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_gets_no_more_access_than_the_host_grants() {
    let net = Net::new();
    for (granted, asked, expected) in [
        (Access::Full, Access::Full, Access::Full),
        (Access::ReadOnly, Access::Full, Access::ReadOnly),
        (Access::Full, Access::ReadOnly, Access::ReadOnly),
    ] {
        let host = net.host(host_config(), granted).await;
        let mut negotiator = net.viewer(&host, NetworkConfig::default());
        if asked == Access::ReadOnly {
            negotiator = negotiator.read_only();
        }
        let (viewer, hosted) = tokio::join!(negotiator.connect(), host.accept());
        assert_eq!(viewer.unwrap().access(), Some(expected));
        assert_eq!(hosted.unwrap().access(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_at_home_is_said_within_ten_seconds() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let viewer = net.viewer(&host, NetworkConfig::default());
    host.close().await;
    let started = Instant::now();
    assert!(matches!(viewer.connect().await.unwrap_err(), JoinError::HostAbsent));
    assert!(started.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn several_viewers_each_have_their_own_session() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let mut pairs = Vec::new();
    for number in 0..8u8 {
        let (viewer, hosted) =
            tokio::join!(net.viewer(&host, NetworkConfig::default()).connect(), host.accept());
        let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
        viewer.send(vec![number].into()).await.unwrap();
        pairs.push((viewer, hosted));
    }
    for (number, (_, hosted)) in pairs.iter().enumerate() {
        assert_eq!(message(hosted).await, vec![u8::try_from(number).unwrap()]);
    }
    host.close().await;
    for (viewer, _) in &pairs {
        assert!(matches!(viewer.recv().await, Err(SessionEnd::Closed(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_holds_the_sender_back_and_nothing_moves() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    let chunk = Bytes::from(vec![7; 60_000]);
    let sender = tokio::spawn({
        let (hosted, chunk) = (hosted.clone(), chunk.clone());
        async move {
            for _ in 0..100 {
                hosted.send(chunk.clone()).await.unwrap();
            }
        }
    });
    sleep(Duration::from_secs(300)).await;
    assert!(!sender.is_finished(), "6 MB fit nowhere");
    assert_eq!(viewer.status().path, Some(PRIMARY));
    for _ in 0..100 {
        assert_eq!(message(&viewer).await, chunk);
    }
    sender.await.unwrap();
    assert_eq!(net.fallback.dials(), 0, "an application that does not read is no dead path");
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_acknowledgements_and_no_longer() {
    let net = Net::new();
    let (_host, viewer, hosted) = net.session(NetworkConfig::default()).await;
    viewer.send("last words".into()).await.unwrap();
    let started = Instant::now();
    viewer.close().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(message(&hosted).await, "last words");
}
