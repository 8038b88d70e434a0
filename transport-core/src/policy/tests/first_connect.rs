//! The first connect: the long ladder.

use super::harness::*;
use crate::{
    error::ConnectErrorKind,
    ids::{Generation, TransportId},
    policy::*,
    time::Duration,
};

#[test]
fn a_healthy_network_sees_one_dial_and_no_thought_of_the_fallback() {
    let mut drive = Drive::new();
    drive.start().until(600.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    assert_eq!((drive.dials(&WEBRTC), drive.dials(&RELAY)), (vec![0.0], vec![]));
    assert_eq!(drive.count(|action| matches!(action, Action::PrefetchToken { .. })), 0);
    let story =
        [("transport.connecting", Reason::FirstConnect), ("transport.connected", Reason::PrimaryConnected)];
    assert_eq!(drive.story(), story);
}

#[test]
fn where_nothing_answers_three_attempts_make_the_quorum_and_the_relay_is_in_use_before_five_seconds() {
    for seed in 0..50 {
        let mut config = config(&[WEBRTC, TURN, RELAY]);
        config.seed = seed;
        let mut drive = Drive::with(config);
        drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Silent).start().until(3.999);
        assert_eq!((drive.dials(&WEBRTC).len(), drive.dials(&TURN).len()), (3, 3));
        assert!(drive.dials(&RELAY).is_empty());
        assert_eq!(drive.count(|action| matches!(action, Action::PrefetchToken { .. })), 1);
        drive.until(5.0);
        assert_eq!(drive.dials(&RELAY), [4.0]);
        assert_eq!(drive.on(), Some(RELAY));
        assert_eq!(
            drive.story()[1..],
            [
                ("transport.fallback.considered", Reason::PrimariesSilent),
                ("transport.fallback.activated", Reason::PrimariesSilent),
            ]
        );
    }
}

#[test]
fn the_rungs_start_within_eight_tenths_of_a_second_evenly_and_the_best_first() {
    let nearby = TransportId::from_static("lan");
    for (rungs, starts) in
        [(vec![WEBRTC, TURN], vec![0.0, 0.8]), (vec![nearby, WEBRTC, TURN], vec![0.0, 0.4, 0.8])]
    {
        let mut drive = Drive::with(config(&rungs));
        for rung in &rungs {
            drive.fate(rung.clone(), Fate::Silent);
        }
        drive.start().until(1.0);
        let first: Vec<f64> = rungs.iter().map(|rung| drive.dials(rung)[0]).collect();
        assert_eq!(first, starts);
    }
}

#[test]
fn a_dial_that_was_counted_as_silent_neither_counts_nor_asks_for_another_when_its_time_is_over() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).gate(Gate::Budget, GateState::Closed).start().until(4.0);
    assert_eq!(drive.snapshot().rungs[0].failures, 3);
    // The first of the three is cancelled at 10 s.
    drive.until(10.0);
    assert_eq!(drive.count(|action| matches!(action, Action::CancelDial { .. })), 1);
    assert_eq!(drive.snapshot().rungs[0].failures, 3);
    // The one attempt that was planned at 4 s takes its place, and none the places of the others.
    drive.until(19.9);
    assert_eq!((drive.dials(&WEBRTC).len(), drive.dials(&WEBRTC)[3]), (4, 10.0));
}

#[test]
fn a_slow_network_that_answers_keeps_its_direct_path() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Answers(2.5, 9.0)).start().until(60.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    assert!(drive.dials(&RELAY).is_empty());
}

#[test]
fn an_answer_just_before_silence_is_judged_spares_and_one_just_after_does_not() {
    for (answer, relayed) in [(3.999, false), (4.001, true)] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Teases(answer)).start().until(5.0);
        assert_eq!(!drive.dials(&RELAY).is_empty(), relayed, "{answer}");
    }
}

#[test]
fn answers_that_lead_nowhere_reach_the_fallback_within_thirty_seconds() {
    for seed in 0..50 {
        let mut config = config(&[WEBRTC, TURN, RELAY]);
        config.seed = seed;
        let mut drive = Drive::with(config);
        drive.fate(WEBRTC, Fate::Teases(0.3)).fate(TURN, Fate::Teases(0.3)).start().until(30.0);
        assert_eq!(drive.on(), Some(RELAY), "seed {seed}: {:?}", drive.log);
        assert!(drive.story().contains(&("transport.fallback.activated", Reason::PrimariesFailed)));
    }
}

#[test]
fn two_failures_are_no_quorum_and_the_third_is() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Fails(0.1, ConnectErrorKind::Unreachable)).start();
    while drive.snapshot().rungs[0].failures < 2 {
        drive.until(drive.seconds() + 0.01);
    }
    assert!(drive.dials(&RELAY).is_empty());
    while drive.snapshot().rungs[0].failures < 3 {
        drive.until(drive.seconds() + 0.01);
    }
    assert_eq!(drive.dials(&RELAY).len(), 1);
}

#[test]
fn failures_count_inside_the_window_and_not_at_its_edge() {
    let mut policy = FallbackPolicy::new(config(&[WEBRTC, RELAY])).unwrap();
    let start = Drive::new().now();
    let window = Duration::from_secs(90);
    for second in 0..3 {
        policy.record_failure(start + Duration::from_secs(second), 0);
    }
    assert!(policy.quorum_on(0, start + window - Duration::from_nanos(1)));
    assert!(!policy.quorum_on(0, start + window));
}

#[test]
fn a_rung_starts_last_after_the_failure_that_makes_its_quorum_and_not_before() {
    let mut policy = FallbackPolicy::new(config(&[WEBRTC, TURN, RELAY])).unwrap();
    let now = Drive::new().now();
    for (failures, order) in [(1, [0, 1]), (2, [0, 1]), (3, [1, 0])] {
        policy.record_failure(now, 0);
        assert_eq!(policy.primaries(now), order, "{failures}");
    }
}

#[test]
fn with_nothing_but_the_fallback_it_is_taken_at_once_and_no_direct_path_is_spoken_of() {
    let mut drive = Drive::with(config(&[RELAY]));
    drive.start().until(1_000.0);
    assert_eq!((drive.on(), drive.dials(&RELAY).len()), (Some(RELAY), 1));
    assert!(drive.story().contains(&("transport.fallback.activated", Reason::NoPrimary)));
    assert_eq!(drive.policy.poll_timeout(), None);
}

#[test]
fn a_rung_proven_impossible_ends_at_once() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Fails(0.2, ConnectErrorKind::Incompatible)).start().until(1.0);
    assert_eq!(drive.on(), Some(RELAY));
    assert_eq!(drive.dials(&WEBRTC).len(), 1);
    assert!(drive.story().contains(&("transport.fallback.activated", Reason::PrimariesImpossible)));
}

#[test]
fn one_impossible_rung_does_not_speak_for_the_other() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Fails(0.2, ConnectErrorKind::Incompatible)).start().until(5.0);
    assert_eq!(drive.on(), Some(TURN));
    assert!(drive.dials(&RELAY).is_empty());
}

#[test]
fn a_refusal_by_the_peer_is_no_evidence_and_is_said_aloud() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Fails(0.2, ConnectErrorKind::Rejected)).start().until(300.0);
    assert!(drive.dials(&RELAY).is_empty());
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::PrimaryRefused });
    assert!((9..=12).contains(&drive.dials(&WEBRTC).len()), "{:?}", drive.dials(&WEBRTC));
}

#[test]
fn a_primary_that_connects_while_the_fallback_is_dialled_wins() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Connects(4.2)).fate(RELAY, Fate::Connects(2.0)).start().until(60.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    assert_eq!(drive.story().last(), Some(&("transport.connected", Reason::LatePrimary)));
    assert_eq!(drive.switches().len(), 1);
}

#[test]
fn a_primary_that_connects_soon_after_the_fallback_is_dialled_again_and_taken_after_a_short_dwell() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Connects(5.0)).start().until(4.5);
    assert_eq!(drive.on(), Some(RELAY));
    drive.fate(WEBRTC, Fate::Connects(0.5)).until(7.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    assert_eq!(drive.story().last(), Some(&("transport.restored", Reason::PrimaryHealed)));
}

#[test]
fn of_two_raced_attempts_one_is_used_and_the_other_let_go() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Connects(2.0)).start().until(1.5);
    let reasons = |action: &Action| match action {
        Action::Dial { why, .. } => Some(*why),
        _ => None,
    };
    let reasons: Vec<Reason> = drive.log.iter().filter_map(|(_, action)| reasons(action)).collect();
    assert_eq!(reasons, [Reason::FirstConnect, Reason::Retry]);
    drive.until(60.0);
    assert_eq!(drive.switches().len(), 1);
    assert_eq!(drive.count(|action| matches!(action, Action::CancelDial { .. })), 1);
}

#[test]
fn a_success_that_crosses_its_cancellation_is_closed() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Connects(2.0)).start().until(2.1);
    drive.event(Event::DialSucceeded { generation: crate::Generation(2) });
    assert_eq!(drive.log.last().unwrap().1, Action::Drain { generation: crate::Generation(2) });
    assert_eq!(drive.generation(), crate::Generation(1));
}

#[test]
fn nothing_is_given_up_until_every_rung_is_misconfigured() {
    let misused = Fate::Fails(0.1, ConnectErrorKind::Misuse);
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, misused).start().until(30.0);
    assert_eq!(drive.on(), Some(TURN));

    let mut drive = Drive::with(config(&[WEBRTC]));
    drive.fate(WEBRTC, misused).start().until(30.0);
    assert_eq!(*drive.policy.standing(), Standing::GaveUp);
    assert_eq!(drive.policy.poll_timeout(), None);
}

#[test]
fn patience_ends_exactly_when_it_was_told_to() {
    let mut config = config(&[WEBRTC]);
    config.give_up_after = Some(Duration::from_secs(20));
    let mut drive = Drive::with(config);
    drive.fate(WEBRTC, Fate::Silent).start().until(19.999);
    assert_ne!(*drive.policy.standing(), Standing::GaveUp);
    drive.until(20.0);
    assert_eq!(drive.story().last(), Some(&("transport.gave_up", Reason::DeadlinePassed)));
}

#[test]
fn an_attempt_that_is_younger_than_the_others_when_silence_is_judged_gets_the_same_time() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).gate(Gate::Budget, GateState::Closed).start().until(3.4);
    let kind = ConnectErrorKind::Unreachable;
    drive.event(Event::DialFailed { generation: Generation(1), kind }).until(4.0);
    let (began, failures) = (drive.dials(&WEBRTC)[3], |drive: &Drive| drive.snapshot().rungs[0].failures);
    assert!((3.4..4.0).contains(&began), "{began}");
    drive.until(began + 0.799);
    assert_eq!(failures(&drive), 3);
    drive.until(began + 0.8);
    assert_eq!(failures(&drive), 4);
}

#[test]
fn an_answered_attempt_has_five_seconds_before_another_is_raced_beside_it() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Teases(0.3)).start().until(6.0);
    assert_eq!(drive.dials(&WEBRTC), [0.0, 5.3]);
}

#[test]
fn an_impossible_rung_stays_given_up_for_ten_minutes() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Fails(0.2, ConnectErrorKind::Incompatible)).start().until(1.0);
    // Nothing looks for the direct path from here on.
    drive.event(Event::Override(Override::RelayOnly)).until(600.199);
    assert_eq!((drive.on(), drive.snapshot().rungs[0].given_up), (Some(RELAY), true));
    drive.until(600.2);
    assert!(!drive.snapshot().rungs[0].given_up);
}

#[test]
fn a_rung_that_reached_its_quorum_here_starts_last_when_the_device_is_back() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Fails(0.1, ConnectErrorKind::Unreachable));
    drive.fate(TURN, Fate::Fails(0.1, ConnectErrorKind::Rejected)).start().until(8.0);
    drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Silent);
    for (network, starts) in [(OFFICE, [8.0, 8.8]), (HOME, [9.8, 9.0])] {
        let since = drive.seconds();
        drive.event(Event::NetworkChanged { network }).until(since + 1.0);
        let first = |rung| drive.dials(rung).into_iter().find(|at| *at >= since).unwrap();
        assert_eq!([&WEBRTC, &TURN].map(first), starts);
    }
}

#[test]
fn of_several_late_primaries_one_is_dialled_again() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(4.5);
    assert_eq!((drive.on(), drive.generation()), (Some(RELAY), Generation(4)));
    for generation in [1, 2].map(Generation) {
        drive.event(Event::DialSucceeded { generation });
        assert_eq!(drive.count(|action| *action == Action::Drain { generation }), 1);
    }
    let again = |action: &Action| matches!(action, Action::Dial { why: Reason::LatePrimary, .. });
    assert_eq!(drive.count(again), 1);
    // Once it stands by, whatever else comes is closed and nothing more is dialled.
    drive.event(Event::DialSucceeded { generation: Generation(5) });
    assert_eq!(drive.snapshot().standby.unwrap().generation, Generation(5));
    drive.event(Event::DialSucceeded { generation: Generation(3) });
    assert_eq!(
        (drive.count(again), drive.count(|a| *a == Action::Drain { generation: Generation(3) })),
        (1, 1)
    );
}

#[test]
fn no_fourth_attempt_is_raced_beside_a_third_that_is_open() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Fails(0.01, ConnectErrorKind::Unreachable)).start();
    while drive.dials(&WEBRTC).len() < 2 {
        drive.until(drive.seconds() + 0.01);
    }
    drive.fate(WEBRTC, Fate::Silent).until(3.9);
    assert_eq!((drive.dials(&WEBRTC).len(), drive.snapshot().rungs[0].failures), (3, 2));
}

#[test]
fn each_rung_is_described_with_the_dials_that_are_open_on_it() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Silent).start().until(1.5);
    let open: Vec<u32> = drive.snapshot().rungs.iter().map(|rung| rung.open_dials).collect();
    assert_eq!(open, [2, 1, 0]);
}

#[test]
fn a_failure_does_not_put_off_the_attempt_that_is_planned_already() {
    let mut config = config(&[WEBRTC, RELAY]);
    (config.backoff.base, config.backoff.cap) = (Duration::from_secs(600), Duration::from_secs(600));
    let mut drive = Drive::with(config);
    drive.fate(WEBRTC, Fate::Fails(0.1, ConnectErrorKind::Unreachable)).start().until(2.4);
    assert_eq!(drive.dials(&WEBRTC).len(), 3);
}
